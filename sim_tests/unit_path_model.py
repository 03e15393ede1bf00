"""What a unit path must do in every cycle, in integers, from the contracts of `hdl.unit_path` and `hdl.layouts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hdl.layouts import Activation, Addend, FactorX, FactorY, Hold, Keep
from hdl.numerics import KEPT_LEFT
from hdl.unit_path import UnitPath
from rnn_mapper.fixed_point import activation_sigmoid, activation_tanh, round_shift, saturate

__all__ = ["Issue", "UnitCycle", "UnitPathModel", "activate"]


def activate(value: int, function: Activation, segments: int) -> int:
    """An activation function, as the reference of the networks computes it."""
    if function == Activation.SIGMOID:
        return int(activation_sigmoid(value, segments))
    if function == Activation.TANH:
        return int(activation_tanh(value, segments))
    return max(value, 0) if function == Activation.RELU else value


@dataclass(frozen=True)
class Issue:
    """A value on its way to the unit path: to run an instruction (`valid`), to be kept, or both."""

    valid: int = 0
    hold: Hold = Hold.NONE
    instruction: int = 0
    unit: int = 0
    fresh: int = 0
    parity: int = 0


@dataclass
class UnitCycle:
    """What must be seen in one cycle; None where nothing must happen."""

    #: Program address and unit whose state is read.
    fetch: tuple[int, int] | None = None
    collision: bool = False
    #: Unit whose entry is read.
    unit: int | None = None
    #: Emitted result, parity, and the unit whose entry goes with it.
    local: tuple[int, int, int] | None = None
    #: Unit and result that its state becomes.
    write: tuple[int, int] | None = None


class UnitPathModel:
    """Runs instructions as they arrive. `program` and `states` are the memories' contents; `states` is updated."""

    def __init__(self, component: UnitPath, program: Sequence[Mapping[str, int]], states: list[int]) -> None:
        self.component, self.program, self.states = component, program, states
        self.now = 0
        self.first_hold, self.second_hold, self.kept = [0, 0], 0, 0
        self.collisions = 0
        #: Results of every instruction, for benches that ask whether corner cases were reached.
        self.results: list[int] = []
        self._announced = Issue()
        self._fetched: tuple[Issue, Mapping[str, int], int, int | None] | None = None
        self._ring: dict[int, tuple[Issue, int]] = {}
        self._local: dict[int, tuple[int, int, int]] = {}
        self._writes: dict[int, tuple[int, int]] = {}

    def cycle(self, issue: Issue, value: int, stored: int) -> UnitCycle:
        """One cycle; `value` and `stored` belong to the issue of the cycle before."""
        seen = UnitCycle(local=self._local.pop(self.now, None), write=self._writes.pop(self.now, None))
        if self._fetched is not None:
            arrived, op, state, ring_value = self._fetched
            seen.unit = arrived.unit
            self._execute(arrived, op, state, value if ring_value is None else ring_value, stored)
        # What a gate holds is there for the instructions after this cycle's.
        if self._announced.hold == Hold.HOLD0:
            self.first_hold[self._announced.unit & 1] = value
        elif self._announced.hold == Hold.HOLD1:
            self.second_hold = value
        returned, ring = self._ring.pop(self.now, (None, None))
        seen.collision = bool(issue.valid and returned)
        self.collisions += seen.collision
        arriving = issue if issue.valid else returned
        self._fetched = None
        if arriving is not None:
            op = dict(self.program[arriving.instruction])
            self._fetched = arriving, op, self.states[arriving.unit], None if issue.valid else ring
            seen.fetch = arriving.instruction, arriving.unit
        # A state that is read in the cycle of its write is still the old one.
        if seen.write is not None:
            self.states[seen.write[0]] = seen.write[1]
        self._announced = issue
        self.now += 1
        return seen

    def _execute(self, arrived: Issue, op: Mapping[str, int], state: int, value: int, stored: int) -> None:
        x = {
            FactorX.ZERO: 0, FactorX.VALUE: value, FactorX.HOLD0: self.first_hold[arrived.unit & 1],
            FactorX.HOLD1: self.second_hold,
        }[FactorX(op["x"])]
        y = value if FactorY(op["y"]) == FactorY.VALUE else 0 if arrived.fresh else state
        addend = {
            Addend.ZERO: 0, Addend.KEPT: self.kept, Addend.VALUE: value << 15, Addend.STORED: stored << 15
        }[Addend(op["addend"])]
        result = int(saturate(round_shift(x * (y - value * op["subtract_value"]) + addend, 15), 16))
        self.results.append(result)
        if op["keep"] == Keep.ACTIVATION.value:
            self.kept = result << KEPT_LEFT
        elif op["keep"] == Keep.PRE_ACTIVATION.value:
            self.kept = result << 15
        emitted = self.now + self.component.emit_latency
        if op["emit"]:
            self._local[emitted] = result, arrived.parity, arrived.unit
        if op["write_state"]:
            self._writes[emitted + 1] = arrived.unit, result
        if op["proceed"]:
            onward = Issue(1, Hold.NONE, op["next"], arrived.unit, arrived.fresh, arrived.parity)
            segments = self.component.parameters.table_segments
            activated = activate(result, Activation(op["activation"]), segments)
            # Announced a cycle before the value, as a gate's is.
            self._ring[self.now + self.component.ring_latency - 1] = onward, activated
