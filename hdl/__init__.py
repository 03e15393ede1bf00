"""The hardware. In: parameters of a grid. Out: its Verilog, with layouts, registers and latencies for all others."""

import warnings

# Components are created for their latencies and signatures alone; only conversion elaborates them. The category
# (UnusedElaboratable) is not named, because its import would load Amaranth where only the parameters are wanted.
warnings.filterwarnings("ignore", message=r".* created but never used$")
