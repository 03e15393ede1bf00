"""Responses of random schedules: consistent with the prediction of sequences that lie ready."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rnn_mapper.schedule.phases import PhaseOrder
from rnn_mapper.schedule.prediction import SequencePlan, predict
from rnn_mapper.schedule.response import response_of
from tests.support.random_plans import RandomPlan, random_plan


def sequences(count: int, schedule: PhaseOrder) -> Iterator[tuple[RandomPlan, SequencePlan]]:
    rng = np.random.default_rng(3)
    while count:
        plan = random_plan(rng)
        if plan is not None and plan.schedule is schedule:
            count -= 1
            emitting = next(timing for timing in plan.timings if timing.phase.to_host)
            nest = plan.timings[0].nest
            yield plan, SequencePlan(
                plan.timings, plan.entries, int(rng.integers(1, 40)), emitting.nest.groups, nest.rows * nest.lanes * 8
            )


def test_inputs_that_are_there_are_never_idle() -> None:
    for plan, sequence in sequences(10, PhaseOrder.RESPONSE):
        ready, arriving = predict(sequence, 9), predict(sequence, 9, arrivals=[0] * 9)
        assert ready.cycles == arriving.cycles, str(plan)
        assert ready.step_cycles == arriving.step_cycles
        assert list(ready.inputs) == list(arriving.inputs)


def test_every_gap_from_the_shortest_on_keeps_the_response() -> None:
    rng, close = np.random.default_rng(8), 0
    for plan, sequence in sequences(25, PhaseOrder.RESPONSE):
        response = response_of(sequence)
        assert response is not None, str(plan)
        assert response.shortest_gap >= sequence.input_beats
        first = predict(sequence, 2, cleared=False).cycles

        def times(gaps: list[int], sequence: SequencePlan = sequence, first: int = first) -> list[int]:
            arrivals = [first + sum(gaps[:step]) for step in range(len(gaps) + 1)]
            found = predict(sequence, len(arrivals), cleared=False, arrivals=arrivals)
            return [end - load.last for end, load in zip(found.step_cycles, found.inputs, strict=True)]

        for _ in range(6):
            wide = [int(gap) for gap in response.shortest_gap + rng.choice([0, 0, 1, 2, 3, 7, 100], 12)]
            assert {*times(wide)} == {response.cycles}, f"{plan}: {times(wide)}, {response}"
        # What is shorter by a third is too short for most.
        close += max(times([max(sequence.input_beats, response.shortest_gap * 2 // 3)] * 12)) > response.cycles
    assert close > 12


def test_a_late_input_delays_only_what_follows() -> None:
    for plan, sequence in sequences(8, PhaseOrder.RESPONSE):
        before = predict(sequence, 6, arrivals=[0] * 6)
        late = predict(sequence, 6, arrivals=[0, 0, 0, before.cycles + 500, 0, 0])
        assert late.step_cycles[:3] == before.step_cycles[:3], str(plan)
        assert late.step_cycles[3] > before.cycles + 500


def test_outputs_of_a_fused_stack_wait_for_later_inputs() -> None:
    seen = set()
    for plan, sequence in sequences(40, PhaseOrder.FUSED):
        behind = max(entry.lag for entry in plan.entries) > max(
            entry.lag for entry in plan.entries if entry.needs_input
        )
        response = response_of(sequence)
        seen.add((behind, response is None))
        assert response is None or response.cycles > 0
    assert (True, True) in seen
