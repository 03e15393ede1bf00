"""cocotb test of saturation, in every narrowing of the reference.

SRNN_GRID names the grid.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import cocotb

from rnn_mapper import cells
from rnn_mapper.fixed_point import Codes
from rnn_mapper.quantisation.reference import Reference
from sim_tests.bench.grids import GRIDS
from sim_tests.bench.model_bench import ModelBench
from sim_tests.bench.models import ModelCase, cells_for

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]
#: Models that are tried.
_SEEDS = 50


def _for_c(case: ModelCase) -> Codes:
    """The same input for 40 steps: c grows by at most one a step and saturates at 32."""
    return case.operands(PARAMETERS, 1, 1, extreme=True).repeat(40, axis=0)


def _with_limited_c(case: ModelCase) -> ModelCase:
    """The model with the first seed for which some c reaches its limit: few units of a small model do."""
    for seed in range(_SEEDS):
        other = replace(case, seed=seed)
        saturations = Reference(other.mapping(PARAMETERS).network).run(_for_c(other)).saturations
        if any(counts["c"] for counts in saturations):
            return other
    raise AssertionError(f"no c of {_SEEDS} models reaches its limit: {case}")


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
            if cell is cells.lstm and scale == 200.0:
                case = _with_limited_c(case)
            await bench.load_model(case.mapping(PARAMETERS))
            for seed in range(2):
                inputs = case.operands(PARAMETERS, 8, seed, extreme=True)
                if cell is cells.lstm and seed:
                    inputs = _for_c(case)
                for counts in bench.reference.run(inputs).saturations:
                    reached |= {name for name, count in counts.items() if count}
                await bench.check(inputs, what=str(case))
    dut._log.info("rails reached: %s", sorted(reached))
    # 16-bit operands are not narrowed.
    narrowed = {"feedback"} if PARAMETERS.operand_bits < 16 else set()
    state = {"c"} if cells.lstm in cells_for(PARAMETERS) else set()
    assert {"x_part", "h_part", "preactivation", "value"} | narrowed | state <= reached, reached
