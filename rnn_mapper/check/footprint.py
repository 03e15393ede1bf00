"""What one token makes a grid do, site by site, as cycles after its issue: the schedule checker's own model.

It is written from the hardware's timing alone and shares no code with `timing` and `schedule`, whose decisions it
checks. Times "at the site" are counted as if the write stream reached every site in the cycle of issue: the way there
is the same for everything that a column receives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hdl.layouts import Addend, FactorX, Hold, Keep
from rnn_mapper.schedule.timing import PhaseTiming

__all__ = ["CARRIED", "ChainPattern", "Times", "TokenPattern", "pattern_of"]

#: Ending of the name of a state word that is used as the step before left it.
CARRIED = " of the step before"

Times = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ChainPattern:
    """One chain of a phase. Arrays are [units] unless they say otherwise."""

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
    #: (STATE and its number; with CARRIED for a use that needs what the step before left there).
    writes: dict[str, list[Times]]
    uses: dict[str, list[Times]]
    #: Results at the tail's link register, and at the collector.
    emitted: Times
    arrivals: Times


@dataclass(frozen=True, eq=False)
class TokenPattern:
    """All that follows from one token of a phase."""

    chains: list[ChainPattern]
    #: Cycles that a result occupies the collector, and whether it is written to the vector memories.
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


def pattern_of(timing: PhaseTiming) -> TokenPattern:
    """The pattern of a phase: its loop nest, program, delays and pad, and the latencies of the grid."""
    phase, nest = timing.phase, timing.nest
    feeds_back = phase.feeds_back
    chains: list[ChainPattern] = []
    for chain in range(nest.chains):
        groups = len(range(chain, nest.groups, nest.chains))
        if groups:
            chains.append(_chain(timing, chain, groups))
    return TokenPattern(chains, timing.group_beats if feeds_back else 1, feeds_back)


def _chain(timing: PhaseTiming, chain: int, units: int) -> ChainPattern:
    phase, nest, latencies = timing.phase, timing.nest, timing.latencies
    row = nest.words
    unit = nest.gates * row + timing.pad
    begins = timing.delays[chain]
    starts = begins + np.arange(units, dtype=np.int64) * unit
    first_col, tail = chain * nest.ru, chain * nest.ru + nest.ru - 1
    rows = starts[:, None] + np.arange(1, nest.gates + 1) * row - 1
    pattern = ChainPattern(
        first_col, tail, begins, int(starts[-1]) + nest.gates * row, rows, np.zeros(0, np.int64), {}, {},
        np.zeros(0, np.int64), np.zeros(0, np.int64),
    )
    if phase.stores:
        return pattern
    ring: list[Times] = []
    emitted = pattern.emitted
    for position, gate in enumerate(phase.steps.gates):
        value = rows[:, position]
        if gate.hold != Hold.NONE:
            pattern.writes.setdefault(gate.hold.name, []).append(value)
        for trip, op in enumerate(gate.instructions):
            time = value + trip * latencies.ring
            ring.append(time)
            if op.x in (FactorX.HOLD0, FactorX.HOLD1):
                pattern.uses.setdefault(op.x.name, []).append(time)
            if op.addend == Addend.KEPT:
                pattern.uses.setdefault("KEPT", []).append(time)
            if op.keep != Keep.NONE:
                pattern.writes.setdefault("KEPT", []).append(time)
            if op.hold != Hold.NONE:
                # Its activated result is there when an instruction that follows it would run.
                pattern.writes.setdefault(op.hold.name, []).append(time + latencies.ring)
            if op.reads_state:
                name = f"STATE{op.read_slot}{CARRIED if op.carried else ''}"
                pattern.uses.setdefault(name, []).append(time)
            if op.write_state:
                pattern.writes.setdefault(f"STATE{op.write_slot}", []).append(time)
            if op.emit:
                emitted = time + latencies.token + tail + latencies.result
    return ChainPattern(
        first_col, tail, begins, pattern.ends, rows, np.concatenate(ring), pattern.writes, pattern.uses, emitted,
        emitted + tail * latencies.result_hop,
    )
