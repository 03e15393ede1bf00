"""Properties of predictions that hold for every mapping; that they equal the simulation is tested in simulations."""

from dataclasses import replace

import numpy as np
import pytest
from random_plans import RandomPlan, random_plan

from rnn_mapper.predict import SequencePlan, predict


def plans(seed: int, count: int) -> list[tuple[RandomPlan, SequencePlan]]:
    rng = np.random.default_rng(seed)
    found: list[tuple[RandomPlan, SequencePlan]] = []
    while len(found) < count:
        plan = random_plan(rng)
        if plan is None:
            continue
        emitting = next(timing for timing in plan.timings if timing.phase.to_host)
        nest = plan.timings[0].nest
        found.append((plan, SequencePlan(
            plan.timings, plan.entries, int(rng.integers(1, 40)), emitting.nest.groups,
            nest.rows * nest.lanes * 8,
        )))
    return found


@pytest.mark.parametrize("seed", range(2))
def test_accounts_and_steps(seed: int) -> None:
    for plan, sequence in plans(seed, 60):
        before = None
        for steps in (1, 2, 3, 9, 10):
            prediction = predict(sequence, steps)
            assert prediction.account.total == pytest.approx(prediction.cycles), str(plan)
            shares = vars(prediction.account)
            assert all(share >= 0 for name, share in shares.items() if name not in ("fragmentation", "epilogue"))
            assert len(prediction.step_cycles) == steps
            assert prediction.step_cycles == sorted(set(prediction.step_cycles))
            assert prediction.step_cycles[-1] < prediction.cycles
            if before is not None:
                assert prediction.cycles > before.cycles
            before = prediction


def test_long_sequences_are_periodic() -> None:
    for plan, sequence in plans(5, 20):
        ends = predict(sequence, 60).step_cycles
        gaps = np.diff(ends)[20:50]
        period = next((p for p in range(1, 13) if (gaps[p:] == gaps[:-p]).all()), None)
        assert period is not None, str(plan)


def test_an_output_never_waits_for_a_group() -> None:
    """Once begun it sends a group a cycle, in every step; in some plans the short first step needs more results."""
    more = 0
    for seed in range(180):
        plan = random_plan(np.random.default_rng(seed))
        for timing in plan.timings if plan else ():
            if not (timing.phase.to_host and timing.phase.last_part):
                continue
            first = timing.phase.first_unit // timing.nest.rows
            for variant in (timing, timing.fresh):
                begins = variant.arrivals[timing.output_start - 1][0]
                assert all(cycle <= begins + first + group for cycle, group in variant.arrivals), f"{seed}: {plan}"
            more += replace(timing, shortened=None).output_start < timing.fresh.output_start
    assert more > 0
