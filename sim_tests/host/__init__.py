"""Hosts. In: images and sequences for a grid's build. Out: outputs and counters, by cocotb or by a C++ program."""
