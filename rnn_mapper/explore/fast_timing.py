"""The timing of a phase, as `rnn_mapper.timing` finds it, in microseconds.

Cycles in which results arrive are the bits of one integer, so that all results of a chain are compared with all others
at once. The rules themselves (which programs fit an interval, what holds a register how long) are asked from
`rnn_mapper.timing` and `rnn_mapper.schedule` on the smallest nest, and kept.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from operator import add
from typing import NamedTuple

from hdl.latencies import GridLatencies
from rnn_mapper.errors import MappingError
from rnn_mapper.loop_nest import LoopNest, ceil_div
from rnn_mapper.phases import Phase
from rnn_mapper.programs import Program
from rnn_mapper.timing import FIELD_LIMIT, FIRST_STEP_TRIALS, PhaseTiming, arrival_base
from rnn_mapper.unit_timing import follows, same_flow

__all__ = ["FastTiming", "Split", "fast_timing", "smallest_timing"]


class Split(NamedTuple):
    """What is left of a loop nest when the grid is forgotten."""

    #: PCUs of a chain, chains of a row, groups of units, vector words of a gate in a PCU, groups of the parts before.
    ru: int
    chains: int
    groups: int
    words: int
    first: int


class FastTiming(NamedTuple):
    """Cycles from the issue of a token, as those of `rnn_mapper.timing.PhaseTiming`. Tuples are by chain."""

    interval: int
    #: Vector words of a row in a PCU.
    words: int
    delays: tuple[int, ...]
    #: Units of each chain.
    units: tuple[int, ...]
    #: Last cycle in which a site of the chain reads, and first of its last unit; from the first operands.
    ends: tuple[int, ...]
    last_units: tuple[int, ...]
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


@lru_cache(maxsize=1 << 14)
def _fits(program: int, words: int, interval: int, ring: int) -> bool:
    return follows(_PROGRAMS[program], words, interval, ring)


@lru_cache(maxsize=1 << 14)
def _shortest_rows(program: int, words: int, ring: int, state_distance: int) -> int | None:
    """Words of the shortest rows, shorter than they are, with which the program computes the same."""
    found = _PROGRAMS[program]
    return next((fewer for fewer in range(1, words) if same_flow(found, words, fewer, ring, state_distance)), None)


#: Programs by identity: comparing them takes longer than all the rest.
_PROGRAMS: dict[int, Program] = {}


def _program(phase: Phase) -> int:
    key = id(phase.program)
    _PROGRAMS.setdefault(key, phase.steps)
    return key


@lru_cache(maxsize=1 << 14)
def _pattern(units: int, interval: int, spacing: int) -> int | None:
    """Bits of the results of a chain; None where they meet."""
    if units == 0:
        return 0
    if units > 1 and spacing > interval:
        return None
    return ((1 << interval * units) - 1) // ((1 << interval) - 1) * ((1 << spacing) - 1)


@lru_cache(maxsize=1 << 12)
def _bases(program: int, gates: int, words: int, latencies: GridLatencies) -> tuple[int, int]:
    """Arrival of the first unit of a chain whose last PCU is in column 0, and how much later one column on."""
    nest = LoopNest(1, 1, 1, 2, 2, gates, words)
    first, second = (arrival_base(_PROGRAMS[program], nest, latencies, chain) for chain in (0, 1))
    return first, second - first


def smallest_timing(phase: Phase, words: int, latencies: GridLatencies, group_beats: int) -> PhaseTiming:
    """The timing of one unit in one chain: what the rules of the mapper are asked with."""
    nest = LoopNest(1, 1, 1, 1, 1, phase.gates, words)
    return PhaseTiming(phase, nest, latencies, group_beats, 0, (0,))


@lru_cache(maxsize=1 << 16)
def fast_timing(phase: Phase, split: Split, latencies: GridLatencies, group_beats: int) -> FastTiming:
    """As `rnn_mapper.timing.time_phase`. Raises `MappingError` likewise, with fewer words."""
    gates, words = phase.gates, split.words
    units = tuple(max(0, ceil_div(split.groups - chain, split.chains)) for chain in range(split.chains))
    if phase.stores:
        return _stored(gates * words, words, units, split, latencies)
    found = next(_timings(phase, split, units, latencies, group_beats, words), None)
    if found is None:
        raise MappingError(f"{phase.name}: more results than a result link takes")
    timing, last = found
    if not phase.previous:
        return timing
    program = _program(phase)
    fewer = _shortest_rows(program, words, latencies.ring, latencies.state_distance)
    if fewer is None:
        return timing
    base, slope = _bases(program, gates, fewer, latencies)
    first = base + slope * (split.ru - 1)
    best: FastTiming | None = None
    shorter = _timings(phase, split, units, latencies, group_beats, fewer)
    for fresh, fresh_last in islice(shorter, FIRST_STEP_TRIALS if units[0] > 1 else 1):
        if fresh.interval >= timing.interval:
            break
        if best is not None and first + (units[0] - 1) * fresh.interval >= best.completion:
            break
        ending = fresh
        if fresh_last != last:
            ending = _ending_with(phase, split, units, latencies, group_beats, fresh, last[0])
        if ending is not None and (best is None or ending.completion < best.completion):
            best = ending
    if best is None:
        return timing
    start = max(timing.output_start, best.output_start)
    return timing._replace(fresh=best._replace(output_start=start), output_start=start)


def _ending_with(phase, split, units, latencies, group_beats, timing, late):  # type: ignore[no-untyped-def]
    """The timing with chain `late` delayed until its result is the last; None if it cannot be."""
    spacing = group_beats if phase.feeds_back else 1
    base, slope = _bases(_program(phase), phase.gates, timing.words, latencies)
    own = others = latest = 0
    for chain, (count, delay) in enumerate(zip(units, timing.delays, strict=True)):
        first = delay + slope * ((chain + 1) * split.ru - 1)
        cells = (_pattern(count, timing.interval, spacing) or 0) << first
        if chain == late:
            own, end = cells, first + (count - 1) * timing.interval
        else:
            others |= cells
            latest = max(latest, first + (count - 1) * timing.interval) if count else latest
    more = latest - end + 1
    while own << more & others:
        more += 1
    if timing.delays[late] + more > FIELD_LIMIT:
        return None
    delays = [delay + more * (chain == late) for chain, delay in enumerate(timing.delays)]
    pad = timing.interval - phase.gates * timing.words
    return _timing(
        phase, split, units, timing.interval, timing.words, pad, base, slope, spacing, delays, others | own << more
    )[0]


def _stored(interval: int, words: int, units: tuple[int, ...], split: Split, latencies: GridLatencies) -> FastTiming:
    ends = tuple(count * interval for count in units)
    latest = max(end + (chain + 1) * split.ru - 1 for chain, end in enumerate(ends) if units[chain])
    return FastTiming(
        interval, words, (0,) * split.chains, units, ends, tuple(end - interval for end in ends), 0, 0, 1, 0, 0,
        latencies.token + latest - 1 + latencies.store, None,
    )


def _timings(phase, split, units, latencies, group_beats, words):  # type: ignore[no-untyped-def]
    """All timings without collisions by rising interval, each with the chain and unit of its last result."""
    spacing = group_beats if phase.feeds_back else 1
    program = _program(phase)
    base, slope = _bases(program, phase.gates, words, latencies)
    for pad in range(FIELD_LIMIT + 1):
        interval = phase.gates * words + pad
        if units[0] > 1 and not _fits(program, words, interval, latencies.ring):
            continue
        placed = _delays(split, units, interval, slope, spacing)
        if placed is not None:
            yield _timing(phase, split, units, interval, words, pad, base, slope, spacing, *placed)


def _delays(
    split: Split, units: tuple[int, ...], interval: int, slope: int, spacing: int
) -> tuple[list[int], int] | None:
    """Smallest delays, from the eastmost chain to the west, and all slots of results after that of column 0."""
    taken, delays = 0, [0] * split.chains
    for chain in range(split.chains - 1, -1, -1):
        pattern = _pattern(units[chain], interval, spacing)
        if pattern is None:
            return None
        cells = pattern << slope * ((chain + 1) * split.ru - 1)
        delay = 0
        while cells & taken:
            cells <<= 1
            delay += 1
        if delay > FIELD_LIMIT:
            return None
        taken |= cells
        delays[chain] = delay
    return delays, taken


def _timing(phase, split, units, interval, words, pad, base, slope, spacing, delays, taken):  # type: ignore[no-untyped-def]
    shifts = range(slope * (split.ru - 1), slope * split.ru * split.chains, slope * split.ru)
    starts = list(map(add, delays, shifts))
    spans = [count * interval for count in units]
    ends = tuple(map(add, delays, spans))
    # Chains after the first ones have a unit less; those without units, if any, are the last.
    _, last = max(zip(map(add, starts, spans), range(sum(map(bool, units))), strict=False))
    arrivals = output_start = 0
    if phase.ends_output:
        for start, count in zip(starts, units, strict=True):
            arrivals |= (_pattern(count, interval, 1) or 0) << start
        # The cycle less the group grows or falls with the unit, so the first or the last decides.
        step = interval - split.chains
        needed = max(
            start - chain + (max(0, (count - 1) * step) if count else -FIELD_LIMIT)
            for chain, (start, count) in enumerate(zip(starts, units, strict=True))
        ) - split.first
        output_start = (arrivals & ((1 << max(0, needed)) - 1)).bit_count() + 1
        arrivals <<= base
    timing = FastTiming(
        interval, words, tuple(delays), units, tuple(end - pad for end in ends), tuple(end - interval for end in ends),
        base + (taken & -taken).bit_length() - 1, base + taken.bit_length() - 1,
        taken << base | 1 if phase.feeds_back else 1, arrivals, output_start, 0, None,
    )
    return timing, (last, units[last])
