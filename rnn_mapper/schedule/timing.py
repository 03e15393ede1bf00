"""When a phase uses what, counted in cycles from the issue of its token.

All of it follows from the loop nest, the epilogue program and the grid's latencies; the predictor and the schedule use
these figures and have none of their own. Cycles in which results arrive are the bits of one integer, so that all
results of a chain are compared with all others at once. A search asks for the same timings again and again:
`PhaseClock` finds each once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters
from rnn_mapper.cells.program import Program
from rnn_mapper.cells.unit_timing import follows, same_flow
from rnn_mapper.errors import MappingError
from rnn_mapper.schedule.loop_nest import LoopNest, ceil_div
from rnn_mapper.schedule.phases import Phase

__all__ = ["PhaseClock", "PhaseTiming", "PhaseTraits", "Tiling", "Timing", "time_phase", "with_first_step"]

#: Intervals that are compared for the first step of a cleared sequence, with the shortest rows that are possible.
FIRST_STEP_TRIALS = 10
#: Largest `pad` and `delay` of `hdl.layouts.phase_layout`.
FIELD_LIMIT = 255


@dataclass(frozen=True, eq=False, slots=True)
class PhaseTraits:
    """What the timing of a phase depends on, but for its tiling. Compared by identity, see `PhaseClock.traits`."""

    program: Program
    #: Matrix rows of a unit.
    gates: int
    stores: bool
    #: It multiplies a vector of the step before, so that it has a timing of its own in the first step.
    previous: bool
    feeds_back: bool
    ends_output: bool


class Tiling(NamedTuple):
    """What is left of a loop nest when the grid is forgotten."""

    #: PCUs of a chain, chains of a row, groups of units, vector words of a gate in a PCU, groups of the output before.
    ru: int
    chains: int
    groups: int
    words: int
    first: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Timing:
    """Cycles from the issue of a token. Tuples are by chain, those without units left out. Looked up by identity:
    a `PhaseClock` gives the same one for the same arguments.

    A phase that multiplies the state has a second one, `fresh`, for the first step of a sequence that starts from a
    cleared state: one word of zeros a gate lets bias and stored part through, and its results leave the epilogue as
    fast as it can.
    """

    traits: PhaseTraits
    tiling: Tiling
    #: Cycles from one unit of a chain to its next (the initiation interval).
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
    #: How many of them must be there before the output may be sent in order, one group a cycle, without a gap: enough
    #: for both timings of the phase. All other groups of the output have arrived when the first of these does.
    output_start: int
    #: Cycle in which the output may begin to leave; None where this phase does not decide that.
    output: int | None
    #: Cycle in which every stored part is in its memory.
    stored: int
    #: The timing in the first step of a cleared sequence, where it differs.
    fresh: Timing | None


class Flow(NamedTuple):
    """What the results of a phase depend on, but for the interval of its units."""

    traits: PhaseTraits
    tiling: Tiling
    #: Units of each chain that has any.
    units: tuple[int, ...]
    #: Vector words of a row: those of the tiling, or fewer in the first step.
    words: int
    #: Cycles that a result occupies the collector.
    spacing: int
    #: Arrival of the first unit of a chain that ends in column 0, and how much later one column on.
    base: int
    slope: int

    def shift(self, chain: int) -> int:
        """How much later than `base` the first unit of this chain arrives, without a delay."""
        return self.slope * ((chain + 1) * self.tiling.ru - 1)

    def earliest(self, interval: int) -> int:
        """The last result takes no slot before this one, counted as `_Delayed.taken`, whatever the delays are."""
        fullest = (self.tiling.groups - 1) % self.tiling.chains
        return self.shift(fullest) + (self.units[0] - 1) * interval + self.spacing


class _Delayed(NamedTuple):
    """Chains that are delayed so that no two results meet."""

    interval: int
    delays: list[int]
    #: All slots of results, counted from the arrival of a first unit without shift and delay.
    taken: int


class PhaseClock:
    """Timings of phases on grids with these latencies: the shortest intervals and the smallest delays with which no two
    values ever meet. What was found is kept."""

    def __init__(self, latencies: GridLatencies, group_beats: int) -> None:
        self.latencies, self.group_beats = latencies, group_beats
        self._traits: dict[tuple[Program, bool, bool, bool, bool], PhaseTraits] = {}
        self._steady: dict[tuple[PhaseTraits, Tiling], Timing | None] = {}
        self._timings: dict[tuple[PhaseTraits, Tiling], Timing | None] = {}
        self._fits: dict[tuple[PhaseTraits, int, int], bool] = {}
        self._shortest: dict[tuple[PhaseTraits, int], int | None] = {}
        self._patterns: dict[tuple[int, int, int], int | None] = {}
        self._bases: dict[tuple[PhaseTraits, int], tuple[int, int]] = {}

    def traits(self, phase: Phase) -> PhaseTraits:
        """The traits of a phase with a program; the same object for phases that are timed alike."""
        key = phase.steps, phase.stores, phase.previous, phase.feeds_back, phase.ends_output
        known = self._traits.get(key)
        if known is None:
            known = self._traits[key] = PhaseTraits(phase.steps, phase.gates, *key[1:])
        return known

    def timing(self, traits: PhaseTraits, tiling: Tiling) -> Timing | None:
        """The timing; None where the fields of the configuration are too narrow for any."""
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
        """The timing of a phase of a network; the output has so many groups before those of the network.

        Raises `MappingError` when the fields of the configuration are too narrow for any.
        """
        first = output_offset + phase.first_unit // nest.rows
        timing = self.timing(self.traits(phase), Tiling(nest.ru, nest.chains, nest.groups, nest.words, first))
        if timing is None:
            raise MappingError(
                f"{phase.name}: {nest.chains} chains of {nest.max_units} units send more results than a result link "
                f"takes, even with {FIELD_LIMIT} idle cycles after each unit; use a larger ru"
            )
        return PhaseTiming(phase, nest, self.latencies, self.group_beats, timing, output_offset)

    def _timing(self, traits: PhaseTraits, tiling: Tiling) -> Timing | None:
        timing = self.steady(traits, tiling)
        if timing is None or traits.stores or not traits.previous:
            return timing
        words = self._shortest_rows(traits, tiling.words)
        fresh = None if words is None else self._first_step(self.flow(traits, tiling, words), timing)
        return timing if fresh is None else with_first_step(timing, fresh)

    def flow(self, traits: PhaseTraits, tiling: Tiling, words: int) -> Flow:
        """The flow of a phase with so many vector words a row."""
        return Flow(
            traits, tiling, _units(tiling), words, self.group_beats if traits.feeds_back else 1,
            *self._base(traits, words),
        )

    def delayed(self, flow: Flow, interval: int, delays: Sequence[int]) -> Timing:
        """The timing with this interval and these delays, whatever results meet."""
        taken = 0
        for chain, (count, delay) in enumerate(zip(flow.units, delays, strict=True)):
            taken |= (self._pattern(count, interval, flow.spacing) or 0) << flow.shift(chain) + delay
        return self._of(flow, _Delayed(interval, list(delays), taken))

    def _shortest_interval(self, traits: PhaseTraits, tiling: Tiling) -> Timing | None:
        flow = self.flow(traits, tiling, tiling.words)
        for interval in self._intervals(flow):
            delayed = self._apart(flow, interval)
            if delayed is not None:
                return self._of(flow, delayed)
        return None

    def _base(self, traits: PhaseTraits, words: int) -> tuple[int, int]:
        """Arrival of the first unit of a chain whose last PCU is in column 0, and how much later one column on."""
        key = traits, words
        if key not in self._bases:
            first, second = (arrival_base(traits.program, words, self.latencies, column) for column in (0, 1))
            self._bases[key] = first, second - first
        return self._bases[key]

    def _fit(self, traits: PhaseTraits, words: int, interval: int) -> bool:
        """Units can follow one another through the unit path."""
        key = traits, words, interval
        if key not in self._fits:
            self._fits[key] = follows(traits.program, words, interval, self.latencies.ring)
        return self._fits[key]

    def _shortest_rows(self, traits: PhaseTraits, words: int) -> int | None:
        """Words of the shortest rows, shorter than they are, with which the program computes the same."""
        key = traits, words
        if key not in self._shortest:
            ring, distance = self.latencies.ring, self.latencies.state_distance
            self._shortest[key] = next(
                (fewer for fewer in range(1, words) if same_flow(traits.program, words, fewer, ring, distance)), None)
        return self._shortest[key]

    def _pattern(self, units: int, interval: int, spacing: int) -> int | None:
        """Bits of the results of a chain; None where they meet."""
        key = units, interval, spacing
        if key not in self._patterns:
            met = units > 1 and spacing > interval
            self._patterns[key] = None if met else (
                ((1 << interval * units) - 1) // ((1 << interval) - 1) * ((1 << spacing) - 1)
            )
        return self._patterns[key]

    def _intervals(self, flow: Flow) -> Iterator[int]:
        """Intervals in which units may follow one another, rising."""
        shortest = flow.traits.gates * flow.words
        for interval in range(shortest, shortest + FIELD_LIMIT + 1):
            if flow.units[0] <= 1 or self._fit(flow.traits, flow.words, interval):
                yield interval

    def _apart(self, flow: Flow, interval: int) -> _Delayed | None:
        """Smallest delays, from the eastmost chain (whose results arrive last) to the west; None where a field is too
        narrow for one."""
        taken, delays = 0, [0] * len(flow.units)
        for chain in range(len(flow.units) - 1, -1, -1):
            pattern = self._pattern(flow.units[chain], interval, flow.spacing)
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
        """The timing with which the first step is complete soonest; None where none is shorter.

        The last result is marked in its unit entry, so that both timings must end with the same.
        """
        late = _last_chain(flow, timing.interval, timing.delays)
        best: _Delayed | None = None
        trials = FIRST_STEP_TRIALS if flow.units[0] > 1 else 1
        for interval in self._intervals(flow):
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
        """The chains with this one delayed until its result is the last; None if it cannot be."""
        own = (self._pattern(flow.units[late], trial.interval, flow.spacing) or 0)
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
        """Bits of the cycles in which results arrive, counted as `_Delayed.taken`, and `Timing.output_start`."""
        interval, chains = delayed.interval, flow.tiling.chains
        arrivals, needed = 0, -FIELD_LIMIT
        for chain, (count, delay) in enumerate(zip(flow.units, delayed.delays, strict=True)):
            start = delay + flow.shift(chain)
            arrivals |= (self._pattern(count, interval, 1) or 0) << start
            # The cycle less the group grows or falls with the unit, so the first or the last decides.
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
    """The timing with another one for the first step; the output begins with as many results in both."""
    if not timing.traits.ends_output:
        return replace(timing, fresh=fresh)
    start = max(timing.output_start, fresh.output_start)
    first, later = (
        replace(each, output_start=start, output=_place_of_bit(each.arrivals, start) + 1) for each in (fresh, timing)
    )
    return replace(later, fresh=first)


def _units(tiling: Tiling) -> tuple[int, ...]:
    """Units of each chain that has any."""
    _, chains, groups, _, _ = tiling
    return tuple([ceil_div(groups - chain, chains) for chain in range(min(chains, groups))])


def _last_chain(flow: Flow, interval: int, delays: Sequence[int]) -> int:
    """The chain whose result is the last."""
    return max(
        (flow.shift(chain) + delay + count * interval, chain)
        for chain, (count, delay) in enumerate(zip(flow.units, delays, strict=True))
    )[1]


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


def arrival_base(program: Program, words: int, latencies: GridLatencies, column: int) -> int:
    """Arrival of the first unit of a chain without delay that ends in this column: token, operands, epilogue, and the
    way back west."""
    gate, trips = program.emitting
    first_operands = latencies.token + column
    return (
        first_operands + (gate + 1) * words - 1 + latencies.result + trips * latencies.ring
        + latencies.result_hop * column
    )


@dataclass(frozen=True, eq=False)
class PhaseTiming:
    """The timing of a phase of a network, as the images hold it and reports list it: `pad` idle cycles after a unit,
    and for each chain a delay of its start."""

    phase: Phase
    nest: LoopNest
    latencies: GridLatencies
    group_beats: int
    cycles: Timing
    #: Groups of the output before those of this phase's network.
    output_offset: int = 0

    @cached_property
    def fresh(self) -> PhaseTiming:
        """Timing in the first step of a cleared sequence."""
        fresh = self.cycles.fresh
        return self if fresh is None else replace(self, nest=replace(self.nest, words=fresh.words), cycles=fresh)

    def of_step(self, fresh: bool) -> PhaseTiming:
        """Timing of a token with this `fresh` bit."""
        return self.fresh if fresh else self

    @property
    def interval(self) -> int:
        """Cycles from one unit of a chain to its next (the initiation interval)."""
        return self.cycles.interval

    @property
    def pad(self) -> int:
        """Idle cycles after a unit."""
        return self.interval - self.nest.gates * self.nest.words

    @cached_property
    def delays(self) -> tuple[int, ...]:
        """Cycles that each chain begins later."""
        return self.cycles.delays + (0,) * (self.nest.chains - len(self.cycles.delays))

    @property
    def occupied(self) -> int:
        """Cycles, counted from the token in each column, until the last site has read its last operands."""
        return self.cycles.last_end

    @property
    def stored(self) -> int:
        """Cycles from the token's issue until every part that the phase stores is in its memory."""
        return self.cycles.stored

    @property
    def completion(self) -> int:
        """Cycle in which the last result has been collected."""
        return self.cycles.completion

    @property
    def output_start(self) -> int:
        """Results that must have arrived before the output may be sent, see `Timing.output_start`."""
        return self.cycles.output_start

    def busy(self, chain: int) -> int:
        """Cycles in which the PMUs of a chain read."""
        return self.nest.units(chain) * self.interval - self.pad

    def arrival(self, chain: int, unit: int) -> int:
        """Cycles from the token's issue to a result at the collector."""
        base = arrival_base(self.phase.steps, self.nest.words, self.latencies, self.nest.tail(chain))
        return self.delays[chain] + unit * self.interval + base

    @cached_property
    def arrivals(self) -> list[tuple[int, int]]:
        """(cycle, group) of every result, in order of arrival; empty for a phase that stores."""
        if self.phase.stores:
            return []
        nest = self.nest
        return sorted(
            (self.arrival(chain, unit), nest.group(chain, unit))
            for chain in range(nest.chains) for unit in range(nest.units(chain))
        )

    @property
    def spacing(self) -> int:
        """Cycles that a result occupies the collector."""
        return self.group_beats if self.phase.feeds_back else 1

    @cached_property
    def beats(self) -> list[int]:
        """Cycles in which the collector writes to the write stream."""
        if not self.phase.feeds_back:
            return []
        return [cycle + beat for cycle, _ in self.arrivals for beat in range(self.group_beats)]


def time_phase(
    phase: Phase, nest: LoopNest, parameters: GridParameters, latencies: GridLatencies, output_offset: int = 0
) -> PhaseTiming:
    """The timing of a single phase, see `PhaseClock.phase_timing`. Raises `MappingError`."""
    return PhaseClock(latencies, parameters.group_beats).phase_timing(phase, nest, output_offset)


def assert_no_collision(timing: PhaseTiming) -> None:
    """Check by enumeration that results of a phase never meet; a mistake in the scheduler, not in the input."""
    for (first, _), (second, _) in pairwise(timing.arrivals):
        if second - first < timing.spacing:
            raise AssertionError(f"{timing.phase.name}: results meet at the collector in cycle {second}")
