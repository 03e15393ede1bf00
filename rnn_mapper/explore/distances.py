"""Least distances between the tokens of two timed phases, as `schedule.durations.least_distance` finds them, kept.

A stack of layers has few timings for each layer but many combinations of them, so what two timings have to do with each
other is found once for both. The rules are asked from `rnn_mapper.schedule.durations` on the smallest nest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from operator import sub
from typing import NamedTuple

from hdl.latencies import GridLatencies
from rnn_mapper.explore.fast_timing import FastTiming
from rnn_mapper.explore.kinds import Kind, smallest_timing
from rnn_mapper.schedule.durations import state_apart, stored_distance, unit_path_apart
from rnn_mapper.schedule.loop_nest import ceil_div

__all__ = ["NOTHING", "STATE", "STORED", "Between", "Distances"]


#: What two phases have in common: nothing, state words of their units, or those and stored parts. Plain numbers,
#: because pairs are looked up by them.
NOTHING, STATE, STORED = range(3)
#: Phases of one layer, and what each of some phases has in common with each of others.
Timings = tuple[FastTiming, ...]
Shares = tuple[tuple[int, ...], ...]


class Between(NamedTuple):
    """What lies between the issues (2 * phase + fresh) of some phases and those of others, by issue of the first."""

    #: Cycles to each of the others until all is free that it takes, and the most of these.
    distances: list[list[int]]
    reach: list[int]
    #: Cycles until the sites are free for any of the others.
    sites: list[int]


class _Constants(NamedTuple):
    """What lies between two units whose phases are of two kinds, where both are in the first chain of a grid."""

    #: From the first operands of the one unit to those of the other: the unit path and its registers are free.
    unit_path: int
    #: The same unit's state words are there; None where the two have none in common.
    state: int | None
    #: What the first phase stores is there.
    stored: int


class Distances:
    """The distances on grids with these latencies."""

    def __init__(self, latencies: GridLatencies, group_beats: int) -> None:
        self._latencies, self._beats = latencies, group_beats
        self._known: dict[tuple[FastTiming, FastTiming, int], int] = {}
        self._between: dict[tuple[Timings, Timings, Shares], Between] = {}
        self._constants: dict[tuple[Kind, int, Kind, int], _Constants] = {}

    def of(self, first: FastTiming, second: FastTiming, shared: int) -> int:
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
                wanted: list[tuple[FastTiming | None, int]] = []
                for second, share in zip(seconds, shared, strict=True):
                    wanted += (second, share), (second.fresh, share)
                steady = self._row(first, wanted)
                for row, free in (steady, self._row(first.fresh, wanted) if first.fresh else steady):
                    distances.append(row)
                    sites.append(free)
            known = self._between[key] = Between(distances, [max(row) for row in distances], sites)
        return known

    def _row(self, a: FastTiming, wanted: Iterable[tuple[FastTiming | None, int]]) -> tuple[list[int], int]:
        """From one issue to others, which have so much in common with it, until all is free that they take, and until
        the sites are free for any of them. None is the one before over again."""
        stores, columns, last_end = a.kind.stores, a.columns, a.last_end
        row: list[int] = []
        free = a.waiting
        distance = 0
        for b, shared in wanted:
            if b is not None:
                # Cycles until no site of `a` reads any more where one of `b` would.
                reach = last_end if not b.delayed and columns <= b.columns else _reach(a, b)
                if reach > free:
                    free = reach
                distance = max(a.waiting, reach)
                if shared or not (stores or b.kind.stores):
                    distance = max(distance, self._apart(a, b, shared, reach))
            row.append(distance)
        return row, free

    def _apart(self, a: FastTiming, b: FastTiming, shared: int, reach: int) -> int:
        """Cycles until results, the unit path and stored words are free or there."""
        if not a.kind.stores and not b.kind.stores:
            constants = self._constants_of(a, b)
            # The first operands of a last unit are gates x words before the end.
            distance = max(a.completion + 1 - b.first_arrival, constants.unit_path + reach - a.kind.gates * a.words)
            if shared != NOTHING and constants.state is not None:
                distance = max(distance, constants.state + _unit_by_unit(a, b))
            return distance
        if shared == STORED and a.kind.stores:
            return self._constants_of(a, b).stored + _unit_by_unit(a, b)
        return 0

    def _constants_of(self, a: FastTiming, b: FastTiming) -> _Constants:
        key = a.kind, a.words, b.kind, b.words
        known = self._constants.get(key)
        if known is None:
            first = smallest_timing(a.kind, a.words, self._latencies, self._beats)
            second = smallest_timing(b.kind, b.words, self._latencies, self._beats)
            # Kinds are known by phases of any layer: here they are to be those of the same units.
            one, other = first.phase, second.phase
            other = replace(
                other, member=one.member, layer=one.layer, stage=one.stage, group=one.group, part=one.part)
            second = replace(second, phase=other)
            if a.kind.stores:
                known = _Constants(0, None, stored_distance(first, second))
            else:
                known = _Constants(unit_path_apart(first, second), state_apart(first, second), 0)
            self._constants[key] = known
        return known


def _reach(a: FastTiming, b: FastTiming) -> int:
    """Cycles until no site of `a` reads any more where one of `b` would."""
    one, other = a.split, b.split
    if not b.delayed:
        # The chains of `a` that reach into the columns of `b`.
        return max(a.ends[: ceil_div(b.columns, one.ru)])
    if one.ru == other.ru:
        return max(map(sub, a.ends, b.delays))
    chains, others = _overlaps(one.ru, one.chains, other.ru, other.chains)
    ends, delays = a.ends, b.delays
    return max([ends[chain] - delays[later] for chain, later in zip(chains, others, strict=True)])


@lru_cache(maxsize=1 << 14)
def _overlaps(ru: int, chains: int, later_ru: int, later_chains: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Chains of two splits that share a column."""
    pairs = sorted({(column // ru, column // later_ru) for column in range(min(ru * chains, later_ru * later_chains))})
    return tuple(chain for chain, _ in pairs), tuple(later for _, later in pairs)


def _unit_by_unit(a: FastTiming, b: FastTiming) -> int:
    """How much later than `b` a phase of the same split begins a unit, where it is most."""
    slower = a.interval - b.interval
    return max(
        wait - delay + max(0, max(0, count - 1) * slower)
        for count, wait, delay in zip(a.units, a.delays, b.delays, strict=True) if count or a.kind.stores
    )
