"""Area. In: emitted Verilog. Out: counts of cells by module, from Yosys."""
