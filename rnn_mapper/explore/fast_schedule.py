"""The schedule of timed phases, as `rnn_mapper.schedule.build_schedule` finds it, in microseconds.

Which two issues can come too close, and what lies between them, depends only on the lags and waits of the phases, so it
is listed once for each kind of network; the list is a tree, so that what is far enough away is cut off at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple

from rnn_mapper.explore.distances import NOTHING, STATE, STORED, Distances, Least
from rnn_mapper.explore.fast_timing import FastTiming
from rnn_mapper.explore.following import Following, following
from rnn_mapper.phases import Phase
from rnn_mapper.schedule import ScheduleEntry
from rnn_mapper.token_costs import EntryCost, TokenCost

__all__ = ["Lengths", "Outline", "fast_costs", "fast_lengths"]


@dataclass(frozen=True, eq=False)
class Outline:
    """What a schedule depends on of its phases, but for their timings."""

    #: The entries, as yet without durations.
    entries: tuple[ScheduleEntry, ...]
    #: By phase: the next one begins only when everything is stored.
    barriers: tuple[bool, ...]
    #: By two phases: what they have in common, as in `distances`.
    shared: tuple[tuple[int, ...], ...]
    #: Phase of the last token of a sequence, and the last one whose results go to the host.
    last: int
    output: int

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
            max(range(len(phases)), key=lambda index: (phases[index].lag, index)),
            next(index for index, phase in enumerate(phases) if phase.ends_output),
        )


def _shared(a: Phase, b: Phase) -> int:
    if a.stored_key == b.stored_key:
        return STORED
    return STATE if a.state_key == b.state_key else NOTHING


class Lengths(NamedTuple):
    """What the timings decide of a schedule."""

    #: Of issues (2 * entry + fresh).
    durations: list[int]
    #: By entry: it takes its duration even in an iteration in which it does nothing.
    holds: tuple[bool, ...]


def fast_lengths(outline: Outline, timings: Sequence[FastTiming], distances: Distances) -> Lengths:
    """The durations that `rnn_mapper.schedule.build_schedule` finds for phases with these timings."""
    least = _least(outline, timings, distances)
    durations = [
        _duration(outline, place, variant, least[place])
        for place, variant in enumerate(variant for timing in timings for variant in (timing, timing.fresh or timing))
    ]
    holds = _without_faults(outline, durations, [[distance for distance, _ in row] for row in least])
    return Lengths(durations, holds)


def fast_costs(outline: Outline, timings: Sequence[FastTiming], lengths: Lengths) -> list[EntryCost]:
    """What `rnn_mapper.token_costs.token_costs` makes of that schedule."""
    durations, holds = lengths
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
    while (slot := _lengthened(following(structure, holds), durations, least, reach)) is not None:
        holds = tuple(held or index == slot for index, held in enumerate(holds))
    return holds


def _lengthened(
    following: Following, durations: list[int], least: list[list[int]], reach: list[int]
) -> int | None:
    """Lengthen durations until there is no fault, or until one is found where an entry could hold its slot: that one.

    The mapper looks for the first fault again after each. Durations only grow, so what comes before a fault stays
    right, and one pass in the same order finds the same.
    """
    # Each with its place in the mapper's order, which decides what comes next.
    pending = list(following.first)
    while pending:
        _, pair = heappop(pending)
        passed = sum([durations[index] for index in pair.path])
        row = least[pair.issue]
        if passed >= reach[pair.issue]:
            continue
        if pair.other >= 0 and row[pair.other] > passed:
            if pair.slot is not None:
                return pair.slot
            durations[pair.path[-1]] += row[pair.other] - passed
        for after in following.after(pair):
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
