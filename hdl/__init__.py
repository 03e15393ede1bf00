"""Hardware of the accelerator: parameters, components, generation of Verilog, area."""
