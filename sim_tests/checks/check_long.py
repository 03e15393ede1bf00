"""cocotb tests of long sequences, and of every `ru` that a grid allows.

SRNN_GRID names the grid.
"""

from __future__ import annotations

import os
from typing import Any

import cocotb

from rnn_mapper import cells
from sim_tests.bench.grids import GRIDS
from sim_tests.bench.model_bench import ModelBench
from sim_tests.bench.models import ModelCase, cell_for, cells_for

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]


@cocotb.test()
async def hundreds_of_steps(dut: Any) -> None:
    """Counters of completed steps wrap at 64."""
    bench = ModelBench(dut, PARAMETERS)
    await bench.begin()
    for case in (
        ModelCase(cells.rnn_tanh, 2, (PARAMETERS.rows,)), ModelCase(cells.gru, 1, (1, PARAMETERS.rows + 1, 2), 3),
        ModelCase(cell_for(PARAMETERS, cells.lstm, cells.gru), PARAMETERS.lanes, (PARAMETERS.rows + 1, 3)),
    ):
        await bench.load_model(case.mapping(PARAMETERS))
        for number, steps in enumerate((140, 67)):
            await bench.check(case.operands(PARAMETERS, steps, number), keep=number > 0, what=str(case))


@cocotb.test()
async def every_ru(dut: Any) -> None:
    """Chains of every length, with rows that fill them and rows that do not."""
    p = PARAMETERS
    bench = ModelBench(dut, p)
    await bench.begin()
    for ru in range(1, p.cols + 1):
        for cell in cells_for(PARAMETERS):
            for inputs in (1, ru * p.lanes, ru * p.lanes + 1):
                case = ModelCase(cell, inputs, (min(p.rows * p.cols + 1, 3 * p.lanes),), ru=ru)
                await bench.load_model(case.mapping(p))
                await bench.check(case.operands(PARAMETERS, 3, extreme=inputs == 1), what=str(case))
