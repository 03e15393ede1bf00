"""The long counter, with parts so small that every carry is seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from hdl.grid.counter import counter


@pytest.mark.parametrize(("bits", "part"), [(9, 3), (8, 3), (6, 2)])
def test_counts_through_all_values(bits: int, part: int) -> None:
    m = Module()
    value, counts, clear = Signal(bits), Signal(), Signal()
    counter(m, value, counts, clear, first=1, part=part)
    rng, expected = np.random.default_rng(5), 0

    async def bench(ctx: Any) -> None:
        nonlocal expected
        for _ in range(6 << bits):
            up, again = int(rng.random() < 0.8), int(rng.random() < 0.1 / (1 << bits))
            ctx.set(counts, up)
            ctx.set(clear, again)
            await ctx.tick()
            expected = 1 if again else (expected + up) % (1 << bits)
            assert ctx.get(value) == expected

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
