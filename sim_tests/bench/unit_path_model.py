"""Cycle-accurate integer model of a unit path, from the contract of `hdl.grid.unit_path` and `hdl.layouts`."""

from __future__ import annotations

from collections import abc, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hdl.grid.unit_path import UnitPath
from hdl.layouts import Activation, Addend, FactorX, FactorY, Hold, Keep, Subtrahend
from hdl.numerics import KEPT_LEFT
from rnn_mapper.fixed_point import activation_sigmoid, activation_tanh, round_shift, saturate
from rnn_mapper.mapping.images import LayoutPacker
from sim_tests.bench.stimulus import NoiseWords

__all__ = ["Issue", "UnitCycle", "UnitPathModel", "activate", "random_instruction"]


def random_instruction(rng: np.random.Generator, packer: LayoutPacker, **fields: int) -> dict[str, int]:
    """Random bits, but values of the enum in fields whose enum has unused codes; `fields` are given."""
    chosen = {
        "subtract": int(rng.integers(len(Subtrahend))), "addend": int(rng.integers(len(Addend))),
        "hold": int(rng.integers(len(Hold))), "keep": int(rng.integers(len(Keep))),
    }
    return packer.unpack(NoiseWords(rng, packer).word(**chosen | fields))


def activate(value: int, function: Activation, segments: int) -> int:
    """An activation function, computed by the functions of the networks' reference."""
    if function == Activation.SIGMOID:
        return int(activation_sigmoid(value, segments))
    if function == Activation.TANH:
        return int(activation_tanh(value, segments))
    return max(value, 0) if function == Activation.RELU else value


@dataclass(frozen=True)
class Issue:
    """A value on its way into or round the unit path: to run an instruction (`valid`), to be kept, or both."""

    valid: int = 0
    hold: Hold = Hold.NONE
    instruction: int = 0
    unit: int = 0
    fresh: int = 0
    parity: int = 0


@dataclass
class UnitCycle:
    """Expected outputs of one cycle; None where nothing happens."""

    #: Program address, and address of the state word that is read.
    fetch: tuple[int, int] | None = None
    collision: bool = False
    #: Unit whose entry is read.
    unit: int | None = None
    #: Emitted result, parity, and the unit whose entry goes with it.
    local: tuple[int, int, int] | None = None
    #: Address of the state word that is written, and the result that it becomes.
    write: tuple[int, int] | None = None


class _Fetched(NamedTuple):
    """An instruction that was fetched for an issue, and the state word that was read."""

    arrived: Issue
    op: abc.Mapping[str, int]
    state: int


class UnitPathModel:
    """Runs instructions as values arrive. `program` and `states` are memory contents; `states` is updated."""

    def __init__(self, component: UnitPath, program: Sequence[abc.Mapping[str, int]], states: list[int]) -> None:
        self.component, self.program, self.states = component, program, states
        self.parameters = component.parameters
        self.now = 0
        #: Hold registers by the key of `_register`.
        self.holds: dict[tuple[Hold, int], int] = {}
        #: Two values for one instruction slot; two for one hold register.
        self.collisions = self.hold_collisions = 0
        #: Reads of a state word in the last cycle in which they see the old one, and in the first in which they see
        #: the new one.
        self.early_reads = self.fresh_reads = 0
        #: Results of all instructions, for benches that check whether corner cases were reached.
        self.results: list[int] = []
        #: What was announced in the last cycles: an issue and a returning issue, with the returning value, and the
        #: instruction that was fetched for one of them.
        self._announced: deque[tuple[Issue, Issue, int, _Fetched | None]] = deque()
        #: Cycle of the instruction and value of every write of a state word.
        self._history = [[(-component.state_distance, state)] for state in states]
        self._kept: list[tuple[int, int]] = [(-component.kept_distance, 0)]
        self._ring: dict[int, tuple[Issue, int]] = {}
        self._local: dict[int, tuple[int, int, int]] = {}
        self._writes: dict[int, tuple[int, int]] = {}
        self._entries: dict[int, int] = {}
        #: Cycles from an announcement to its value.
        self._ahead = 1 + component.parameters.memory_registers

    def cycle(self, issue: Issue, value: int, stored: int) -> UnitCycle:
        """One cycle; `value` and `stored` belong to an issue that was announced before."""
        if len(self._announced) == self._ahead:
            announced, returned, ring, fetched = self._announced.popleft()
            if fetched is not None:
                self._execute(*fetched, ring if fetched.arrived is returned else value, stored)
            # Instructions see a held value from the next cycle on; of two values the gate's stays.
            for held, kept in ((returned, ring), (announced, value)):
                if held.hold != Hold.NONE:
                    self.holds[_register(held.hold, held.unit)] = kept
        seen = UnitCycle(
            unit=self._entries.pop(self.now, None), local=self._local.pop(self.now, None),
            write=self._writes.pop(self.now, None),
        )
        returned, ring = self._ring.pop(self.now, (Issue(), 0))
        same = returned.hold == issue.hold != Hold.NONE
        same = same and _register(returned.hold, returned.unit) == _register(issue.hold, issue.unit)
        met = bool(issue.valid and returned.valid)
        seen.collision = met or same
        self.collisions += met
        self.hold_collisions += same and not met
        fetched = None
        if issue.valid or returned.valid:
            arriving = issue if issue.valid else returned
            op = dict(self.program[arriving.instruction])
            address = self._state_address(arriving.unit, arriving.instruction)
            ages = [(self.now + self._ahead - cycle, state) for cycle, state in self._history[address]]
            distance = self.component.state_distance
            state = next(state for age, state in reversed(ages) if age >= distance)
            fetched = _Fetched(arriving, op, state)
            seen.fetch = arriving.instruction, address
            self.early_reads += any(age == distance - 1 for age, _ in ages)
            self.fresh_reads += any(age == distance for age, _ in ages)
        if seen.write is not None:
            self.states[seen.write[0]] = seen.write[1]
        self._announced.append((issue, returned, ring, fetched))
        self.now += 1
        return seen

    def _state_address(self, unit: int, slot: int) -> int:
        words = self.parameters.state_words
        return unit * words + slot % words

    def _execute(self, arrived: Issue, op: abc.Mapping[str, int], state: int, value: int, stored: int) -> None:
        x = {
            FactorX.ZERO: 0, FactorX.VALUE: value,
            FactorX.HOLD0: self.holds.get(_register(Hold.HOLD0, arrived.unit), 0),
            FactorX.HOLD1: self.holds.get(_register(Hold.HOLD1, arrived.unit), 0),
        }[FactorX(op["x"])]
        if arrived.fresh and op["carried"]:
            state = 0
        y = {FactorY.VALUE: value, FactorY.STATE: state, FactorY.ONE: 32768, FactorY.ZERO: 0}[FactorY(op["y"])]
        z = {Subtrahend.ZERO: 0, Subtrahend.VALUE: value, Subtrahend.STATE: state}[Subtrahend(op["subtract"])]
        # 32768 + 32768 does not fit the difference's 17 bits.
        difference = y - z if y - z < 65536 else -65536
        usable = [made for cycle, made in self._kept if cycle <= self.now - self.component.kept_distance]
        kept = usable[-1]
        addend = {
            Addend.ZERO: 0, Addend.KEPT: kept, Addend.VALUE: value << 15, Addend.STORED: stored << 15,
            Addend.STATE: state << 15,
        }[Addend(op["addend"])]
        result = int(saturate(round_shift(x * difference + addend, 15), 16))
        self.results.append(result)
        if op["keep"] == Keep.ACTIVATION.value:
            self._kept.append((self.now, result << KEPT_LEFT))
        elif op["keep"] == Keep.PRE_ACTIVATION.value:
            self._kept.append((self.now, result << 15))
        emitted = self.now + self.component.emit_latency
        if op["emit"]:
            self._local[emitted] = result, arrived.parity, self._destination(arrived, op)
            self._entries[emitted - self._ahead] = self._destination(arrived, op)
        if op["write_state"]:
            address = self._state_address(arrived.unit, op["write_slot"])
            self._writes[emitted] = address, result
            self._history[address].append((self.now, result))
        if op["proceed"] or op["hold"]:
            onward = Issue(
                op["proceed"], Hold(op["hold"]), op["next"], arrived.unit, arrived.fresh, arrived.parity
            )
            segments = self.parameters.table_segments
            activated = activate(result, Activation(op["activation"]), segments)
            # Announced as early before the value as a gate's is.
            self._ring[self.now + self.component.ring_latency - self._ahead] = onward, activated

    def _destination(self, arrived: Issue, op: abc.Mapping[str, int]) -> int:
        return (arrived.unit + op["destination"]) % (1 << self.parameters.unit_bits)


def _register(hold: Hold, unit: int) -> tuple[Hold, int]:
    """HOLD0 exists twice."""
    return hold, unit & 1 if hold == Hold.HOLD0 else 0
