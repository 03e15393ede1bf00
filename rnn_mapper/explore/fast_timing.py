"""The timing of a phase, as `rnn_mapper.schedule.timing` finds it, in microseconds.

Cycles in which results arrive are the bits of one integer, so that all results of a chain are compared with all others
at once. The rules themselves (which programs fit an interval, what holds a register how long) are asked from
`rnn_mapper.schedule.timing` and `rnn_mapper.cells.unit_timing` on the smallest nest, and kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from hdl.latencies import GridLatencies
from rnn_mapper.cells.unit_timing import follows, same_flow
from rnn_mapper.errors import MappingError
from rnn_mapper.explore.kinds import Kind, name_of, program_of
from rnn_mapper.schedule.loop_nest import LoopNest, ceil_div
from rnn_mapper.schedule.timing import FIELD_LIMIT, FIRST_STEP_TRIALS, arrival_base

__all__ = ["FastTiming", "Split", "fast_timing", "steady_timing"]


class Split(NamedTuple):
    """What is left of a loop nest when the grid is forgotten."""

    #: PCUs of a chain, chains of a row, groups of units, vector words of a gate in a PCU, groups of the parts before.
    ru: int
    chains: int
    groups: int
    words: int
    first: int


@dataclass(frozen=True, eq=False, slots=True)
class FastTiming:
    """Cycles from the issue of a token, as those of `rnn_mapper.schedule.timing.PhaseTiming`. Tuples are by chain.

    Timings are looked up by identity: `fast_timing` gives the same one for the same arguments.
    """

    kind: Kind
    split: Split
    interval: int
    #: Vector words of a row in a PCU.
    words: int
    delays: tuple[int, ...]
    #: Some chain is delayed.
    delayed: bool
    #: Columns that it takes.
    columns: int
    #: Units of each chain.
    units: tuple[int, ...]
    #: First cycle after the last in which a site of the chain reads, from the first operands.
    ends: tuple[int, ...]
    #: The last of them.
    last_end: int
    #: A token that follows sooner would overtake this one where it waits for its delay.
    waiting: int
    #: Cycle of the first result, and the one in which the last has been collected (0 for a phase that stores).
    first_arrival: int
    completion: int
    #: Slots of the write stream; bit 0 is the token.
    slots: int
    #: Bits of the cycles in which results arrive, where the output begins with this phase; else 0.
    arrivals: int
    #: How many of them must be there for the output to begin.
    output_start: int
    #: Cycle in which every stored part is in its memory.
    stored: int
    #: The timing in the first step of a cleared sequence, where it differs.
    fresh: FastTiming | None


class _Flow(NamedTuple):
    """What the results of a phase depend on, but for the interval of its units."""

    kind: Kind
    split: Split
    #: Units of each chain.
    units: tuple[int, ...]
    #: Vector words of a row: those of the split, or fewer in the first step.
    words: int
    #: Cycles that a result occupies the collector.
    spacing: int
    #: Arrival of the first unit of a chain that ends in column 0, and how much later one column on.
    base: int
    slope: int

    def shift(self, chain: int) -> int:
        """How much later than `base` the first unit of this chain arrives, without a delay."""
        return self.slope * ((chain + 1) * self.split.ru - 1)

    def earliest(self, interval: int) -> int:
        """The last result takes no slot before this one, counted as `_Delayed.taken`, whatever the delays are."""
        fullest = (self.split.groups - 1) % self.split.chains
        return self.shift(fullest) + (self.units[0] - 1) * interval + self.spacing


class _Delayed(NamedTuple):
    """Chains that are delayed so that no two results meet."""

    interval: int
    delays: list[int]
    #: All slots of results, counted from the arrival of a first unit without shift and delay.
    taken: int


@lru_cache(maxsize=1 << 16)
def fast_timing(kind: Kind, split: Split, latencies: GridLatencies, group_beats: int) -> FastTiming:
    """As `rnn_mapper.schedule.timing.time_phase`. Raises `MappingError` likewise, with fewer words."""
    timing = steady_timing(kind, split, latencies, group_beats)
    if kind.stores or not kind.previous:
        return timing
    words = _shortest_rows(kind, split.words, latencies.ring, latencies.state_distance)
    if words is None:
        return timing
    fresh = _first_step(_flow(kind, split, words, latencies, group_beats), timing, latencies.ring)
    if fresh is None:
        return timing
    start = max(timing.output_start, fresh.output_start)
    return replace(timing, fresh=replace(fresh, output_start=start), output_start=start)


@lru_cache(maxsize=1 << 16)
def steady_timing(kind: Kind, split: Split, latencies: GridLatencies, group_beats: int) -> FastTiming:
    """The timing in every step but the first. Raises `MappingError`."""
    if kind.stores:
        return _stored(kind, split, latencies)
    flow = _flow(kind, split, split.words, latencies, group_beats)
    for interval in _intervals(flow, latencies.ring):
        delayed = _delayed(flow, interval)
        if delayed is not None:
            return _timing(flow, delayed)
    raise MappingError(f"{name_of(kind)}: more results than a result link takes")


def _units(split: Split) -> tuple[int, ...]:
    return tuple(max(0, ceil_div(split.groups - chain, split.chains)) for chain in range(split.chains))


def _flow(kind: Kind, split: Split, words: int, latencies: GridLatencies, group_beats: int) -> _Flow:
    spacing = group_beats if kind.feeds_back else 1
    return _Flow(kind, split, _units(split), words, spacing, *_bases(kind, words, latencies))


@lru_cache(maxsize=1 << 12)
def _bases(kind: Kind, words: int, latencies: GridLatencies) -> tuple[int, int]:
    """Arrival of the first unit of a chain whose last PCU is in column 0, and how much later one column on."""
    nest = LoopNest(1, 1, 1, 2, 2, kind.gates, words)
    first, second = (arrival_base(program_of(kind), nest, latencies, chain) for chain in (0, 1))
    return first, second - first


@lru_cache(maxsize=1 << 14)
def _fits(kind: Kind, words: int, interval: int, ring: int) -> bool:
    return follows(program_of(kind), words, interval, ring)


@lru_cache(maxsize=1 << 14)
def _shortest_rows(kind: Kind, words: int, ring: int, state_distance: int) -> int | None:
    """Words of the shortest rows, shorter than they are, with which the program computes the same."""
    program = program_of(kind)
    return next((fewer for fewer in range(1, words) if same_flow(program, words, fewer, ring, state_distance)), None)


@lru_cache(maxsize=1 << 14)
def _pattern(units: int, interval: int, spacing: int) -> int | None:
    """Bits of the results of a chain; None where they meet."""
    if units == 0:
        return 0
    if units > 1 and spacing > interval:
        return None
    return ((1 << interval * units) - 1) // ((1 << interval) - 1) * ((1 << spacing) - 1)


def _intervals(flow: _Flow, ring: int) -> Iterator[int]:
    """Intervals in which units may follow one another, rising."""
    shortest = flow.kind.gates * flow.words
    for interval in range(shortest, shortest + FIELD_LIMIT + 1):
        if flow.units[0] <= 1 or _fits(flow.kind, flow.words, interval, ring):
            yield interval


def _delayed(flow: _Flow, interval: int) -> _Delayed | None:
    """Smallest delays, from the eastmost chain to the west; None where a field is too narrow for one."""
    taken, delays = 0, [0] * flow.split.chains
    for chain in range(flow.split.chains - 1, -1, -1):
        pattern = _pattern(flow.units[chain], interval, flow.spacing)
        if pattern is None:
            return None
        cells = pattern << flow.shift(chain)
        delay = 0
        while cells & taken:
            cells <<= 1
            delay += 1
        if delay > FIELD_LIMIT:
            return None
        taken |= cells
        delays[chain] = delay
    return _Delayed(interval, delays, taken)


def _first_step(flow: _Flow, timing: FastTiming, ring: int) -> FastTiming | None:
    """The timing with which the first step is complete soonest, its last result that of the steps after; None where
    none is shorter."""
    late = _last_chain(flow, timing.interval, timing.delays)
    best: _Delayed | None = None
    trials = FIRST_STEP_TRIALS if flow.units[0] > 1 else 1
    for interval in _intervals(flow, ring):
        if interval >= timing.interval or (best is not None and flow.earliest(interval) >= best.taken.bit_length()):
            break
        trial = _delayed(flow, interval)
        if trial is None:
            continue
        if best is None or trial.taken.bit_length() < best.taken.bit_length():
            # Delaying a chain completes the phase no sooner.
            ending = _ending_with(flow, trial, late)
            if ending is not None and (best is None or ending.taken.bit_length() < best.taken.bit_length()):
                best = ending
        trials -= 1
        if not trials:
            break
    return None if best is None else _timing(flow, best)


def _last_chain(flow: _Flow, interval: int, delays: Sequence[int]) -> int:
    """The chain whose result is the last."""
    return max(
        (flow.shift(chain) + delay + count * interval, chain)
        for chain, (count, delay) in enumerate(zip(flow.units, delays, strict=True)) if count
    )[1]


def _ending_with(flow: _Flow, trial: _Delayed, late: int) -> _Delayed | None:
    """The chains with this one delayed until its result is the last; None if it cannot be."""
    own = (_pattern(flow.units[late], trial.interval, flow.spacing) or 0) << flow.shift(late) + trial.delays[late]
    others = trial.taken ^ own
    more = max(0, others.bit_length() - own.bit_length() + flow.spacing)
    if not more or not others:
        return trial
    while own << more & others:
        more += 1
    if trial.delays[late] + more > FIELD_LIMIT:
        return None
    delays = list(trial.delays)
    delays[late] += more
    return _Delayed(trial.interval, delays, others | own << more)


def _timing(flow: _Flow, delayed: _Delayed) -> FastTiming:
    interval, delays, taken = delayed
    kind, split, base = flow.kind, flow.split, flow.base
    pad = interval - kind.gates * flow.words
    arrivals = output_start = 0
    if kind.ends_output:
        arrivals, output_start = _output(flow, delayed)
    ends = tuple([delay + count * interval - pad for delay, count in zip(delays, flow.units, strict=True)])
    return FastTiming(
        kind, split, interval, flow.words, tuple(delays), any(delays), split.ru * split.chains, flow.units,
        ends, max(ends), max(delays) + 1, base + (taken & -taken).bit_length() - 1, base + taken.bit_length() - 1,
        taken << base | 1 if kind.feeds_back else 1, arrivals << base, output_start, 0, None,
    )


def _output(flow: _Flow, delayed: _Delayed) -> tuple[int, int]:
    """Bits of the cycles in which results arrive, counted as `_Delayed.taken`, and how many of them must be there
    before the output may be sent in order, one group a cycle, without a gap."""
    interval, chains = delayed.interval, flow.split.chains
    arrivals, needed = 0, -FIELD_LIMIT
    for chain, (count, delay) in enumerate(zip(flow.units, delayed.delays, strict=True)):
        if count:
            start = delay + flow.shift(chain)
            arrivals |= (_pattern(count, interval, 1) or 0) << start
            # The cycle less the group grows or falls with the unit, so the first or the last decides.
            needed = max(needed, start - chain + max(0, (count - 1) * (interval - chains)))
    return arrivals, (arrivals & ((1 << max(0, needed - flow.split.first)) - 1)).bit_count() + 1


def _stored(kind: Kind, split: Split, latencies: GridLatencies) -> FastTiming:
    interval, units = kind.gates * split.words, _units(split)
    ends = tuple([count * interval for count in units])
    latest = max(end + (chain + 1) * split.ru - 1 for chain, end in enumerate(ends) if units[chain])
    return FastTiming(
        kind, split, interval, split.words, (0,) * split.chains, False, split.ru * split.chains,
        units, ends, max(ends), 1, 0, 0, 1, 0, 0,
        latencies.token + latest - 1 + latencies.store, None,
    )
