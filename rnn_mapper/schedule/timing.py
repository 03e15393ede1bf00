"""The cycles in which a phase uses each resource, counted from the issue of its token.

All of them follow from the loop nest, the epilogue program and the grid's latencies. The predictor and the schedule use
only these figures. `rnn_mapper.schedule.clock` finds them. Cycles in which results arrive are the bits of one integer,
so that all results of a chain are compared with all others at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from hdl.latencies import GridLatencies
from rnn_mapper.cells.program import Program
from rnn_mapper.schedule.loop_nest import LoopNest
from rnn_mapper.schedule.phases import Phase

__all__ = ["PhaseTiming", "PhaseTraits", "Tiling", "Timing", "arrival_base", "assert_no_collision"]


@dataclass(frozen=True, eq=False, slots=True)
class PhaseTraits:
    """Everything the timing of a phase depends on except its tiling. Compared by identity: `ProgramRules.traits`."""

    program: Program
    #: Matrix rows of a unit.
    gates: int
    stores: bool
    #: The phase multiplies a vector of the previous step, so it has a separate timing in the first step.
    previous: bool
    feeds_back: bool
    ends_output: bool


class Tiling(NamedTuple):
    """The part of a loop nest that does not depend on the grid."""

    #: PCUs of a chain, chains of a row, groups of units, vector words of a gate in a PCU, earlier groups of the output.
    ru: int
    chains: int
    groups: int
    words: int
    first: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Timing:
    """Cycles from the issue of a token. Tuples are by chain, without the chains that have no units. Looked up by
    identity: a `PhaseClock` returns the same object for the same arguments.

    A phase that multiplies the state has a second timing, `fresh`, for the first step of a sequence that starts from a
    cleared state: one word of zeros for each gate lets bias and stored part through, and the results leave the epilogue
    as fast as possible.
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
    #: Number of columns that the chains take.
    columns: int
    #: Units of each chain.
    units: tuple[int, ...]
    #: First cycle, counted from the first operands, in which no site of the chain reads any more.
    ends: tuple[int, ...]
    #: The maximum of `ends`.
    last_end: int
    #: A token that follows sooner would overtake this token while this one waits for its delay.
    waiting: int
    #: Cycle of the first result, and cycle in which the last result has been collected (0 for a phase that stores).
    first_arrival: int
    completion: int
    #: Slots of the write stream; bit 0 is the token.
    slots: int
    #: Cycles in which results arrive, as bits, if this phase ends the output; else 0.
    arrivals: int
    #: Number of results that must have arrived before the output may be sent in order, one group a cycle, without gaps:
    #: enough for both timings of the phase. All other groups of the output have arrived when the first of these does.
    output_start: int
    #: Cycle in which the output may begin to leave; None where this phase does not decide it.
    output: int | None
    #: Cycle in which every stored part is in its memory.
    stored: int
    #: The timing in the first step of a cleared sequence, where it differs.
    fresh: Timing | None


def arrival_base(program: Program, words: int, latencies: GridLatencies, column: int) -> int:
    """Arrival of the first unit of a chain without delay that ends in this column: token, operands, epilogue and the
    way back west."""
    gate, trips = program.emitting
    first_operands = latencies.token + column
    return (
        first_operands + (gate + 1) * words - 1 + latencies.result + trips * latencies.ring
        + latencies.result_hop * column
    )


@dataclass(frozen=True, eq=False)
class PhaseTiming:
    """The timing of a phase of a network, in the form of the images and reports: `pad` idle cycles after a unit, and a
    delay of the start for each chain."""

    phase: Phase
    nest: LoopNest
    latencies: GridLatencies
    group_beats: int
    cycles: Timing
    #: Groups of the output before the groups of this phase's network.
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
        """Cycles by which each chain begins later."""
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
        """Cycles for which a result occupies the collector."""
        return self.group_beats if self.phase.feeds_back else 1

    @cached_property
    def beats(self) -> list[int]:
        """Cycles in which the collector writes to the write stream."""
        if not self.phase.feeds_back:
            return []
        return [cycle + beat for cycle, _ in self.arrivals for beat in range(self.group_beats)]


def assert_no_collision(timing: PhaseTiming) -> None:
    """Check by enumeration that results of a phase never collide; a collision is a mistake in the scheduler, not in the
    input."""
    for (first, _), (second, _) in pairwise(timing.arrivals):
        if second - first < timing.spacing:
            raise AssertionError(f"{timing.phase.name}: results meet at the collector in cycle {second}")
