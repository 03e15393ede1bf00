"""Finds the timing of phases: the shortest interval, and the smallest delays with which no two values ever collide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters
from rnn_mapper.cells.program import Program
from rnn_mapper.cells.unit_timing import follows, same_flow
from rnn_mapper.errors import MappingError
from rnn_mapper.schedule.loop_nest import LoopNest, ceil_div
from rnn_mapper.schedule.phases import Phase
from rnn_mapper.schedule.timing import PhaseTiming, PhaseTraits, Tiling, Timing, arrival_base

__all__ = ["PhaseClock", "time_phase", "with_first_step"]

#: Number of intervals compared for the first step of a cleared sequence, with the shortest possible rows.
FIRST_STEP_TRIALS = 10
#: Largest `pad` and `delay` of `hdl.layouts.phase_layout`.
FIELD_LIMIT = 255


class Flow(NamedTuple):
    """Everything the results of a phase depend on, except the interval of its units."""

    traits: PhaseTraits
    tiling: Tiling
    #: Number of units of each chain that has units.
    units: tuple[int, ...]
    #: Vector words of a row: `words` of the tiling, or fewer in the first step.
    words: int
    #: Cycles for which a result occupies the collector.
    spacing: int
    #: Arrival of the first unit of a chain that ends in column 0, and the extra cycles for each column further on.
    base: int
    slope: int

    def shift(self, chain: int) -> int:
        """Cycles after `base` at which the first unit of this chain arrives, without a delay."""
        return self.slope * ((chain + 1) * self.tiling.ru - 1)

    def earliest(self, interval: int) -> int:
        """Lower bound on the slot of the last result, for any delays, counted like `_Delayed.taken`."""
        fullest = (self.tiling.groups - 1) % self.tiling.chains
        return self.shift(fullest) + (self.units[0] - 1) * interval + self.spacing


class _Delayed(NamedTuple):
    """Chains delayed so that no two results collide."""

    interval: int
    delays: list[int]
    #: Slots of all results, counted from the arrival of a first unit without shift and delay.
    taken: int


class ProgramRules:
    """Requirements of unit programs and the grid's latencies on timings. Results are cached."""

    def __init__(self, latencies: GridLatencies, group_beats: int) -> None:
        self.latencies, self.group_beats = latencies, group_beats
        self._traits: dict[tuple[Program, bool, bool, bool, bool], PhaseTraits] = {}
        self._fits: dict[tuple[PhaseTraits, int, int], bool] = {}
        self._shortest: dict[tuple[PhaseTraits, int], int | None] = {}
        self._patterns: dict[tuple[int, int, int], int | None] = {}
        self._bases: dict[tuple[PhaseTraits, int], tuple[int, int]] = {}

    def traits(self, phase: Phase) -> PhaseTraits:
        """The traits of a phase with a program; the same object for phases with equal traits."""
        key = phase.steps, phase.stores, phase.previous, phase.feeds_back, phase.ends_output
        known = self._traits.get(key)
        if known is None:
            known = self._traits[key] = PhaseTraits(phase.steps, phase.gates, *key[1:])
        return known

    def flow(self, traits: PhaseTraits, tiling: Tiling, words: int) -> Flow:
        """The flow of a phase with `words` vector words a row."""
        return Flow(
            traits, tiling, _units(tiling), words, self.group_beats if traits.feeds_back else 1,
            *self._base(traits, words),
        )

    def intervals(self, flow: Flow) -> Iterator[int]:
        """Intervals at which units may follow one another, in ascending order."""
        shortest = flow.traits.gates * flow.words
        for interval in range(shortest, shortest + FIELD_LIMIT + 1):
            if flow.units[0] <= 1 or self._fit(flow.traits, flow.words, interval):
                yield interval

    def shortest_rows(self, traits: PhaseTraits, words: int) -> int | None:
        """Words of the shortest rows, below `words`, with which the program computes the same; None without any."""
        key = traits, words
        if key not in self._shortest:
            path = self.latencies.unit_path
            self._shortest[key] = next(
                (fewer for fewer in range(1, words) if same_flow(traits.program, words, fewer, path)), None)
        return self._shortest[key]

    def pattern(self, units: int, interval: int, spacing: int) -> int | None:
        """Slots of the results of a chain as bits; None where results collide."""
        key = units, interval, spacing
        if key not in self._patterns:
            met = units > 1 and spacing > interval
            self._patterns[key] = None if met else (
                ((1 << interval * units) - 1) // ((1 << interval) - 1) * ((1 << spacing) - 1)
            )
        return self._patterns[key]

    def _base(self, traits: PhaseTraits, words: int) -> tuple[int, int]:
        """Arrival of the first unit of a chain whose last PCU is in column 0, and the extra cycles for each column."""
        key = traits, words
        if key not in self._bases:
            first, second = (arrival_base(traits.program, words, self.latencies, column) for column in (0, 1))
            self._bases[key] = first, second - first
        return self._bases[key]

    def _fit(self, traits: PhaseTraits, words: int, interval: int) -> bool:
        """Whether units can follow one another through the unit path at this interval."""
        key = traits, words, interval
        if key not in self._fits:
            self._fits[key] = follows(traits.program, words, interval, self.latencies.unit_path)
        return self._fits[key]


class PhaseClock:
    """Timings of phases on grids with these latencies: the shortest intervals and the smallest delays with which no two
    values ever collide. A search asks for the same timings again and again: each is computed once."""

    def __init__(self, latencies: GridLatencies, group_beats: int) -> None:
        self.latencies = latencies
        self.rules = ProgramRules(latencies, group_beats)
        self._steady: dict[tuple[PhaseTraits, Tiling], Timing | None] = {}
        self._timings: dict[tuple[PhaseTraits, Tiling], Timing | None] = {}

    def timing(self, traits: PhaseTraits, tiling: Tiling) -> Timing | None:
        """The timing; None where the fields of the configuration are too narrow for any timing."""
        key = traits, tiling
        if key not in self._timings:
            self._timings[key] = self._timing(traits, tiling)
        return self._timings[key]

    def steady(self, traits: PhaseTraits, tiling: Tiling) -> Timing | None:
        """The timing in every step but the first."""
        key = traits, tiling
        if key not in self._steady:
            find = self._stored if traits.stores else self._shortest_interval
            self._steady[key] = find(traits, tiling)
        return self._steady[key]

    def phase_timing(self, phase: Phase, nest: LoopNest, output_offset: int = 0) -> PhaseTiming:
        """The timing of a phase of a network. The output has `output_offset` groups before the groups of the network.

        Raises `MappingError` when the fields of the configuration are too narrow for any timing.
        """
        first = output_offset + phase.first_unit // nest.rows
        timing = self.timing(self.rules.traits(phase), Tiling(nest.ru, nest.chains, nest.groups, nest.words, first))
        if timing is None:
            raise MappingError(
                f"{phase.name}: {nest.chains} chains of {nest.max_units} units send more results than a result link "
                f"takes, even with {FIELD_LIMIT} idle cycles after each unit; use a larger ru"
            )
        return PhaseTiming(phase, nest, self.latencies, self.rules.group_beats, timing, output_offset)

    def _timing(self, traits: PhaseTraits, tiling: Tiling) -> Timing | None:
        timing = self.steady(traits, tiling)
        if timing is None or traits.stores or not traits.previous:
            return timing
        words = self.rules.shortest_rows(traits, tiling.words)
        fresh = None if words is None else self._first_step(self.rules.flow(traits, tiling, words), timing)
        return timing if fresh is None else with_first_step(timing, fresh)

    def delayed(self, flow: Flow, interval: int, delays: Sequence[int]) -> Timing:
        """The timing with this interval and these delays, even if results collide."""
        taken = 0
        for chain, (count, delay) in enumerate(zip(flow.units, delays, strict=True)):
            taken |= (self.rules.pattern(count, interval, flow.spacing) or 0) << flow.shift(chain) + delay
        return self._of(flow, _Delayed(interval, list(delays), taken))

    def _shortest_interval(self, traits: PhaseTraits, tiling: Tiling) -> Timing | None:
        flow = self.rules.flow(traits, tiling, tiling.words)
        for interval in self.rules.intervals(flow):
            delayed = self._apart(flow, interval)
            if delayed is not None:
                return self._of(flow, delayed)
        return None

    def _apart(self, flow: Flow, interval: int) -> _Delayed | None:
        """Smallest delays, found from the eastmost chain (whose results arrive last) to the west. None where a field is
        too narrow for a delay."""
        taken, delays = 0, [0] * len(flow.units)
        for chain in range(len(flow.units) - 1, -1, -1):
            pattern = self.rules.pattern(flow.units[chain], interval, flow.spacing)
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

    def _first_step(self, flow: Flow, timing: Timing) -> Timing | None:
        """The timing that completes the first step soonest; None where no timing is shorter than `timing`.

        The last result is marked in its unit entry, so both timings must end with the same result.
        """
        late = _last_chain(flow, timing.interval, timing.delays)
        best: _Delayed | None = None
        trials = FIRST_STEP_TRIALS if flow.units[0] > 1 else 1
        for interval in self.rules.intervals(flow):
            if interval >= timing.interval:
                break
            if best is not None and flow.earliest(interval) >= best.taken.bit_length():
                break
            trial = self._apart(flow, interval)
            if trial is None:
                continue
            if best is None or trial.taken.bit_length() < best.taken.bit_length():
                # Delaying a chain completes the phase no sooner.
                ending = self._ending_with(flow, trial, late)
                if ending is not None and (best is None or ending.taken.bit_length() < best.taken.bit_length()):
                    best = ending
            trials -= 1
            if not trials:
                break
        return None if best is None else self._of(flow, best)

    def _ending_with(self, flow: Flow, trial: _Delayed, late: int) -> _Delayed | None:
        """The chains with chain `late` delayed until its result is the last; None if it cannot be the last."""
        own = (self.rules.pattern(flow.units[late], trial.interval, flow.spacing) or 0)
        own <<= flow.shift(late) + trial.delays[late]
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

    def _of(self, flow: Flow, delayed: _Delayed) -> Timing:
        interval, delays, taken = delayed
        traits, base = flow.traits, flow.base
        pad = interval - traits.gates * flow.words
        arrivals = output_start = 0
        output = None
        if traits.ends_output:
            arrivals, output_start = self._output(flow, delayed)
            output = base + _place_of_bit(arrivals, output_start) + 1
        ends = tuple([delay + count * interval - pad for delay, count in zip(delays, flow.units, strict=True)])
        return Timing(
            traits, flow.tiling, interval, flow.words, tuple(delays), any(delays), flow.tiling.ru * len(flow.units),
            flow.units, ends, max(ends), max(delays) + 1, base + (taken & -taken).bit_length() - 1,
            base + taken.bit_length() - 1, taken << base | 1 if traits.feeds_back else 1, arrivals << base,
            output_start, output, 0, None,
        )

    def _output(self, flow: Flow, delayed: _Delayed) -> tuple[int, int]:
        """Cycles in which results arrive as bits, counted like `_Delayed.taken`, and `Timing.output_start`."""
        interval, chains = delayed.interval, flow.tiling.chains
        arrivals, needed = 0, -FIELD_LIMIT
        for chain, (count, delay) in enumerate(zip(flow.units, delayed.delays, strict=True)):
            start = delay + flow.shift(chain)
            arrivals |= (self.rules.pattern(count, interval, 1) or 0) << start
            # The cycle minus the group rises or falls with the unit, so the first or the last unit decides.
            needed = max(needed, start - chain + max(0, (count - 1) * (interval - chains)))
        return arrivals, (arrivals & ((1 << max(0, needed - flow.tiling.first)) - 1)).bit_count() + 1

    def _stored(self, traits: PhaseTraits, tiling: Tiling) -> Timing:
        interval, units = traits.gates * tiling.words, _units(tiling)
        ends = tuple([count * interval for count in units])
        latest = max(end + (chain + 1) * tiling.ru - 1 for chain, end in enumerate(ends))
        return Timing(
            traits, tiling, interval, tiling.words, (0,) * len(units), False, tiling.ru * len(units), units, ends,
            max(ends), 1, 0, 0, 1, 0, 0, None, self.latencies.token + latest - 1 + self.latencies.store, None,
        )


def with_first_step(timing: Timing, fresh: Timing) -> Timing:
    """The timing with `fresh` for the first step; the output starts after the same number of results in both."""
    if not timing.traits.ends_output:
        return replace(timing, fresh=fresh)
    start = max(timing.output_start, fresh.output_start)
    first, later = (
        replace(each, output_start=start, output=_place_of_bit(each.arrivals, start) + 1) for each in (fresh, timing)
    )
    return replace(later, fresh=first)


def _units(tiling: Tiling) -> tuple[int, ...]:
    """Number of units of each chain that has units."""
    _, chains, groups, _, _ = tiling
    return tuple([ceil_div(groups - chain, chains) for chain in range(min(chains, groups))])


def _last_chain(flow: Flow, interval: int, delays: Sequence[int]) -> int:
    """The chain with the last result."""
    return max(
        (flow.shift(chain) + delay + count * interval, chain)
        for chain, (count, delay) in enumerate(zip(flow.units, delays, strict=True))
    )[1]


def _place_of_bit(bits: int, count: int) -> int:
    """The index of the `count`-th set bit."""
    low, high = 0, bits.bit_length()
    while high - low > 1:
        middle = (low + high) // 2
        if (bits & ((1 << middle) - 1)).bit_count() >= count:
            high = middle
        else:
            low = middle
    return low


def time_phase(
    phase: Phase, nest: LoopNest, parameters: GridParameters, latencies: GridLatencies, output_offset: int = 0
) -> PhaseTiming:
    """The timing of a single phase, see `PhaseClock.phase_timing`. Raises `MappingError`."""
    return PhaseClock(latencies, parameters.group_beats).phase_timing(phase, nest, output_offset)
