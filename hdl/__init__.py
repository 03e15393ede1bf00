"""The hardware of spatial-rnn: Amaranth components, their parameters and layouts, and the Verilog made from them."""

import warnings

# Parents create their children to read latencies and signatures from them; only conversion elaborates. The category
# (UnusedElaboratable) is not named: importing it would load Amaranth where only the parameters are wanted.
warnings.filterwarnings("ignore", message=r".* created but never used$")
