"""cocotb test: inputs that come one at a time, with gaps of all lengths, to random models on one grid.

SRNN_GRID names the grid, SRNN_COUNT the number of models, SRNN_SEED the random choices.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import cocotb
import numpy as np
from cocotb.task import bridge, resume
from hypothesis import HealthCheck, Phase, given, reject, seed, settings
from hypothesis import strategies as st

from hdl.register_map import Control, Status
from rnn_mapper import cells
from rnn_mapper.bus import input_packet
from rnn_mapper.errors import MappingError
from rnn_mapper.fixed_point import Codes
from rnn_mapper.mapping.state_images import state_packets
from rnn_mapper.schedule.phases import PhaseOrder
from sim_tests.bench.grids import GRIDS
from sim_tests.bench.model_bench import START_LATENCY, ModelBench
from sim_tests.bench.models import ModelCase
from sim_tests.bench.random_cases import model_cases

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]
STEPS = 8


def quiet(bench: ModelBench) -> int:
    """Cycles after START, or after an input, in which all that needs no further input is over."""
    return bench.mapping.predict(2, cleared=False).cycles + 50


async def run_sequence(bench: ModelBench, inputs: Codes, gaps: list[int], keep: bool, what: str) -> list[int]:
    """One sequence, whose inputs come with these gaps between their first beats; returns the responses.

    Outputs and the cycles of their last beats must be as predicted.
    """
    mapping, steps = bench.mapping, len(inputs)
    expected = bench.reference.run(inputs, bench.state if keep else None)
    bench.beats.clear()
    await bench.start(steps, keep)
    first = bench.started[-1] + START_LATENCY
    arrivals = [gaps[0] + quiet(bench)]
    arrivals += [arrivals[0] + sum(gaps[1 : step + 1]) for step in range(1, steps)]
    taken = [
        await bench.put_input(input_packet(vector[None], bench.beat_bytes), first + arrival, step == steps - 1) - first
        for step, (vector, arrival) in enumerate(zip(inputs, arrivals, strict=True))
    ]
    await bench.finish()
    sent = [beat.cycle - first for beat in bench.beats][mapping.output_groups - 1 :: mapping.output_groups]
    assert not await bench.errors(), what
    wrong = int(np.count_nonzero(bench.take_outputs(steps) != expected.outputs))
    assert wrong == 0, f"{what}: {wrong} outputs differ"
    bench.state = expected.state
    predicted = mapping.predict(steps, cleared=not keep, arrivals=arrivals)
    assert sent == predicted.step_cycles, f"{what}: {sent}, predicted {predicted.step_cycles}"
    bench.sink.clear()
    return [end - last for end, last in zip(sent, taken, strict=True)]


@cocotb.test()
async def what_was_computed_before_is_thrown_away(dut: Any) -> None:
    """After an abort, and after a load of a state, in the gap in which products of the old state are stored already."""
    bench = ModelBench(dut, PARAMETERS)
    # The cell has no state beside its vector, so that any grid has room for it.
    case = ModelCase(cells.rnn_tanh, PARAMETERS.lanes + 1, (PARAMETERS.rows + 1,), schedule=PhaseOrder.RESPONSE)
    await bench.begin()
    await bench.load_model(case.mapping(PARAMETERS))
    inputs = case.operands(PARAMETERS, 6)
    beat = bench.beat_bytes
    for keep in (False, True):
        if keep:
            await run_sequence(bench, inputs[:2], [0, 9], keep=False, what="before")
        earlier = bench.state
        # More steps than will ever come: a sequence without a known end.
        await bench.start((1 << 32) - 1, keep)
        for vector in inputs[:3]:
            await bench.put_input(input_packet(vector[None], beat), 0, False)
        # Every output is on its way, and the products of the last state are stored.
        await bench.cycles(quiet(bench))
        assert len(bench.beats) == 3 * bench.mapping.output_groups
        await bench.write("CONTROL", 1 << Control.ABORT)
        await bench.put_input(input_packet(inputs[3:4], beat), 0, True)
        await bench.finish()
        assert await bench.read("STATUS") == 1 << Status.ABORTED
        if keep:
            bench.load(state_packets(bench.mapping, earlier))
            await bench.source.wait()
            await bench.cycles(2)
            bench.state = earlier
        await run_sequence(bench, inputs, [0, 9, 9, 9, 9, 9], keep=keep, what=f"after an abort, state loaded {keep}")


@cocotb.test()
async def responses(dut: Any) -> None:
    """Every input and output in its cycle; with gaps from the shortest on, from a kept state, always one response."""
    bench = ModelBench(dut, PARAMETERS)

    async def run_case(case: ModelCase, numbers: int) -> None:
        mapping = case.mapping(PARAMETERS)
        rng = np.random.default_rng(numbers)
        await bench.begin()
        await bench.load_model(mapping)
        response = mapping.response
        assert response is not None, str(case)
        inputs = case.operands(PARAMETERS, STEPS)
        # From a cleared state, and closer than the shortest gap: the inputs wait, and nothing is lost.
        dense = [int(gap) for gap in rng.integers(mapping.input_beats, response.shortest_gap + 1, STEPS)]
        await run_sequence(bench, inputs, dense, keep=False, what=f"{case}, dense")
        wide = [int(gap) for gap in response.shortest_gap + rng.choice([0, 0, 1, 2, 7, 100], STEPS)]
        found = await run_sequence(bench, inputs, wide, keep=True, what=f"{case}, wide")
        assert {*found} == {response.cycles}, f"{case}: {found}, predicted {response}"

    @seed(int(os.environ.get("SRNN_SEED", "0")))
    @settings(
        max_examples=int(os.environ.get("SRNN_COUNT", "8")), deadline=None, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )
    @given(model_cases(PARAMETERS), st.integers(0, 1 << 20))
    def examples(case: ModelCase, numbers: int) -> None:
        try:
            resume(run_case)(replace(case, schedule=PhaseOrder.RESPONSE), numbers)
        except MappingError:
            reject()

    await bridge(examples)()
