"""Files for users. In: a grid. Out: Verilog, manifest, headers, FuseSoC core and reference pages."""
