"""cocotb test of the memory alone, with slices that do not divide a word; SRNN_GRID gives its register and ports."""

from __future__ import annotations

import os
from typing import Any

import cocotb
import numpy as np

from sim_tests.bench.component_bench import MEMORY_PARAMETERS, CycleBench
from sim_tests.bench.grids import GRIDS

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]
REGISTERS = PARAMETERS.memory_registers


@cocotb.test()
async def memory(dut: Any) -> None:
    """Slices, the narrow last slice, collisions, and data that is stable while nothing is read."""
    rng = np.random.default_rng(9)
    bench = CycleBench(dut)
    width, depth, piece = (MEMORY_PARAMETERS[name] for name in ("WIDTH", "DEPTH", "SLICE"))
    await bench.begin(write_enable=0, write_address=0, write_slice=0, write_data=0, read_enable=0, read_address=0)
    words, fetched, out, was_read = [0] * depth, None, None, False
    for _ in range(2000):
        write, read = bool(rng.integers(2)), bool(rng.integers(2))
        address, part, value, place = (int(rng.integers(limit)) for limit in (depth, -(-width // piece), 256, depth))
        if rng.random() < 0.4:
            place = address
        await bench.cycle(
            write_enable=write, write_address=address, write_slice=part, write_data=value, read_enable=read,
            read_address=place,
        )
        if out is not None:
            assert bench.read("read_data") == out
        # A register at the output follows one cycle later, and only what was read.
        if was_read or not REGISTERS:
            out = fetched
        was_read = read
        if read:
            # A word that is read while it is written may be anything, and with one port any word is.
            lost = write and (PARAMETERS.weight_ports == 1 or address == place)
            fetched = None if lost else words[place]
            out = out if REGISTERS else fetched
        if write:
            mask = (255 << piece * part) & ((1 << width) - 1)
            words[address] = words[address] & ~mask | value << piece * part & mask
