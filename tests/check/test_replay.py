"""An independent checker passes the schedules of hundreds of random mappings, and finds faults put into them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters
from rnn_mapper import cells
from rnn_mapper.check.footprint import TimedPhase
from rnn_mapper.check.replay import find_violations, plan_to_check
from rnn_mapper.network.random import LayerShape
from rnn_mapper.quantisation.blank import blank_network
from rnn_mapper.schedule.entries import ScheduleEntry
from rnn_mapper.schedule.loop_nest import LoopNest
from rnn_mapper.schedule.order import phases_of
from rnn_mapper.schedule.phases import Phase, PhaseOrder, unit_groups
from rnn_mapper.schedule.prediction import SequencePlan, TokenIssue, predict
from rnn_mapper.schedule.timing import PhaseTiming
from tests.support.random_plans import RandomPlan, plan_with, random_plan

#: Stops early on a slow machine, but never before this many mappings.
SECONDS, FEWEST = 20.0, 120
#: Steps of a sequence, and the chance that a token is delayed.
REPLAYS = ((1, 0.0), (3, 0.0), (3, 0.5), (6, 0.15), (7, 0.9))
#: One in this many replays continues from a kept state.
KEPT = 4


@dataclass(frozen=True)
class Record:
    """The decisions about a phase, for a test to spoil."""

    phase: Phase
    nest: LoopNest
    latencies: GridLatencies
    group_beats: int
    pad: int
    delays: tuple[int, ...]
    output_offset: int
    output_start: int
    shortened: "Record | None"

    @property
    def fresh(self) -> "Record":
        return self.shortened or self

    @classmethod
    def of(cls, timing: PhaseTiming) -> "Record":
        return cls(
            timing.phase, timing.nest, timing.latencies, timing.group_beats, timing.pad, timing.delays,
            timing.output_offset, timing.output_start, None if timing.fresh is timing else cls.of(timing.fresh),
        )


@dataclass(frozen=True)
class Decided:
    """The decisions of a random plan."""

    timings: list[Record]
    entries: list[ScheduleEntry]
    unit_bases: list[int]

    @classmethod
    def of(cls, plan: RandomPlan) -> "Decided":
        return cls([Record.of(timing) for timing in plan.timings], plan.entries, plan.unit_bases)


def violations(
    plan: RandomPlan | Decided, seed: int, replays: tuple[tuple[int, float], ...] = REPLAYS
) -> list[str]:
    timings: Sequence[TimedPhase] = plan.timings
    checked = plan_to_check(timings, plan.entries, plan.unit_bases)
    delays = np.random.default_rng(seed)
    return [
        found for number, (steps, chance) in enumerate(replays)
        for found in find_violations(checked, steps, delays, chance, cleared=(seed + number) % KEPT > 0)
    ]


@pytest.mark.parametrize("seed", range(2))
def test_no_random_mapping_collides(seed: int) -> None:
    rng = np.random.default_rng(seed)
    started, checked = time.monotonic(), 0
    while checked < 1000 and (checked < FEWEST or time.monotonic() - started < SECONDS):
        plan = random_plan(rng)
        if plan is not None:
            found = violations(plan, checked)
            assert not found, f"{plan}: {found[0]}"
            checked += 1


@pytest.mark.parametrize("schedule", [PhaseOrder.FUSED, PhaseOrder.RESPONSE, PhaseOrder.SEQUENTIAL])
@pytest.mark.parametrize(("outputs", "chains"), [(8, 3), (9, 3), (10, 4)])
def test_heads_on_columns_of_their_own(schedule: PhaseOrder, outputs: int, chains: int) -> None:
    """A site that only the head uses still waits for its delay when the layer on other sites could begin."""
    parameters, latencies = GridParameters(1, 8, 16), GridLatencies(4, 10, 4, 7, 2, 4, 1)
    network = blank_network(4, [LayerShape(cells.lstm, 3)], outputs, parameters.arithmetic)
    phases = phases_of([network], [[group.units] for group in unit_groups([network])], schedule)
    plan = plan_with(network, phases, {(0, 0): (1, 1), (1, 0): (1, chains)}, schedule, parameters, latencies)
    head = next(timing for timing in plan.timings if timing.phase.to_host)
    assert any(delay >= head.busy(0) for delay in head.delays), "not the case that is meant"
    for seed in range(20):
        assert not violations(plan, seed)


def test_the_last_result_is_the_same_in_every_step() -> None:
    """The last result is marked once, in its unit entry."""
    rng, seen = np.random.default_rng(11), 0
    while seen < 100:
        plan = random_plan(rng)
        for timing in plan.timings if plan else []:
            if timing.fresh is not timing:
                seen += 1
                assert timing.fresh.arrivals[-1][1] == timing.arrivals[-1][1]


def end(timing: PhaseTiming, token: TokenIssue) -> int:
    """First cycle in which all results of a token's phase are in place."""
    if not timing.phase.stores:
        return token.cycle + timing.of_step(token.fresh).completion + 1
    lasts = [
        delay + timing.nest.units(chain) * timing.nest.gates * timing.nest.words + timing.nest.tail(chain)
        for chain, delay in enumerate(timing.delays) if timing.nest.units(chain)
    ]
    return token.cycle + timing.latencies.token + max(lasts) - 1 + timing.latencies.store


def test_schedules_in_order_do_not_overlap() -> None:
    """A step begins when the previous step is done; a kernel, when the previous kernel has written all its results."""
    rng = np.random.default_rng(12)
    seen = dict.fromkeys((PhaseOrder.SEQUENTIAL, PhaseOrder.BLAS), 0)
    while min(seen.values()) < 60:
        plan = random_plan(rng)
        if plan is None or plan.schedule not in seen:
            continue
        seen[plan.schedule] += 1
        groups = sum(timing.nest.groups for timing in plan.timings if timing.phase.to_host)
        sequence = SequencePlan(plan.timings, plan.entries, 3, groups, 8)
        tokens = predict(sequence, 5, cleared=seen[plan.schedule] % 2 > 0).tokens
        ends = [end(plan.timings[token.phase], token) for token in tokens]
        for (token, over), after in zip(zip(tokens, ends, strict=True), tokens[1:], strict=False):
            kernel = plan.timings[token.phase].phase.stores and plan.schedule is PhaseOrder.BLAS
            if kernel or after.step > token.step:
                assert after.cycle >= over, f"{plan}: {after} before the end of {token} in cycle {over}"


def shorter(plan: Decided) -> Decided:
    entries = [replace(entry, duration=max(1, entry.duration // 2)) for entry in plan.entries]
    return replace(plan, entries=entries)


def shorter_first_step(plan: Decided) -> Decided:
    entries = [replace(entry, fresh_duration=max(1, entry.fresh_duration // 2)) for entry in plan.entries]
    return replace(plan, entries=entries)


def without_waits(plan: Decided) -> Decided:
    return replace(plan, entries=[replace(entry, waits_for=None) for entry in plan.entries])


def without_pad(plan: Decided) -> Decided:
    return replace(plan, timings=[replace(timing, pad=0) for timing in plan.timings])


def without_fresh_pad(plan: Decided) -> Decided:
    return replace(plan, timings=[
        replace(timing, shortened=replace(timing.shortened, pad=0)) if timing.shortened else timing
        for timing in plan.timings
    ])


def without_delays(plan: Decided) -> Decided:
    timings = [replace(timing, delays=(0,) * len(timing.delays)) for timing in plan.timings]
    return replace(plan, timings=timings)


def without_slots(plan: Decided) -> Decided:
    return replace(plan, entries=[replace(entry, holds_slot=False) for entry in plan.entries])


def later_stages(plan: Decided) -> Decided:
    """Stages after a cell's first run a step later, when the first has written the next step's words."""
    later = [plan.timings[entry.phase].phase.stage.index > 0 for entry in plan.entries]
    return replace(plan, entries=[
        replace(entry, lag=entry.lag + late) for entry, late in zip(plan.entries, later, strict=True)
    ])


FAULTS: dict[str, tuple[Callable[[Decided], Decided], tuple[str, ...]]] = {
    "durations": (shorter, ("before its predecessor ends", "not there yet", "half back", "meet in the unit path")),
    "durations of the first step": (shorter_first_step, ("before its predecessor ends", "meet on the link")),
    "pad of the first step": (without_fresh_pad, ("meet in the unit path",)),
    "waits": (without_waits, ("is not complete",)),
    "pad": (without_pad, ("meet in the unit path",)),
    "delays": (without_delays, ("meet on the link", "reaches the collector while")),
    "state words": (later_stages, ("finds STATE",)),
    "slots": (without_slots, ("meet on the link",)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_checker_finds(fault: str) -> None:
    spoil, expected = FAULTS[fault]
    rng = np.random.default_rng(7)
    missing = set(expected)
    for seed in range(300):
        if (plan := random_plan(rng)) is not None:
            for found in violations(spoil(Decided.of(plan)), seed, ((4, 0.0), (3, 0.2))):
                missing = {text for text in missing if text not in found}
        if not missing:
            return
    pytest.fail(f"the checker did not find: {', '.join(sorted(missing))}")
