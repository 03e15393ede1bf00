"""cocotb test: random models on one grid, loaded one after the other, against reference and prediction.

SRNN_GRID names the grid, SRNN_COUNT the number of models, SRNN_SEED the random choices.
"""

from __future__ import annotations

import os
from typing import Any

import cocotb
from cocotb.task import bridge, resume
from hypothesis import HealthCheck, Phase, given, reject, seed, settings
from hypothesis import strategies as st

from rnn_mapper.errors import MappingError
from sim_tests.bench.grids import GRIDS
from sim_tests.bench.model_bench import ModelBench
from sim_tests.bench.models import ModelCase
from sim_tests.bench.random_cases import model_cases


@cocotb.test()
async def random_models(dut: Any) -> None:
    """Outputs, total cycles and the time of every step, from a cleared and from a kept state."""
    parameters = GRIDS[os.environ["SRNN_GRID"]]
    bench = ModelBench(dut, parameters)

    async def run_case(case: ModelCase, lengths: list[int], extreme: bool) -> None:
        mapping = case.mapping(parameters)
        await bench.begin()
        await bench.load_model(mapping)
        for number, steps in enumerate(lengths):
            inputs = case.operands(parameters, steps, number, extreme)
            await bench.check(inputs, keep=number % 3 == 1, what=str(case))

    lengths = st.lists(st.one_of(st.integers(1, 3), st.integers(1, 12)), min_size=2, max_size=4)

    @seed(int(os.environ.get("SRNN_SEED", "0")))
    @settings(
        max_examples=int(os.environ.get("SRNN_COUNT", "20")), deadline=None, database=None,
        # No shrinking: a case is small and named in the message, and a failing simulation may be slow.
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )
    @given(model_cases(parameters), lengths, st.booleans())
    def examples(case: ModelCase, lengths: list[int], extreme: bool) -> None:
        try:
            resume(run_case)(case, lengths, extreme)
        except MappingError:
            reject()

    await bridge(examples)()
