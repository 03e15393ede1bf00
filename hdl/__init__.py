"""The hardware of spatial-rnn: Amaranth components, their parameters and layouts, and the Verilog made from them."""

import warnings

from amaranth.hdl import UnusedElaboratable

# Parents create their children to read latencies and signatures from them; only conversion elaborates.
warnings.filterwarnings("ignore", category=UnusedElaboratable)
