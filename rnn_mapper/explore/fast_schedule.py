"""The schedule of timed phases, as `rnn_mapper.schedule.build_schedule` finds it, in microseconds.

Which two issues can come too close, and what lies between them, depends only on the lags and waits of the phases, so it
is listed once for each kind of network; the list is a tree, so that what is far enough away is cut off at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from heapq import heappop, heappush

from rnn_mapper.explore.distances import Distances, Least, Shared
from rnn_mapper.explore.fast_timing import FastTiming
from rnn_mapper.phases import Phase
from rnn_mapper.schedule import ScheduleEntry, issues, skipped_between
from rnn_mapper.token_costs import EntryCost, TokenCost

__all__ = ["Outline", "fast_costs"]


@dataclass(frozen=True, eq=False)
class Outline:
    """What a schedule depends on of its phases, but for their timings."""

    #: The entries, as yet without durations.
    entries: tuple[ScheduleEntry, ...]
    #: By phase: the next one begins only when everything is stored.
    barriers: tuple[bool, ...]
    #: By two phases.
    shared: tuple[tuple[Shared, ...], ...]

    @classmethod
    def of(cls, phases: Sequence[Phase]) -> Outline:
        """The outline of these phases, in their order of issue."""
        return cls(
            tuple(
                ScheduleEntry(index, phase.lag, 0, 0, False, phase.waits_for, phase.wait_back, phase.needs_input,
                              phase.frees_input, phase.to_host and phase.part == 0)
                for index, phase in enumerate(phases)
            ),
            tuple(phase.barrier for phase in phases),
            tuple(tuple(_shared(a, b) for b in phases) for a in phases),
        )


def _shared(a: Phase, b: Phase) -> Shared:
    if a.stored_key == b.stored_key:
        return Shared.STORED
    return Shared.STATE if a.state_key == b.state_key else Shared.NOTHING


def fast_costs(outline: Outline, timings: Sequence[FastTiming], distances: Distances) -> list[EntryCost]:
    """What `rnn_mapper.token_costs.token_costs` makes of the schedule of phases with these timings."""
    least = _least(outline, timings, distances)
    durations = [
        _duration(outline, place, variant, least[place])
        for place, variant in enumerate(variant for timing in timings for variant in (timing, timing.fresh or timing))
    ]
    rows = [[distance for distance, _ in row] for row in least]
    holds = _without_faults(outline, durations, rows)
    return [
        EntryCost(
            ScheduleEntry(index, entry.lag, durations[2 * index], durations[2 * index + 1], holds[index],
                          entry.waits_for, entry.wait_back, entry.needs_input, entry.frees_input, entry.to_host),
            _cost(timing, durations[2 * index], timing),
            _cost(timing.fresh or timing, durations[2 * index + 1], timing),
        )
        for index, (entry, timing) in enumerate(zip(outline.entries, timings, strict=True))
    ]


def _least(outline: Outline, timings: Sequence[FastTiming], distances: Distances) -> list[list[Least]]:
    """Distances of any two issues (2 * entry + fresh)."""
    rows: list[list[Least]] = []
    for first, shares in zip(timings, outline.shared, strict=True):
        steady: list[Least] = []
        fresh: list[Least] = []
        for second, shared in zip(timings, shares, strict=True):
            found = distances.of(first, second, shared)
            steady += found[:2]
            fresh += found[2:]
        rows += steady, fresh
    return rows


def _duration(outline: Outline, place: int, timing: FastTiming, row: Sequence[Least]) -> int:
    """A duration that is safe whatever comes next, as far as sites and buffers are concerned."""
    index = place // 2
    duration = max([sites for _, sites in row])
    if outline.barriers[index]:
        duration = max(duration, timing.stored)
    if not timing.kind.stores:
        reach = max(row)[0]
        if reach > timing.completion + 1:
            duration = max(duration, reach)
    return max(duration, *timing.ends) if outline.entries[index].frees_input else duration


def _without_faults(outline: Outline, durations: list[int], least: list[list[int]]) -> tuple[bool, ...]:
    """Lengthen durations until no two issues come too close in any sequence; returns what holds its slot for that."""
    structure = tuple((entry.lag, entry.waits_for, entry.wait_back) for entry in outline.entries)
    holds = (False,) * len(structure)
    reach = [max(row) for row in least]
    while (slot := _lengthened(_tree(structure, holds), durations, least, reach)) is not None:
        holds = tuple(held or index == slot for index, held in enumerate(holds))
    return holds


def _lengthened(
    roots: Sequence[_Node], durations: list[int], least: list[list[int]], reach: list[int]
) -> int | None:
    """Lengthen durations until there is no fault, or until one is found where an entry could hold its slot: that one.

    The mapper looks for the first fault again after each. Durations only grow, so what comes before a fault stays
    right, and one pass in the same order finds the same.
    """
    pending = list(roots)
    while pending:
        node = heappop(pending)
        passed = sum([durations[index] for index in node.path])
        if passed >= reach[node.issue]:
            continue
        if node.other >= 0:
            missing = least[node.issue][node.other] - passed
            if missing > 0:
                if node.slot is not None:
                    return node.slot
                durations[node.path[-1]] += missing
        for after in node.after:
            heappush(pending, after)
    return None


def _cost(timing: FastTiming, duration: int, steady: FastTiming) -> TokenCost:
    output = _place_of_bit(timing.arrivals, steady.output_start) + 1 if timing.arrivals else None
    return TokenCost(duration, None if timing.kind.stores else timing.completion, timing.slots, output)


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


@dataclass(slots=True)
class _Node:
    """An issue that follows another; those that follow further on are its children."""

    #: The first issue (2 * entry + fresh), and those whose durations lie between the two.
    issue: int
    path: tuple[int, ...]
    #: Issue here, or -1 where nothing is issued or the wait makes it safe.
    other: int
    #: A skipped entry between the two that could hold its slot, or None.
    slot: int | None
    #: Place in the order in which faults are looked for; of children it is larger.
    order: int
    after: list[_Node] = field(default_factory=list)

    def __lt__(self, other: _Node) -> bool:
        return self.order < other.order


@lru_cache(maxsize=1 << 10)
def _tree(structure: tuple[tuple[int, int | None, int], ...], holds: tuple[bool, ...]) -> list[_Node]:
    """Everything that may follow each issue, over all short sequences; the first after each."""
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
                issue = 2 * index + fresh
                node = roots.setdefault(issue, _Node(issue, (), -1, None, -1))
                for later in range(place + 1, len(sequence)):
                    before, _, _, before_fresh = sequence[later - 1]
                    other, other_step, other_exists, other_fresh = sequence[later]
                    entry = entries[other]
                    if other_exists and entry.waits_for == index and other_step - entry.wait_back >= step:
                        break
                    slots = skipped.get((index, step, other, other_step), []) if other_exists else []
                    order += 1
                    node = _child(node, 2 * before + before_fresh, 2 * other + other_fresh if other_exists else -1,
                                  slots[0] if slots else None, order)
    return sorted(node for root in roots.values() for node in root.after)


def _child(node: _Node, duration: int, other: int, slot: int | None, order: int) -> _Node:
    for after in node.after:
        if (after.path[-1], after.other, after.slot) == (duration, other, slot):
            return after
    node.after.append(_Node(node.issue, (*node.path, duration), other, slot, order))
    return node.after[-1]
