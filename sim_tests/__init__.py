"""Simulation of generated Verilog with cocotb: runner, lint, testbenches."""
