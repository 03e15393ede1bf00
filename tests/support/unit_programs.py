"""Unit programs run instruction by instruction, from the meaning of the words (hdl.layouts, hdl.grid.unit_path)."""

from __future__ import annotations

from collections import abc
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hdl.latencies import UnitPathLatencies
from hdl.layouts import Activation, Addend, FactorX, FactorY, Hold, Keep, Subtrahend
from rnn_mapper.cells.program import Instruction, Program
from rnn_mapper.fixed_point import activation_sigmoid, activation_tanh

__all__ = ["PATH", "UnitResult", "run_program"]

Values = npt.NDArray[np.int64]

#: The latencies of the unit path without registers at the outputs of the memories.
PATH = UnitPathLatencies(ring=5, state_distance=4, kept_distance=2)


@dataclass
class UnitResult:
    """What a program left behind, for many units at once."""

    emitted: list[Values] = field(default_factory=list)
    #: Written state words by number, and how often each was written.
    written: dict[int, Values] = field(default_factory=dict)
    writes: dict[int, int] = field(default_factory=dict)


@dataclass
class _Word:
    """A state word: every content with the cycle of the instruction that wrote it."""

    contents: list[tuple[int, Values]]

    def read(self, cycle: int) -> Values:
        return next(value for written, value in reversed(self.contents) if cycle - written >= PATH.state_distance)


def run_program(
    program: Program, words: int, rows: Sequence[Values], states: abc.Mapping[int, Values], fresh: bool, segments: int
) -> UnitResult:
    """Run one unit. `rows` are the complete pre-activations by number of the row, `states` its state words; `fresh` in
    the first step of a cleared sequence.

    A row whose word ends in cycle t may be held from t + 1 on and start an instruction in t. Raises AssertionError
    where two instructions meet, or where a register is used that nothing has written.
    """
    result = UnitResult()
    memory = {slot: _Word([(-(1 << 30), value)]) for slot, value in states.items()}
    #: Returning values by cycle: value, register, and the chain and number of the instruction that follows.
    ring: dict[int, tuple[Values, Hold, int, int | None]] = {}
    holds: dict[Hold, Values] = {}
    #: Kept results by the cycle of their instruction.
    kept: dict[int, Values] = {}
    arriving = {(position + 1) * words - 1: position for position in range(len(program.gates))}
    cycle = 0
    while arriving or ring:
        position = arriving.pop(cycle, None)
        returned = ring.pop(cycle, None)
        work: list[tuple[Instruction, Values, Values | None, int, int]] = []
        later: list[tuple[Hold, Values]] = []
        if returned is not None:
            value, hold, chain, number = returned
            if hold != Hold.NONE:
                later.append((hold, value))
            if number is not None:
                work.append((program.gates[chain].instructions[number], value, None, chain, number))
        if position is not None:
            step = program.gates[position]
            value = _activate(rows[step.gate], step.activation, segments)
            stored = None if step.foreign is None else rows[step.foreign]
            if step.hold != Hold.NONE:
                later.append((step.hold, value))
            if step.instructions:
                work.append((step.instructions[0], value, stored, position, 0))
        assert len(work) <= 1, f"two instructions in cycle {cycle}"
        assert len({hold for hold, _ in later}) == len(later), f"two values for one register in cycle {cycle}"
        for instruction, value, stored, chain, number in work:
            ready = [when for when in kept if when <= cycle - PATH.kept_distance]
            usable = kept[max(ready)] if ready else None
            made = _execute(instruction, value, stored, memory, holds, usable, cycle, fresh)
            if instruction.keep != Keep.NONE:
                kept[cycle] = made << (10 if instruction.keep == Keep.ACTIVATION else 15)
            if instruction.emit:
                result.emitted.append(made)
            if instruction.write_state:
                slot = instruction.write_slot
                result.written[slot] = made
                result.writes[slot] = result.writes.get(slot, 0) + 1
                memory.setdefault(slot, _Word([])).contents.append((cycle, made))
            if instruction.proceed is not None or instruction.hold != Hold.NONE:
                function = instruction.activation if instruction.proceed is None else instruction.proceed
                assert cycle + PATH.ring not in ring
                following = None if instruction.proceed is None else number + 1
                ring[cycle + PATH.ring] = _activate(made, function, segments), instruction.hold, chain, following
        holds |= dict(later)
        cycle += 1
    return result


def _execute(
    instruction: Instruction, value: Values, stored: Values | None, memory: abc.Mapping[int, _Word],
    holds: abc.Mapping[Hold, Values], kept: Values | None, cycle: int, fresh: bool,
) -> Values:
    """`result = sat16(round(x * (y - subtract) + addend, 15))`."""
    zero = np.zeros_like(value)
    uses = instruction.y == FactorY.STATE or instruction.subtract == Subtrahend.STATE
    state = memory[instruction.read_slot].read(cycle) if uses or instruction.addend == Addend.STATE else zero
    if fresh and instruction.carried:
        state = zero
    match instruction.x:
        case FactorX.ZERO:
            x = zero
        case FactorX.VALUE:
            x = value
        case FactorX.HOLD0:
            x = holds[Hold.HOLD0]
        case FactorX.HOLD1:
            x = holds[Hold.HOLD1]
    y = {FactorY.VALUE: value, FactorY.STATE: state, FactorY.ONE: zero + 32768, FactorY.ZERO: zero}[instruction.y]
    z = {Subtrahend.ZERO: zero, Subtrahend.VALUE: value, Subtrahend.STATE: state}[instruction.subtract]
    match instruction.addend:
        case Addend.ZERO:
            addend = zero
        case Addend.KEPT:
            assert kept is not None, "nothing was kept"
            addend = kept
        case Addend.VALUE:
            addend = value << 15
        case Addend.STORED:
            assert stored is not None, "no stored part belongs to this instruction"
            addend = stored << 15
        case Addend.STATE:
            addend = state << 15
    return np.clip((x * (y - z) + addend + (1 << 14)) >> 15, -32768, 32767)


def _activate(value: Values, function: Activation, segments: int) -> Values:
    match function:
        case Activation.SIGMOID:
            return np.asarray(activation_sigmoid(value, segments))
        case Activation.TANH:
            return np.asarray(activation_tanh(value, segments))
        case Activation.RELU:
            return np.maximum(value, 0)
    return value
