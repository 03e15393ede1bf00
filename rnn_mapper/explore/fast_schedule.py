"""The schedule of timed phases, as `rnn_mapper.schedule.build_schedule` finds it, in microseconds.

Which two issues can come too close, and what lies between them, depends only on the lags and waits of the phases, so it
is listed once for each kind of network; the list is a tree, so that what is far enough away is cut off at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from operator import sub

from hdl.latencies import GridLatencies
from rnn_mapper.explore.fast_timing import FastTiming, smallest_timing
from rnn_mapper.phases import Phase
from rnn_mapper.schedule import (
    ScheduleEntry,
    issues,
    skipped_between,
    state_apart,
    stored_distance,
    unit_path_apart,
)
from rnn_mapper.timing import PhaseTiming
from rnn_mapper.token_costs import EntryCost, TokenCost

__all__ = ["fast_costs"]

@dataclass
class _Node:
    """An issue that follows another; the durations from that one add up along the tree."""

    #: Duration (2 * entry + fresh) that is added by coming here.
    duration: int
    #: Issue (2 * entry + fresh) here, or -1 where nothing is issued or the wait makes it safe.
    other: int
    #: A skipped entry between the two that could hold its slot, or None.
    slot: int | None
    #: Place in the order in which faults are looked for.
    order: int
    after: list[_Node] = field(default_factory=list)


def fast_costs(
    phases: Sequence[Phase], timings: Sequence[FastTiming], rus: Sequence[int],
    latencies: GridLatencies, group_beats: int,
) -> list[EntryCost]:
    """What `rnn_mapper.token_costs.token_costs` makes of the schedule of these phases. Lists are by phase."""
    count = len(phases)
    variants = [variant for timing in timings for variant in (timing, timing.fresh or timing)]
    used = [variant.words for variant in variants]
    # Times by site where the parts of a layer are laid out differently, else by chain.
    same = len(set(rus)) == 1
    ends, last_units, delays = (
        [values if same else [value for value in values for _ in range(rus[index // 2])]
         for index, values in enumerate(lists)]
        for lists in ([v.ends for v in variants], [v.last_units for v in variants], [v.delays for v in variants])
    )
    least: list[list[int]] = []
    durations: list[int] = []
    for index, first in enumerate(variants):
        one = index // 2
        if index % 2 and first is timings[one]:
            least.append(least[-1])
            durations.append(durations[-1])
            continue
        row: list[int] = []
        sites = 1
        waiting = max(1, max(first.delays) + 1)
        for place, second in enumerate(variants):
            other = place // 2
            if place % 2 and second is timings[other]:
                row.append(row[-1])
                continue
            a, b = phases[one], phases[other]
            distance = max(waiting, max(map(sub, ends[index], delays[place])))
            sites = max(sites, distance)
            if a.stores and a.stored_key == b.stored_key:
                constant = _stored_constant(a, used[index], b, used[place], latencies, group_beats)
                slower = first.interval - second.interval
                distance = max(distance, max(
                    constant + (max(0, (units - 1) * slower) if units else 0) - delay
                    for units, delay in zip(first.units, second.delays, strict=True)
                ))
            if not a.stores and not b.stores:
                distance = max(distance, first.completion + 1 - second.first_arrival)
                apart = _unit_path_constant(a, used[index], b, used[place], latencies, group_beats)
                distance = max(distance, apart + max(map(sub, last_units[index], delays[place])))
                if a.state_key == b.state_key:
                    shared = _state_constant(a, used[index], b, used[place], latencies, group_beats)
                    if shared is not None:
                        slower = first.interval - second.interval
                        chains = zip(first.units, first.delays, second.delays, strict=True)
                        distance = max(distance, max(
                            shared + wait + max(0, (units - 1) * slower) - delay
                            for units, wait, delay in chains if units
                        ))
            row.append(distance)
        least.append(row)
        if phases[one].barrier:
            sites = max(sites, first.stored)
        if not phases[one].stores and max(row) > first.completion + 1:
            sites = max(sites, *row)
        durations.append(max(sites, *first.ends) if phases[one].frees_input else sites)
    reach = [max(row) for row in least]
    structure = tuple((phase.lag, phase.waits_for, phase.wait_back) for phase in phases)
    holds = (False,) * count
    while (fault := _first_fault(_tree(structure, holds), durations, least, reach)) is not None:
        duration, slot, missing = fault
        if slot is not None:
            holds = tuple(held or index == slot for index, held in enumerate(holds))
        else:
            durations[duration] += missing
    return [
        EntryCost(
            ScheduleEntry(index, phase.lag, durations[2 * index], durations[2 * index + 1], holds[index],
                          phase.waits_for, phase.wait_back, phase.needs_input, phase.frees_input,
                          phase.to_host and phase.part == 0),
            *(_cost(phase, variants[place], durations[place], timings[index]) for place in (2 * index, 2 * index + 1)),
        )
        for index, phase in enumerate(phases)
    ]


def _cost(phase: Phase, timing: FastTiming, duration: int, whole: FastTiming) -> TokenCost:
    output = _place_of_bit(timing.arrivals, whole.output_start) + 1 if timing.arrivals else None
    return TokenCost(duration, None if phase.stores else timing.completion, timing.slots, output)


def _place_of_bit(bits: int, count: int) -> int:
    """The place of the `count`-th bit that is set."""
    low, high = 0, bits.bit_length()
    while high - low > 1:
        middle = (low + high) // 2
        if (bits & ((1 << middle) - 1)).bit_count() >= count:
            high = middle
        else:
            low = middle
    return low


@lru_cache(maxsize=1 << 12)
def _stored_constant(a: Phase, words: int, b: Phase, other: int, latencies: GridLatencies, group_beats: int) -> int:
    return stored_distance(*_smallest(a, words, b, other, latencies, group_beats))


@lru_cache(maxsize=1 << 12)
def _unit_path_constant(a: Phase, words: int, b: Phase, other: int, latencies: GridLatencies, group_beats: int) -> int:
    return unit_path_apart(*_smallest(a, words, b, other, latencies, group_beats))


@lru_cache(maxsize=1 << 12)
def _state_constant(
    a: Phase, words: int, b: Phase, other: int, latencies: GridLatencies, group_beats: int
) -> int | None:
    return state_apart(*_smallest(a, words, b, other, latencies, group_beats))


def _smallest(
    a: Phase, words: int, b: Phase, other: int, latencies: GridLatencies, group_beats: int
) -> tuple[PhaseTiming, PhaseTiming]:
    return smallest_timing(a, words, latencies, group_beats), smallest_timing(b, other, latencies, group_beats)


def _first_fault(
    roots: dict[int, _Node], durations: list[int], least: list[list[int]], reach: list[int]
) -> tuple[int, int | None, int] | None:
    """The first fault in the mapper's order: the duration that could grow, the slot that could be held, the cycles."""
    found: tuple[int, int | None, int] | None = None
    order = 1 << 60
    for issue, root in roots.items():
        row, far = least[issue], reach[issue]
        pending = [(node, 0) for node in root.after]
        while pending:
            node, passed = pending.pop()
            passed += durations[node.duration]
            if passed >= far:
                continue
            if node.other >= 0 and row[node.other] > passed and node.order < order:
                order, found = node.order, (node.duration, node.slot, row[node.other] - passed)
            for after in node.after:
                pending.append((after, passed))
    return found


@lru_cache(maxsize=1 << 10)
def _tree(
    structure: tuple[tuple[int, int | None, int], ...], holds: tuple[bool, ...]
) -> dict[int, _Node]:
    """For each issue (2 * entry + fresh) everything that may follow it, over all short sequences."""
    blank = ScheduleEntry(0, 0, 1, 1, False, None, 0, False, False, False)
    entries = [
        replace(blank, phase=index, lag=lag, holds_slot=held, waits_for=waits, wait_back=back)
        for index, ((lag, waits, back), held) in enumerate(zip(structure, holds, strict=True))
    ]
    roots: dict[int, _Node] = {}
    order = 0
    for steps in range(1, max(entry.lag for entry in entries) + 4):
        for cleared in (True, False):
            sequence = [
                (index, step, exists, cleared and step == 0) for index, step, exists in issues(entries, steps)
                if exists or entries[index].holds_slot
            ]
            skipped = skipped_between(entries, steps)
            for place, (index, step, exists, fresh) in enumerate(sequence):
                if not exists:
                    continue
                node = roots.setdefault(2 * index + fresh, _Node(0, -1, None, -1))
                for later in range(place + 1, len(sequence)):
                    before, _, _, before_fresh = sequence[later - 1]
                    other, other_step, other_exists, other_fresh = sequence[later]
                    entry = entries[other]
                    if other_exists and entry.waits_for == index and other_step - entry.wait_back >= step:
                        break
                    slots = skipped.get((index, step, other, other_step), []) if other_exists else []
                    key = (2 * before + before_fresh, 2 * other + other_fresh if other_exists else -1,
                           slots[0] if slots else None)
                    order += 1
                    node = _child(node, key, order)
    return roots


def _child(node: _Node, key: tuple[int, int, int | None], order: int) -> _Node:
    for after in node.after:
        if (after.duration, after.other, after.slot) == key:
            return after
    node.after.append(_Node(*key, order))
    return node.after[-1]
