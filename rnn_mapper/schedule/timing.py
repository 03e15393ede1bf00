"""When a phase uses what, counted in cycles from the issue of its token.

All of it follows from the loop nest, the epilogue program and the grid's latencies; the predictor and the schedule use
these figures and have none of their own. Times with the suffix `_local` are counted from the first operands of a site.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, pairwise

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters
from rnn_mapper.cells.program import Program
from rnn_mapper.cells.unit_timing import follows, same_flow
from rnn_mapper.errors import MappingError
from rnn_mapper.schedule.loop_nest import LoopNest
from rnn_mapper.schedule.phases import Phase

__all__ = ["PhaseTiming", "time_phase"]

#: Intervals that are compared for the first step of a cleared sequence, with the shortest rows that are possible.
FIRST_STEP_TRIALS = 10
#: Largest `pad` and `delay` of `hdl.layouts.phase_layout`.
FIELD_LIMIT = 255


@dataclass(frozen=True, eq=False)
class PhaseTiming:
    """Timing of one phase: `pad` idle cycles after a unit, and for each chain a delay of its start.

    A phase that multiplies the state has a second one, `fresh`, for the first step of a sequence that starts from a
    cleared state: one word of zeros a gate lets bias and stored part through, and its results leave the epilogue as
    fast as it can.
    """

    phase: Phase
    nest: LoopNest
    latencies: GridLatencies
    group_beats: int
    pad: int
    delays: tuple[int, ...]
    #: Groups of the output before those of this phase's network.
    output_offset: int = 0
    #: `fresh`, where it differs.
    shortened: PhaseTiming | None = None

    @property
    def fresh(self) -> PhaseTiming:
        """Timing in the first step of a cleared sequence."""
        return self.shortened or self

    def of_step(self, fresh: bool) -> PhaseTiming:
        """Timing of a token with this `fresh` bit."""
        return self.fresh if fresh else self

    @property
    def interval(self) -> int:
        """Cycles from one unit of a chain to its next (the initiation interval)."""
        return self.nest.gates * self.nest.words + self.pad

    def busy(self, chain: int) -> int:
        """Cycles in which the PMUs of a chain read."""
        return self.nest.units(chain) * self.interval - self.pad

    @cached_property
    def occupied(self) -> int:
        """Cycles, counted from the token in each column, until the last site has read its last operands."""
        return max(delay + self.busy(chain) for chain, delay in enumerate(self.delays))

    @property
    def stored(self) -> int:
        """Cycles from the token's issue until every part that the phase stores is in its memory."""
        lasts = (
            delay + self.busy(chain) + self.nest.tail(chain) for chain, delay in enumerate(self.delays)
            if self.nest.units(chain)
        )
        return self.latencies.token + max(lasts) - 1 + self.latencies.store

    # Results

    def arrival(self, chain: int, unit: int) -> int:
        """Cycles from the token's issue to a result at the collector."""
        return self.delays[chain] + unit * self.interval + self._arrival_base(chain)

    def _arrival_base(self, chain: int) -> int:
        return arrival_base(self.phase.steps, self.nest, self.latencies, chain)

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

    @property
    def completion(self) -> int:
        """Cycle in which the last result has been collected."""
        return self.arrivals[-1][0] + self.spacing - 1

    @property
    def earliest(self) -> int:
        """The last result of the first chain without a delay: nothing can be complete before."""
        return self._arrival_base(0) + (self.nest.max_units - 1) * self.interval

    @cached_property
    def output_start(self) -> int:
        """Results that must have arrived before the output may be sent in order, one group a cycle, without a gap.

        Enough for both timings of the phase. Counts the results of this phase only; all others of the output have
        arrived when its first does.
        """
        first = self.output_offset + self.phase.first_unit // self.nest.rows
        needed = max(cycle - first - group for cycle, group in self.arrivals)
        count = next(count for count, (cycle, _) in enumerate(self.arrivals, start=1) if cycle >= needed)
        return max(count, self.shortened.output_start) if self.shortened else count

    # Use of a site

    def row_local(self, unit: int, gate: int) -> int:
        """Last operands of a gate (by its position in the program)."""
        return unit * self.interval + (gate + 1) * self.nest.words - 1


def arrival_base(program: Program, nest: LoopNest, latencies: GridLatencies, chain: int) -> int:
    """Arrival of the first unit of a chain without delay: token, operands, epilogue, and the way back west."""
    gate, trips = program.emitting
    column = nest.tail(chain)
    first_operands = latencies.token + column
    return (
        first_operands + (gate + 1) * nest.words - 1 + latencies.result + trips * latencies.ring
        + latencies.result_hop * column
    )


def time_phase(
    phase: Phase, nest: LoopNest, parameters: GridParameters, latencies: GridLatencies, output_offset: int = 0
) -> PhaseTiming:
    """The shortest interval and the smallest delays with which no two values ever meet.

    Raises `MappingError` when the fields of the configuration are too narrow for any.
    """
    if phase.stores:
        return PhaseTiming(phase, nest, latencies, parameters.group_beats, 0, (0,) * nest.chains)
    timing = next(_timings(phase, nest, parameters, latencies, output_offset), None)
    if timing is None:
        raise MappingError(
            f"{phase.name}: {nest.chains} chains of {nest.max_units} units send more results than a result link takes, "
            f"even with {FIELD_LIMIT} idle cycles after each unit; use a larger ru"
        )
    if not phase.previous:
        return timing
    # The last result is marked in its unit entry, so that both timings must end with the same.
    last = timing.arrivals[-1][1]
    words = next((
        words for words in range(1, nest.words)
        if same_flow(phase.steps, nest.words, words, latencies.ring, latencies.state_distance)
    ), None)
    if words is None:
        return timing
    best: PhaseTiming | None = None
    shorter = _timings(phase, replace(nest, words=words), parameters, latencies, output_offset)
    for fresh in islice(shorter, FIRST_STEP_TRIALS if nest.max_units > 1 else 1):
        if fresh.interval >= timing.interval or (best is not None and fresh.earliest >= best.completion):
            break
        ending = _ending_with(fresh, last)
        if ending is not None and (best is None or ending.completion < best.completion):
            best = ending
    return replace(timing, shortened=best)


def _ending_with(timing: PhaseTiming, group: int) -> PhaseTiming | None:
    """The timing with its chain that makes `group` delayed until that is the last result; None if it cannot be."""
    if timing.arrivals[-1][1] == group:
        return timing
    nest, late = timing.nest, group % timing.nest.chains
    others = [
        timing.arrival(chain, unit)
        for chain in range(nest.chains) if chain != late for unit in range(nest.units(chain))
    ]
    taken = {cycle + beat for cycle in others for beat in range(timing.spacing)}
    own = [timing.arrival(late, unit) for unit in range(nest.units(late))]
    for more in range(max(others) - own[-1] + 1, FIELD_LIMIT + 1 - timing.delays[late]):
        if not taken & {cycle + more + beat for cycle in own for beat in range(timing.spacing)}:
            delays = list(timing.delays)
            delays[late] += more
            return replace(timing, delays=tuple(delays))
    return None


def _timings(
    phase: Phase, nest: LoopNest, parameters: GridParameters, latencies: GridLatencies, output_offset: int
) -> Iterator[PhaseTiming]:
    """All timings without collisions, by rising interval."""
    spacing = parameters.group_beats if phase.feeds_back else 1
    for pad in range(FIELD_LIMIT + 1):
        interval = nest.gates * nest.words + pad
        if nest.max_units > 1 and not follows(phase.steps, nest.words, interval, latencies.ring):
            continue
        delays = _delays(phase, nest, latencies, interval, spacing)
        if delays is not None:
            yield PhaseTiming(phase, nest, latencies, parameters.group_beats, pad, delays, output_offset)


def _delays(
    phase: Phase, nest: LoopNest, latencies: GridLatencies, interval: int, spacing: int
) -> tuple[int, ...] | None:
    """Smallest delays, from the eastmost chain (whose results arrive last) to the west, that keep results apart."""
    taken: set[int] = set()
    delays = [0] * nest.chains
    for chain in reversed(range(nest.chains)):
        base = arrival_base(phase.steps, nest, latencies, chain)
        times = [base + unit * interval for unit in range(nest.units(chain))]
        for delay in range(FIELD_LIMIT + 1):
            cells = {time + delay + cell for time in times for cell in range(spacing)}
            if len(cells) == spacing * len(times) and not cells & taken:
                break
        else:
            return None
        taken |= cells
        delays[chain] = delay
    return tuple(delays)


def assert_no_collision(timing: PhaseTiming) -> None:
    """Check by enumeration that results of a phase never meet; a mistake in the scheduler, not in the input."""
    for (first, _), (second, _) in pairwise(timing.arrivals):
        if second - first < timing.spacing:
            raise AssertionError(f"{timing.phase.name}: results meet at the collector in cycle {second}")
