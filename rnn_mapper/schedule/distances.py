"""Least distances between the tokens of two timed phases: cycles until all resources of the second phase are free.

A stack of layers has few timings for each layer but many combinations of them, so the distance between two timings is
computed once for each pair.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import sub
from typing import NamedTuple

from hdl.latencies import GridLatencies
from rnn_mapper.cells.program import Program
from rnn_mapper.cells.unit_timing import ring_events, state_events, uses_of_registers
from rnn_mapper.schedule.clock import PhaseClock
from rnn_mapper.schedule.loop_nest import ceil_div
from rnn_mapper.schedule.timing import PhaseTraits, Timing

__all__ = ["NOTHING", "STATE", "STORED", "Between", "Distances"]


#: What two phases share: nothing, state words of their units, or state words and stored parts. Plain numbers, because
#: they are part of lookup keys.
NOTHING, STATE, STORED = range(3)
#: Timings of the phases of one unit group; and by two phases (first, second), what they share.
Timings = tuple[Timing, ...]
Shares = tuple[tuple[int, ...], ...]


class Between(NamedTuple):
    """Distances from issues (2 * phase + fresh) of the first phases to issues of the second, by first issue."""

    #: Cycles until all resources of each second issue are free, and the maximum over the second issues.
    distances: list[list[int]]
    reach: list[int]
    #: Cycles until the sites are free for any second issue.
    sites: list[int]


class _Apart(NamedTuple):
    """Least cycles from the first operands of a unit of one phase to the first operands of a unit of another."""

    #: Until the unit path and its registers are free.
    unit_path: int
    #: Until the same unit's state words are there, and its stored parts; None where the two phases share none.
    state: int | None
    stored: int | None


class Distances:
    """The distances between timings of this clock."""

    def __init__(self, clock: PhaseClock) -> None:
        self.clock = clock
        self._known: dict[tuple[Timing, Timing, int], int] = {}
        self._between: dict[tuple[Timings, Timings, Shares], Between] = {}
        self._apart: dict[tuple[PhaseTraits, int, PhaseTraits, int], _Apart] = {}
        self._overlaps: dict[tuple[int, int, int, int], tuple[tuple[int, ...], tuple[int, ...]]] = {}

    def of(self, first: Timing, second: Timing, shared: int) -> int:
        """Cycles from a token of `first` to a token of `second`, neither of them in the first step."""
        key = first, second, shared
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._row(first, ((second, shared),))[0][0]
        return known

    def between(self, firsts: Timings, seconds: Timings, shares: Shares) -> Between:
        """Distances from each of the phases `firsts` to each of `seconds`; `shares` says what each pair shares."""
        key = firsts, seconds, shares
        known = self._between.get(key)
        if known is None:
            distances: list[list[int]] = []
            sites: list[int] = []
            for first, shared in zip(firsts, shares, strict=True):
                wanted: list[tuple[Timing | None, int]] = []
                for second, share in zip(seconds, shared, strict=True):
                    wanted += (second, share), (second.fresh, share)
                steady = self._row(first, wanted)
                for row, free in (steady, self._row(first.fresh, wanted) if first.fresh else steady):
                    distances.append(row)
                    sites.append(free)
            known = self._between[key] = Between(distances, [max(row) for row in distances], sites)
        return known

    def _row(self, a: Timing, wanted: Iterable[tuple[Timing | None, int]]) -> tuple[list[int], int]:
        """Cycles from one issue until all resources of each wanted issue are free, and until the sites are free for all
        of them. `wanted` lists a timing and what it shares with `a`; None repeats the previous distance."""
        stores, columns, last_end = a.traits.stores, a.columns, a.last_end
        row: list[int] = []
        # A token must not overtake a token that waits for its delay, even at a site that the delay does not concern.
        free = a.waiting
        distance = 0
        for b, shared in wanted:
            if b is not None:
                reach = last_end if not b.delayed and columns <= b.columns else self._reach(a, b)
                if reach > free:
                    free = reach
                distance = max(a.waiting, reach)
                if shared or not (stores or b.traits.stores):
                    distance = max(distance, self._words_and_results(a, b, shared, reach))
            row.append(distance)
        return row, free

    def _reach(self, a: Timing, b: Timing) -> int:
        """Cycles until `a` has stopped reading at every site at which `b` would read."""
        ru, other = a.tiling.ru, b.tiling.ru
        if not b.delayed:
            # The chains of `a` that extend into the columns of `b`.
            return max(a.ends[: ceil_div(b.columns, ru)])
        if ru == other:
            return max(map(sub, a.ends, b.delays))
        key = ru, a.columns, other, b.columns
        known = self._overlaps.get(key)
        if known is None:
            pairs = {(column // ru, column // other) for column in range(min(a.columns, b.columns))}
            known = self._overlaps[key] = tuple(chain for chain, _ in pairs), tuple(later for _, later in pairs)
        ends, delays = a.ends, b.delays
        return max([ends[chain] - delays[later] for chain, later in zip(*known, strict=True)])

    def _words_and_results(self, a: Timing, b: Timing, shared: int, reach: int) -> int:
        """Cycles until the results and the unit path are free and the shared words are there."""
        stores = a.traits.stores
        if not stores and not b.traits.stores:
            apart = self._apart_of(a, b)
            # The last result of `a` is collected before the first result of `b` arrives, and `a` has left the unit path
            # before `b` enters it: the first operands of a last unit are gates x words cycles before the end.
            distance = max(a.completion + 1 - b.first_arrival, apart.unit_path + reach - a.traits.gates * a.words)
            if shared != NOTHING and apart.state is not None:
                distance = max(distance, apart.state + _unit_by_unit(a, b))
            return distance
        if shared == STORED and stores:
            apart = self._apart_of(a, b)
            # Parts that overwrite stored parts come later, because rows follow one another.
            return 0 if apart.stored is None else apart.stored + _unit_by_unit(a, b)
        return 0

    def _apart_of(self, a: Timing, b: Timing) -> _Apart:
        key = a.traits, a.words, b.traits, b.words
        known = self._apart.get(key)
        if known is None:
            first, second = (a.traits.program, a.words), (b.traits.program, b.words)
            if a.traits.stores:
                known = _Apart(0, None, _stored_apart(first, second, self.clock.latencies))
            else:
                known = _Apart(
                    _unit_path_apart(first, second, self.clock.latencies),
                    _state_apart(first, second, self.clock.latencies), None,
                )
            self._apart[key] = known
        return known


def _unit_by_unit(a: Timing, b: Timing) -> int:
    """Largest delay, over the units, with which `a` begins a unit later than `b`, a phase of the same units."""
    slower = a.interval - b.interval
    return max(
        wait - delay + max(0, (count - 1) * slower)
        for count, wait, delay in zip(a.units, a.delays, b.delays, strict=True)
    )


#: A unit program and the vector words of its rows.
_Rows = tuple[Program, int]


def _stored_apart(first: _Rows, second: _Rows, latencies: GridLatencies) -> int | None:
    """Least cycles so that every stored part of a unit is there before it is read."""
    (program, words), (reading, read_words) = first, second
    written = program.slots
    return max((
        (written.index(slot) + 1) * words - (place + 1) * read_words + latencies.store_distance
        for place, slot in enumerate(reading.slots) if slot in written
    ), default=None)


def _unit_path_apart(first: _Rows, second: _Rows, latencies: GridLatencies) -> int:
    """Least cycles so that a unit has left the unit path of a site, and used its values, before the next enters.

    A double register is treated as a single one: the units of two phases may have the same parity.
    """
    path = latencies.unit_path
    (writes, reads), (later_writes, _) = (uses_of_registers(*rows, path) for rows in (first, second))
    apart = ring_events(*first, path)[-1] - ring_events(*second, path)[0] + 1
    for name, cycles in later_writes.items():
        if cycles and reads[name]:
            # A value written in the cycle of the last use is late enough.
            apart = max(apart, max(reads[name]) - min(cycles))
        if cycles and writes[name]:
            apart = max(apart, max(writes[name]) - min(cycles) + 1)
    return apart


def _state_apart(first: _Rows, second: _Rows, latencies: GridLatencies) -> int | None:
    """Least cycles so that state words of a unit are read after they are written, and written after they are read."""
    path = latencies.unit_path
    (writes, reads), (later_writes, later_reads) = (state_events(*rows, path) for rows in (first, second))
    apart = [
        *(write + latencies.state_distance - read for write, slot in writes for read, other in later_reads
          if slot == other),
        *(write - later + 1 for write, slot in writes for later, other in later_writes if slot == other),
        *(read - later for read, slot in reads for later, other in later_writes if slot == other),
    ]
    return max(apart, default=None)
