"""The schedule of timed phases, as `rnn_mapper.schedule.durations.build_schedule` finds it, in microseconds.

Which two issues can come too close, and what lies between them, depends only on the lags and waits of the phases, so it
is listed once for each kind of network; the list is a tree, so that what is far enough away is cut off at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from rnn_mapper.explore.distances import NOTHING, STATE, STORED, Distances
from rnn_mapper.explore.fast_follow import Controller
from rnn_mapper.explore.fast_timing import FastTiming
from rnn_mapper.explore.following import Following, Pair, following
from rnn_mapper.schedule.durations import ScheduleEntry
from rnn_mapper.schedule.phases import Phase
from rnn_mapper.schedule.tokens import TokenCost

__all__ = ["Lengths", "Outline", "Table", "fast_costs", "fast_lengths"]


@dataclass(frozen=True, eq=False)
class Outline:
    """What a schedule depends on of its phases, but for their timings."""

    #: The entries, as yet without durations.
    entries: tuple[ScheduleEntry, ...]
    #: By phase: the next one begins only when everything is stored.
    barriers: tuple[bool, ...]
    #: By two phases: what they have in common, as in `distances`.
    shared: tuple[tuple[int, ...], ...]
    #: Layer of each phase, and its place among those of the layer.
    places: tuple[tuple[int, int], ...]
    #: By two layers: what their phases have in common.
    layer_shares: tuple[tuple[tuple[tuple[int, ...], ...], ...], ...]
    #: Place of each issue (2 * entry + fresh) where phases are listed layer by layer.
    grouped: tuple[int, ...]
    #: Lags, and what waits for what how many steps back.
    structure: tuple[tuple[int, int | None, int], ...]
    #: What following the tokens depends on.
    controller: Controller
    #: Phase of the last token of a sequence, and the last one whose results go to the host.
    last: int
    output: int

    @classmethod
    def of(cls, phases: Sequence[Phase]) -> Outline:
        """The outline of these phases, in their order of issue."""
        layers: list[list[int]] = [[] for _ in range(1 + max(phase.group for phase in phases))]
        places = []
        for index, phase in enumerate(phases):
            places.append((phase.group, len(layers[phase.group])))
            layers[phase.group].append(index)
        listed = [index for layer in layers for index in layer]
        entries = tuple(
            ScheduleEntry(index, phase.lag, 0, 0, False, phase.waits_for, phase.wait_back, phase.needs_input,
                          phase.frees_input, phase.to_host and phase.part == 0)
            for index, phase in enumerate(phases)
        )
        return cls(
            entries,
            tuple(phase.barrier for phase in phases),
            tuple(tuple(_shared(a, b) for b in phases) for a in phases),
            tuple(places),
            tuple(tuple(tuple(tuple(_shared(phases[a], phases[b]) for b in others) for a in layer) for others in layers)
                  for layer in layers),
            tuple(2 * listed.index(index) + fresh for index in range(len(phases)) for fresh in (0, 1)),
            tuple((entry.lag, entry.waits_for, entry.wait_back) for entry in entries),
            Controller.of(entries),
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


class Table:
    """Least distances between any two issues (2 * entry + fresh) of a schedule.

    Phases are taken by layer (or as one layer): what lies between two layers is kept by `Distances`.
    """

    def __init__(self, outline: Outline, layers: Sequence[tuple[FastTiming, ...]], distances: Distances) -> None:
        self._outline = outline
        self._blocks = [
            [distances.between(first, second, shares) for second, shares in zip(layers, row, strict=True)]
            for first, row in zip(layers, outline.layer_shares, strict=True)
        ]
        reach = [max(each) for row in self._blocks for each in zip(*[block.reach for block in row], strict=True)]
        sites = [max(each) for row in self._blocks for each in zip(*[block.sites for block in row], strict=True)]
        #: By issue: the longest distance to any other, and the cycles until the sites are free for any other.
        self.reach = [reach[place] for place in outline.grouped]
        self.sites = [sites[place] for place in outline.grouped]
        self._rows: dict[int, list[int]] = {}

    def row(self, issue: int) -> list[int]:
        """Distances from an issue to each."""
        row = self._rows.get(issue)
        if row is None:
            layer, place = self._outline.places[issue // 2]
            found: list[int] = []
            for block in self._blocks[layer]:
                found += block.distances[2 * place + issue % 2]
            row = self._rows[issue] = [found[other] for other in self._outline.grouped]
        return row


def fast_lengths(outline: Outline, timings: Sequence[FastTiming], table: Table) -> Lengths:
    """The durations that `rnn_mapper.schedule.durations.build_schedule` finds for phases with these timings."""
    durations = [
        _duration(outline, place, variant, table)
        for place, variant in enumerate(variant for timing in timings for variant in (timing, timing.fresh or timing))
    ]
    holds = _without_faults(outline, durations, table)
    return Lengths(durations, holds)


def fast_costs(timings: Sequence[FastTiming], lengths: Lengths) -> tuple[list[TokenCost], list[TokenCost]]:
    """What `rnn_mapper.schedule.tokens.token_costs` makes of that schedule: costs in most steps, and in the first."""
    durations = lengths.durations
    return (
        [_cost(timing, duration, timing) for timing, duration in zip(timings, durations[::2], strict=True)],
        [_cost(timing.fresh or timing, duration, timing)
         for timing, duration in zip(timings, durations[1::2], strict=True)],
    )


def _duration(outline: Outline, place: int, timing: FastTiming, table: Table) -> int:
    """A duration that is safe whatever comes next, as far as sites and buffers are concerned."""
    index = place // 2
    duration = table.sites[place]
    if outline.barriers[index]:
        duration = max(duration, timing.stored)
    if not timing.kind.stores:
        reach = table.reach[place]
        if reach > timing.completion + 1:
            duration = max(duration, reach)
    return max(duration, timing.last_end) if outline.entries[index].frees_input else duration


def _without_faults(outline: Outline, durations: list[int], table: Table) -> tuple[bool, ...]:
    """Lengthen durations until no two issues come too close in any sequence; returns what holds its slot for that."""
    holds = (False,) * len(outline.entries)
    while (slot := _lengthened(following(outline.structure, holds), durations, table)) is not None:
        holds = tuple(held or index == slot for index, held in enumerate(holds))
    return holds


def _lengthened(following: Following, durations: list[int], table: Table) -> int | None:
    """Lengthen durations until there is no fault, or until one is found where an entry could hold its slot: that one.

    The mapper looks for the first fault again after each. Durations only grow, so what comes before a fault stays
    right, and one pass in the same order finds the same.
    """
    # Each with its place in the mapper's order, which decides what comes next.
    reach = table.reach
    pending: list[tuple[int, Pair]] = []
    for duration, distance, first in zip(durations, reach, following.first, strict=True):
        # What is far enough away stays so.
        if duration < distance:
            pending += first
    heapify(pending)
    while pending:
        pair = pending[0][1]
        passed = sum([durations[index] for index in pair.path])
        issue = pair.issue
        if passed >= reach[issue]:
            heappop(pending)
            continue
        if pair.other >= 0:
            missing = table.row(issue)[pair.other] - passed
            if missing > 0:
                if pair.slot is not None:
                    return pair.slot
                durations[pair.path[-1]] += missing
        heappop(pending)
        for after in pair.after or following.after(pair):
            heappush(pending, after)
    return None


def _cost(timing: FastTiming, duration: int, steady: FastTiming) -> TokenCost:
    output = _place_of_bit(timing.arrivals, steady.output_start) + 1 if timing.arrivals else None
    return TokenCost(duration, None if timing.kind.stores else timing.completion, timing.slots, output)


@lru_cache(maxsize=1 << 12)
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
