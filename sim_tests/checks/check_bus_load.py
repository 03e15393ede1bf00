"""cocotb test: the model of tests/run/test_baked_images.py, loaded over the bus in place of a larger one."""

from __future__ import annotations

from typing import Any

import cocotb

from rnn_mapper import cells
from sim_tests.bench.grids import GRIDS
from sim_tests.bench.model_bench import ModelBench
from sim_tests.bench.models import ModelCase

GRID = "2x2x8"
CASE = ModelCase(cells.gru, 9, (7,), 3)


@cocotb.test()
async def reload(dut: Any) -> None:
    """Remains of the larger model in the memories do not matter."""
    bench = ModelBench(dut, GRIDS[GRID])
    await bench.begin()
    for case in (ModelCase(cells.lstm, 12, (9, 5), 2, scale=4.0), CASE):
        await bench.load_model(case.mapping(GRIDS[GRID]))
        await bench.check(case.operands(GRIDS[GRID], 3), what=str(case))
