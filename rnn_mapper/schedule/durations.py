"""Order of issue and durations of phases with which nothing ever collides, whatever the host's streams do.

A later token can only be delayed (by missing input, a full output buffer, results not yet there), never early. So a
safe least distance between two tokens stays safe, and it is enough to find it for every pair of phases. Which two
issues can come too close, and which issues are between them, depends only on the lags and waits of the phases, so an
`Outline` lists these pairs once for all timings (`rnn_mapper.schedule.following`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from rnn_mapper.schedule.clock import PhaseClock
from rnn_mapper.schedule.distances import NOTHING, STATE, STORED, Distances
from rnn_mapper.schedule.entries import ScheduleEntry
from rnn_mapper.schedule.following import Following, Pair
from rnn_mapper.schedule.phases import Phase
from rnn_mapper.schedule.timing import PhaseTiming, Timing
from rnn_mapper.schedule.tokens import Controller

__all__ = ["Durations", "Outline", "Table", "build_schedule", "safe_durations"]


class Durations(NamedTuple):
    """The part of a schedule that depends on the timings."""

    #: Durations by issue (2 * entry + fresh), in cycles.
    cycles: list[int]
    #: By entry: the entry takes its duration even in an iteration in which it does nothing.
    holds: tuple[bool, ...]


@dataclass(frozen=True, eq=False)
class Outline:
    """Everything a schedule depends on in its phases, except their timings."""

    #: The entries, without durations.
    entries: tuple[ScheduleEntry, ...]
    #: By phase: the next one begins only when everything is stored.
    barriers: tuple[bool, ...]
    #: By two phases: what they share, see `distances`.
    shared: tuple[tuple[int, ...], ...]
    #: Unit group of each phase, and the phase's place among the phases of the group.
    places: tuple[tuple[int, int], ...]
    #: By two unit groups: what their phases share.
    group_shares: tuple[tuple[tuple[tuple[int, ...], ...], ...], ...]
    #: Place of each issue (2 * entry + fresh) in a list of the phases group by group.
    grouped: tuple[int, ...]
    #: The controller's settings, used when tokens are followed.
    controller: Controller
    #: Phase of the last token of a sequence, and the last one whose results go to the host.
    last: int
    output: int
    _following: dict[tuple[bool, ...], Following] = field(default_factory=dict)

    @classmethod
    def of(cls, phases: Sequence[Phase]) -> Outline:
        """The outline of these phases, in their order of issue."""
        # A mapping has phases of every group; a model that reads states has not.
        numbers = {group: number for number, group in enumerate(sorted({phase.group for phase in phases}))}
        groups: list[list[int]] = [[] for _ in numbers]
        places = []
        for index, phase in enumerate(phases):
            number = numbers[phase.group]
            places.append((number, len(groups[number])))
            groups[number].append(index)
        listed = [index for group in groups for index in group]
        entries = tuple(
            ScheduleEntry(index, phase.lag, 1, 1, False, phase.waits_for, phase.wait_back, phase.needs_input,
                          phase.frees_input, phase.to_host and phase.slice == 0)
            for index, phase in enumerate(phases)
        )
        return cls(
            entries,
            tuple(phase.barrier for phase in phases),
            tuple(tuple(_shared(a, b) for b in phases) for a in phases),
            tuple(places),
            tuple(tuple(tuple(tuple(_shared(phases[a], phases[b]) for b in others) for a in group) for others in groups)
                  for group in groups),
            tuple(2 * listed.index(index) + fresh for index in range(len(phases)) for fresh in (0, 1)),
            Controller.of(entries),
            max(range(len(phases)), key=lambda index: (phases[index].lag, index)),
            next(index for index, phase in enumerate(phases) if phase.ends_output),
        )

    def following(self, holds: tuple[bool, ...]) -> Following:
        """Pairs of issues that may come too close if these entries hold their slot."""
        if holds not in self._following:
            self._following[holds] = Following([
                replace(entry, holds_slot=held) for entry, held in zip(self.entries, holds, strict=True)
            ])
        return self._following[holds]

    def by_group(self, timings: Sequence[Timing]) -> list[tuple[Timing, ...]]:
        """The timings of the phases, group by group."""
        groups: list[list[Timing]] = [[] for _ in self.group_shares]
        for timing, (group, _) in zip(timings, self.places, strict=True):
            groups[group].append(timing)
        return [tuple(group) for group in groups]


def _shared(a: Phase, b: Phase) -> int:
    if a.stored_key == b.stored_key:
        return STORED
    return STATE if a.state_key == b.state_key else NOTHING


class Table:
    """Least distances between any two issues (2 * entry + fresh) of a schedule.

    Phases are taken by unit group: `Distances` keeps the distances between two groups.
    """

    def __init__(self, outline: Outline, groups: Sequence[tuple[Timing, ...]], distances: Distances) -> None:
        self._outline = outline
        self._blocks = [
            [distances.between(first, second, shares) for second, shares in zip(groups, row, strict=True)]
            for first, row in zip(groups, outline.group_shares, strict=True)
        ]
        reach = [max(each) for row in self._blocks for each in zip(*[block.reach for block in row], strict=True)]
        sites = [max(each) for row in self._blocks for each in zip(*[block.sites for block in row], strict=True)]
        #: By issue: the longest distance to any other, and the cycles until the sites are free for every other issue.
        self.reach = [reach[place] for place in outline.grouped]
        self.sites = [sites[place] for place in outline.grouped]
        self._rows: dict[int, list[int]] = {}

    def row(self, issue: int) -> list[int]:
        """Distances from an issue to every issue."""
        row = self._rows.get(issue)
        if row is None:
            group, place = self._outline.places[issue // 2]
            found: list[int] = []
            for block in self._blocks[group]:
                found += block.distances[2 * place + issue % 2]
            row = self._rows[issue] = [found[other] for other in self._outline.grouped]
        return row


def build_schedule(timings: Sequence[PhaseTiming]) -> list[ScheduleEntry]:
    """Entries for the phases in the given order, with the shortest durations that are safe in every sequence."""
    outline = Outline.of([timing.phase for timing in timings])
    cycles = [timing.cycles for timing in timings]
    distances = Distances(PhaseClock(timings[0].latencies, timings[0].group_beats))
    durations = safe_durations(outline, cycles, Table(outline, outline.by_group(cycles), distances))
    return [
        replace(entry, duration=later, fresh_duration=fresh, holds_slot=held) for entry, later, fresh, held in zip(
            outline.entries, durations.cycles[::2], durations.cycles[1::2], durations.holds, strict=True)
    ]


def safe_durations(outline: Outline, timings: Sequence[Timing], table: Table) -> Durations:
    """The shortest durations with which no two issues come too close in any sequence."""
    cycles = [
        _duration(outline, place, variant, table)
        for place, variant in enumerate(variant for timing in timings for variant in (timing, timing.fresh or timing))
    ]
    holds = (False,) * len(outline.entries)
    while (slot := _lengthened(outline.following(holds), cycles, table)) is not None:
        holds = tuple(held or index == slot for index, held in enumerate(holds))
    return Durations(cycles, holds)


def _duration(outline: Outline, place: int, timing: Timing, table: Table) -> int:
    """A duration that is safe for sites and buffers, whatever comes next.

    A phase that waits for the results of this phase is issued after the last result. Where even that could be too
    early, the duration is lengthened.
    """
    index = place // 2
    duration = table.sites[place]
    if outline.barriers[index]:
        duration = max(duration, timing.stored)
    if not timing.traits.stores:
        reach = table.reach[place]
        if reach > timing.completion + 1:
            duration = max(duration, reach)
    # The half of the input buffer is given back when the duration is over.
    return max(duration, timing.last_end) if outline.entries[index].frees_input else duration


def _lengthened(following: Following, durations: list[int], table: Table) -> int | None:
    """Lengthen durations until no issues are too close; or until a skipped entry could hold its slot: return the entry.

    Pairs are taken in the order of `Following`: durations only grow, so pairs already passed stay far enough apart.
    """
    reach = table.reach
    pending: list[tuple[int, Pair]] = []
    for duration, distance, first in zip(durations, reach, following.first, strict=True):
        # Issues that are far enough apart stay so.
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
