"""Simulation of generated Verilog. In: Verilog, and models for a grid. Out: outputs, cycles, and test results."""
