"""Simulators. In: Verilog sources. Out: cached builds, runs and lint, with Icarus and Verilator."""
