"""The schedules of thousands of random mappings, by an independent checker; and that the checker finds faults."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from random_plans import RandomPlan, random_plan

from rnn_mapper.check_schedule import find_violations, plan_to_check

#: Stops early on a slow machine, but never before this many mappings.
SECONDS, FEWEST = 20.0, 300
#: Steps of a sequence, and the chance that a token is delayed.
REPLAYS = ((1, 0.0), (3, 0.0), (3, 0.5), (6, 0.15), (7, 0.9))
#: One replay in so many continues from a kept state.
KEPT = 4


def violations(plan: RandomPlan, seed: int, replays: tuple[tuple[int, float], ...] = REPLAYS) -> list[str]:
    checked = plan_to_check(plan.timings, plan.entries, plan.unit_bases)
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


def shorter(plan: RandomPlan) -> RandomPlan:
    entries = [replace(entry, duration=max(1, entry.duration // 2)) for entry in plan.entries]
    return replace(plan, entries=entries)


def shorter_first_step(plan: RandomPlan) -> RandomPlan:
    entries = [replace(entry, fresh_duration=max(1, entry.fresh_duration // 2)) for entry in plan.entries]
    return replace(plan, entries=entries)


def without_waits(plan: RandomPlan) -> RandomPlan:
    return replace(plan, entries=[replace(entry, waits_for=None) for entry in plan.entries])


def without_pad(plan: RandomPlan) -> RandomPlan:
    return replace(plan, timings=[replace(timing, pad=0) for timing in plan.timings])


def without_fresh_pad(plan: RandomPlan) -> RandomPlan:
    return replace(plan, timings=[
        replace(timing, shortened=replace(timing.shortened, pad=0)) if timing.shortened else timing
        for timing in plan.timings
    ])


def without_delays(plan: RandomPlan) -> RandomPlan:
    timings = [replace(timing, delays=(0,) * len(timing.delays)) for timing in plan.timings]
    return replace(plan, timings=timings)


def without_slots(plan: RandomPlan) -> RandomPlan:
    return replace(plan, entries=[replace(entry, holds_slot=False) for entry in plan.entries])


FAULTS: dict[str, tuple[Callable[[RandomPlan], RandomPlan], tuple[str, ...]]] = {
    "durations": (shorter, ("before its predecessor ends", "not there yet", "half back", "meet in the unit path")),
    "durations of the first step": (shorter_first_step, ("before its predecessor ends", "meet on the link")),
    "pad of the first step": (without_fresh_pad, ("meet in the unit path",)),
    "waits": (without_waits, ("is not complete",)),
    "pad": (without_pad, ("meet in the unit path",)),
    "delays": (without_delays, ("meet on the link", "reaches the collector while")),
    "slots": (without_slots, ("meet on the link",)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_checker_finds(fault: str) -> None:
    spoil, expected = FAULTS[fault]
    rng = np.random.default_rng(7)
    missing = set(expected)
    for seed in range(300):
        if (plan := random_plan(rng)) is not None:
            for found in violations(spoil(plan), seed, ((4, 0.0), (3, 0.2))):
                missing = {text for text in missing if text not in found}
        if not missing:
            return
    pytest.fail(f"the checker did not find: {', '.join(sorted(missing))}")
