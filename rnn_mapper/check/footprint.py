"""The effects of one token on a grid, site by site, in cycles after its issue: the schedule checker's own model.

The model is written from the hardware's timing alone and shares no code with the scheduler. Its only input from the
scheduler is the decisions to check, as `TimedPhase`. Times "at the site" are counted as if the write stream reached
every site in the cycle of issue: the delay to a column is the same for everything that the column receives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hdl.latencies import GridLatencies
from hdl.layouts import Addend, FactorX, Hold, Keep
from rnn_mapper.schedule.loop_nest import LoopNest
from rnn_mapper.schedule.phases import Phase

__all__ = ["CARRIED", "ChainFootprint", "Footprint", "TimedPhase", "Times", "footprint_of"]

#: Suffix of the name of a state word whose value from the previous step is used.
CARRIED = " of the step before"

Times = npt.NDArray[np.int64]


class TimedPhase(Protocol):
    """The decisions of a scheduler about a phase: everything in its configuration words."""

    @property
    def phase(self) -> Phase:
        """The phase, with its program."""

    @property
    def nest(self) -> LoopNest:
        """Its loop nest."""

    @property
    def latencies(self) -> GridLatencies:
        """The latencies of the grid."""

    @property
    def group_beats(self) -> int:
        """Cycles in which the collector writes a group."""

    @property
    def pad(self) -> int:
        """Idle cycles after a unit."""

    @property
    def delays(self) -> tuple[int, ...]:
        """Cycles by which each chain begins later."""

    @property
    def output_offset(self) -> int:
        """Groups of the output before the groups of the phase's network."""

    @property
    def output_start(self) -> int:
        """Results that must have arrived before the output may be sent, if the output ends with this phase."""

    @property
    def fresh(self) -> TimedPhase:
        """The phase in the first step of a cleared sequence."""


@dataclass(frozen=True, eq=False)
class ChainFootprint:
    """One chain of a phase. Arrays have the shape [units] unless stated otherwise."""

    first_col: int
    tail: int
    #: Cycle in which the token's delay ends, and the cycle after the last read.
    begins: int
    ends: int
    #: Last operands of every row, [units, gates].
    rows: Times
    #: Uses of the unit path.
    ring: Times
    #: Cycles of the writes and uses of each hold register, of the kept result (KEPT) and of each state word of the unit
    #: (STATE and its number; with CARRIED for a use that needs the value of the previous step). A kept result counts as
    #: written in the last cycle in which the one before it is used.
    writes: dict[str, list[Times]]
    uses: dict[str, list[Times]]
    #: Results at the tail's link register, and at the collector.
    emitted: Times
    arrivals: Times


@dataclass(frozen=True, eq=False)
class Footprint:
    """All effects of one token of a phase."""

    chains: list[ChainFootprint]
    #: Cycles for which a result occupies the collector, and whether it is written to the vector memories.
    occupies: int
    feeds_back: bool

    @property
    def reads(self) -> tuple[int, int]:
        """First and last read of the operand, over all sites."""
        return min(chain.begins for chain in self.chains), max(chain.ends for chain in self.chains) - 1

    @property
    def arrivals(self) -> Times:
        """Results at the collector, in order."""
        return np.sort(np.concatenate([chain.arrivals for chain in self.chains]))


def footprint_of(timing: TimedPhase) -> Footprint:
    """The footprint of a phase: its loop nest, program, delays and pad, and the latencies of the grid."""
    phase, nest = timing.phase, timing.nest
    feeds_back = phase.feeds_back
    chains: list[ChainFootprint] = []
    for chain in range(nest.chains):
        groups = len(range(chain, nest.groups, nest.chains))
        if groups:
            chains.append(_chain(timing, chain, groups))
    return Footprint(chains, timing.group_beats if feeds_back else 1, feeds_back)


def _chain(timing: TimedPhase, chain: int, units: int) -> ChainFootprint:
    phase, nest, latencies = timing.phase, timing.nest, timing.latencies
    row = nest.words
    unit = nest.gates * row + timing.pad
    begins = timing.delays[chain]
    starts = begins + np.arange(units, dtype=np.int64) * unit
    first_col, tail = chain * nest.ru, chain * nest.ru + nest.ru - 1
    rows = starts[:, None] + np.arange(1, nest.gates + 1) * row - 1
    footprint = ChainFootprint(
        first_col, tail, begins, int(starts[-1]) + nest.gates * row, rows, np.zeros(0, np.int64), {}, {},
        np.zeros(0, np.int64), np.zeros(0, np.int64),
    )
    if phase.stores:
        return footprint
    ring: list[Times] = []
    emitted = footprint.emitted
    for position, gate in enumerate(phase.steps.gates):
        value = rows[:, position]
        if gate.hold != Hold.NONE:
            footprint.writes.setdefault(gate.hold.name, []).append(value)
        for trip, op in enumerate(gate.instructions):
            time = value + trip * latencies.ring
            ring.append(time)
            if op.x in (FactorX.HOLD0, FactorX.HOLD1):
                footprint.uses.setdefault(op.x.name, []).append(time)
            if op.addend == Addend.KEPT:
                footprint.uses.setdefault("KEPT", []).append(time)
            if op.keep != Keep.NONE:
                footprint.writes.setdefault("KEPT", []).append(time + latencies.kept_distance - 1)
            if op.hold != Hold.NONE:
                # The activated result is there when a following instruction would run.
                footprint.writes.setdefault(op.hold.name, []).append(time + latencies.ring)
            if op.reads_state:
                name = f"STATE{op.read_slot}{CARRIED if op.carried else ''}"
                footprint.uses.setdefault(name, []).append(time)
            if op.write_state:
                footprint.writes.setdefault(f"STATE{op.write_slot}", []).append(time)
            if op.emit:
                emitted = time + latencies.token + tail + latencies.result
    return ChainFootprint(
        first_col, tail, begins, footprint.ends, rows, np.concatenate(ring), footprint.writes, footprint.uses, emitted,
        emitted + tail * latencies.result_hop,
    )
