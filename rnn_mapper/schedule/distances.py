"""Least distances between the tokens of two timed phases: the cycles after which all that the second takes is free.

A stack of layers has few timings for each layer but many combinations of them, so what two timings have to do with each
other is found once for both.
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


#: What two phases have in common: nothing, state words of their units, or those and stored parts. Plain numbers,
#: because pairs are looked up by them.
NOTHING, STATE, STORED = range(3)
#: Phases of one unit group, and what each of some phases has in common with each of others.
Timings = tuple[Timing, ...]
Shares = tuple[tuple[int, ...], ...]


class Between(NamedTuple):
    """What lies between the issues (2 * phase + fresh) of some phases and those of others, by issue of the first."""

    #: Cycles to each of the others until all is free that it takes, and the most of these.
    distances: list[list[int]]
    reach: list[int]
    #: Cycles until the sites are free for any of the others.
    sites: list[int]


class _Apart(NamedTuple):
    """Cycles from the first operands of a unit of one phase to those of a unit of another, at least."""

    #: The unit path and its registers are free.
    unit_path: int
    #: The same unit's state words are there, and its stored parts; None where the two have none in common.
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
        """Cycles from a token of `first` to one of `second`, neither of them in the first step."""
        key = first, second, shared
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._row(first, ((second, shared),))[0][0]
        return known

    def between(self, firsts: Timings, seconds: Timings, shares: Shares) -> Between:
        """Between any of some phases and any of others, which have so much in common."""
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
        """From one issue to others, which have so much in common with it, until all is free that they take, and until
        the sites are free for any of them. None is the one before over again."""
        stores, columns, last_end = a.traits.stores, a.columns, a.last_end
        row: list[int] = []
        # A token must not overtake one that waits for its delay, even at a site that it does not concern.
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
        """Cycles until no site of `a` reads any more where one of `b` would."""
        ru, other = a.tiling.ru, b.tiling.ru
        if not b.delayed:
            # The chains of `a` that reach into the columns of `b`.
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
        """Cycles until results, the unit path and the words in common are free or there."""
        stores = a.traits.stores
        if not stores and not b.traits.stores:
            apart = self._apart_of(a, b)
            # The last result of the one is collected before the first of the other arrives; and one has left the unit
            # path before the other enters: the first operands of a last unit are gates x words before the end.
            distance = max(a.completion + 1 - b.first_arrival, apart.unit_path + reach - a.traits.gates * a.words)
            if shared != NOTHING and apart.state is not None:
                distance = max(distance, apart.state + _unit_by_unit(a, b))
            return distance
        if shared == STORED and stores:
            apart = self._apart_of(a, b)
            # What is stored over it comes later, as rows follow one another.
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
    """How much later than `b` a phase of the same units begins one, where it is most."""
    slower = a.interval - b.interval
    return max(
        wait - delay + max(0, (count - 1) * slower)
        for count, wait, delay in zip(a.units, a.delays, b.delays, strict=True)
    )


#: A unit program and the vector words of its rows.
_Rows = tuple[Program, int]


def _stored_apart(first: _Rows, second: _Rows, latencies: GridLatencies) -> int | None:
    """Every stored part of a unit is there before it is read."""
    (program, words), (reading, read_words) = first, second
    written = program.slots
    return max((
        (written.index(slot) + 1) * words - (place + 1) * read_words + latencies.store_distance
        for place, slot in enumerate(reading.slots) if slot in written
    ), default=None)


def _unit_path_apart(first: _Rows, second: _Rows, latencies: GridLatencies) -> int:
    """One unit has left the unit path of a site, and used what it holds, before the next enters.

    A register that exists twice is treated as if it did not: the units of two phases may have the same parity.
    """
    ring = latencies.ring
    (writes, reads), (later_writes, _) = (uses_of_registers(*rows, ring) for rows in (first, second))
    apart = ring_events(*first, ring)[-1] - ring_events(*second, ring)[0] + 1
    for name, cycles in later_writes.items():
        if cycles and reads[name]:
            # A value that is written in the cycle of the last use comes late enough.
            apart = max(apart, max(reads[name]) - min(cycles))
        if cycles and writes[name]:
            apart = max(apart, max(writes[name]) - min(cycles) + 1)
    return apart


def _state_apart(first: _Rows, second: _Rows, latencies: GridLatencies) -> int | None:
    """State words of a unit are read after they are written, and written after they are read."""
    (writes, reads), (later_writes, later_reads) = (state_events(*rows, latencies.ring) for rows in (first, second))
    apart = [
        *(write + latencies.state_distance - read for write, slot in writes for read, other in later_reads
          if slot == other),
        *(write - later + 1 for write, slot in writes for later, other in later_writes if slot == other),
        *(read - later for read, slot in reads for later, other in later_writes if slot == other),
    ]
    return max(apart, default=None)
