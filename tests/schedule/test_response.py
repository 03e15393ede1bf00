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


def test_the_gap_is_the_shortest_that_keeps_the_response() -> None:
    for plan, sequence in sequences(12, PhaseOrder.RESPONSE):
        response = response_of(sequence)
        assert response is not None, str(plan)
        assert response.shortest_gap >= sequence.input_beats
        first = predict(sequence, 1, cleared=False).cycles
        for gap, keeps in ((response.shortest_gap, True), (response.shortest_gap - 1, False)):
            if gap >= sequence.input_beats:
                found = predict(sequence, 12, cleared=False, arrivals=[first + gap * step for step in range(12)])
                times = [end - load.last for end, load in zip(found.step_cycles, found.inputs, strict=True)]
                assert (max(times) == response.cycles) == keeps, f"{plan}: {times}, {response}"


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
