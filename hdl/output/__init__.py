"""Files for users. In: components. Out: Verilog, manifest, headers, FuseSoC core and reference pages."""
