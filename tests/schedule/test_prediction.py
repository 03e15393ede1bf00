"""Properties of predictions that hold for every mapping; equality with the simulation is tested in simulations."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from rnn_mapper.schedule.clock import PhaseClock, with_first_step
from rnn_mapper.schedule.prediction import SequencePlan, predict
from rnn_mapper.schedule.timing import PhaseTiming, Timing
from rnn_mapper.schedule.tokens import Controller, Trace, follow, token_costs
from tests.support.plain_predict import plain_predict
from tests.support.random_plans import RandomPlan, random_plan


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
    """Once begun, the output sends a group a cycle, in every step, whatever the timing of the first step.

    The mapper's choices for the first step never need more results than the other steps, so other choices, which do,
    are tried as well.
    """
    more = 0
    for seed in range(120):
        plan = random_plan(np.random.default_rng(seed))
        for chosen in plan.timings if plan else ():
            if not chosen.phase.ends_output:
                continue
            first = chosen.phase.first_unit // chosen.nest.rows
            for timing in (chosen, *other_first_steps(chosen)):
                for variant in (timing, timing.fresh):
                    begins = variant.arrivals[timing.output_start - 1][0]
                    assert all(cycle <= begins + first + group for cycle, group in variant.arrivals), f"{seed}: {plan}"
                more += alone(timing).output_start < timing.fresh.output_start
    assert more > 0


def alone(timing: PhaseTiming) -> PhaseTiming:
    """The timing without a separate timing for the first step."""
    return replace(timing, cycles=delayed(timing, timing.cycles.delays))


def delayed(timing: PhaseTiming, delays: tuple[int, ...]) -> Timing:
    """The cycles of a timing with other delays."""
    clock, cycles = PhaseClock(timing.latencies, timing.group_beats), timing.cycles
    flow = clock.rules.flow(cycles.traits, cycles.tiling, cycles.words)
    return clock.delayed(flow, cycles.interval, delays)


def other_first_steps(timing: PhaseTiming) -> Iterator[PhaseTiming]:
    """The timing with other delays of its chains in the first step."""
    steady = alone(timing)
    for late in range(len(timing.cycles.delays)):
        delays = tuple(delay + 200 * (chain == late) for chain, delay in enumerate(timing.cycles.delays))
        yield replace(timing, cycles=with_first_step(steady.cycles, delayed(timing, delays)))


def followed_tokens(plan: SequencePlan, steps: int) -> int:
    """Number of tokens that are followed one by one."""
    durations = [duration for entry in plan.entries for duration in (entry.duration, entry.fresh_duration)]
    costs = token_costs([timing.cycles for timing in plan.timings], durations)
    trace, holds = Trace(), [entry.holds_slot for entry in plan.entries]
    follow(Controller.of(plan.entries), *costs, holds, plan.input_beats, plan.output_groups, steps, trace)
    return len(trace.tokens)


@pytest.mark.parametrize("seed", range(3))
def test_skipping_what_repeats_changes_nothing(seed: int) -> None:
    skipped = 0
    for plan, sequence in plans(100 + seed, 60):
        for steps in (1, 2, 3, 4, 6, 9, 30, 101):
            cleared = bool((steps + seed) % 3)
            fast, plain = predict(sequence, steps, cleared), plain_predict(sequence, steps, cleared)
            text = f"{steps} steps, cleared {cleared}: {plan}"
            assert (fast.cycles, fast.step_cycles, fast.phase_cycles) == (
                plain.cycles, plain.step_cycles, plain.phase_cycles), text
            assert (list(fast.tokens), list(fast.inputs)) == (plain.tokens, plain.inputs), text
            assert vars(fast.account) == pytest.approx(vars(plain.account), abs=1e-6), text
            assert fast.utilisation == pytest.approx(plain.utilisation), text
            tokens = len(plain.tokens)
            assert fast.tokens[-1] == plain.tokens[-1]
            assert fast.tokens[tokens // 2 : tokens // 2 + 3] == plain.tokens[tokens // 2 : tokens // 2 + 3]
            skipped += steps > 100 and followed_tokens(sequence, steps) < tokens
    assert skipped > 50


def test_long_sequences_cost_little() -> None:
    """Only few steps are followed one by one, however long the sequence is."""
    for plan, sequence in plans(7, 40):
        followed = [followed_tokens(sequence, steps) for steps in (200, 5000)]
        assert followed[1] <= followed[0] + 40 * len(plan.entries), str(plan)
