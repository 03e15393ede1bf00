"""cocotb test of saturation, in every narrowing of the reference.

SRNN_GRID names the grid.
"""

from __future__ import annotations

import os
from typing import Any

import cocotb

from rnn_mapper import cells
from sim_tests.bench.grids import GRIDS
from sim_tests.bench.model_bench import ModelBench
from sim_tests.bench.models import ModelCase, cells_for

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]


@cocotb.test()
async def rails(dut: Any) -> None:
    """Weights and inputs at both ends, so that every narrowing of the reference saturates in some run."""
    reached: set[str] = set()
    bench = ModelBench(dut, PARAMETERS)
    await bench.begin()
    for cell in cells_for(PARAMETERS):
        # A projected h grows with the weights, beyond the range of a row's multiplier, and is then rejected.
        for scale in (1.0, 20.0) if cell is cells.lstm_projection else (1.0, 20.0, 200.0):
            case = ModelCase(cell, PARAMETERS.lanes, (PARAMETERS.rows + 15,), 2, scale=scale)
            await bench.load_model(case.mapping(PARAMETERS))
            for seed in range(2):
                inputs = case.operands(PARAMETERS, 8, seed, extreme=True)
                if cell is cells.lstm and seed:
                    # c grows by at most one a step and saturates at 32.
                    inputs = inputs[:1].repeat(40, axis=0)
                for counts in bench.reference.run(inputs).saturations:
                    reached |= {name for name, count in counts.items() if count}
                await bench.check(inputs, what=str(case))
    dut._log.info("rails reached: %s", sorted(reached))
    # 16-bit operands are not narrowed.
    narrowed = {"feedback"} if PARAMETERS.operand_bits < 16 else set()
    assert {"x_part", "h_part", "preactivation", "value", "c"} | narrowed <= reached, reached
