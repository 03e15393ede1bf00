"""Epilogue programs: what the unit path does with the gates of a hidden unit.

A program is a list of gates in the order in which they are computed, each with the instruction that receives its
value, and the instructions that follow. The instruction words are `hdl.layouts.instruction_layout`.
"""

from __future__ import annotations

from dataclasses import dataclass

from hdl.layouts import Activation, Addend, FactorX, FactorY, Hold, Keep, Subtrahend

__all__ = ["GateStep", "Instruction", "Program"]


@dataclass(frozen=True)
class Instruction:
    """`result = sat16(round(x * (y - subtract) + addend, 15))`; see `hdl.layouts.instruction_layout`."""

    text: str
    x: FactorX = FactorX.ZERO
    y: FactorY = FactorY.VALUE
    subtract: Subtrahend = Subtrahend.ZERO
    addend: Addend = Addend.ZERO
    keep: Keep = Keep.NONE
    write_state: bool = False
    emit: bool = False
    #: Function on the way to the next instruction; None ends here.
    proceed: Activation | None = None
    #: Which of the unit's state words it reads and writes.
    read_slot: int = 0
    write_slot: int = 0
    #: The state word that it reads counts as zero in the first step of a cleared sequence.
    carried: bool = False
    #: Where the activated result is kept, one trip round the ring later; its function is `activation`, which must be
    #: that of `proceed` if there is one.
    hold: Hold = Hold.NONE
    activation: Activation = Activation.IDENTITY

    @property
    def reads_state(self) -> bool:
        """Uses the state word `read_slot`."""
        return self.y == FactorY.STATE or self.subtract == Subtrahend.STATE or self.addend == Addend.STATE

    @property
    def function(self) -> Activation:
        """Function of the result on its way round the ring."""
        return self.activation if self.proceed is None else self.proceed


@dataclass(frozen=True)
class GateStep:
    """One gate: its row path, and the chain of instructions that its value starts."""

    #: Number of the row, as in `Stage.all_rows`.
    gate: int
    activation: Activation
    instructions: tuple[Instruction, ...] = ()
    #: Where the value is kept for instructions of later gates.
    hold: Hold = Hold.NONE
    #: Add the stored part before the activation; otherwise only the instruction sees it.
    add_stored: bool = True
    #: Which of the unit's stored parts it stores or reads; None: the one of its position.
    slot: int | None = None
    #: Number of the row whose stored part the first instruction sees.
    foreign: int | None = None


@dataclass(frozen=True)
class Program:
    """All gates of a unit, in the order of computation."""

    name: str
    gates: tuple[GateStep, ...]

    @property
    def slots(self) -> tuple[int, ...]:
        """The stored part of each gate."""
        return tuple(place if gate.slot is None else gate.slot for place, gate in enumerate(self.gates))

    @property
    def length(self) -> int:
        """Instructions."""
        return sum(len(gate.instructions) for gate in self.gates)

    @property
    def chains(self) -> tuple[tuple[Instruction, ...], ...]:
        """The instructions of each gate, one after the other."""
        return tuple(gate.instructions for gate in self.gates)

    @property
    def emitting(self) -> tuple[int, int]:
        """Position of the gate that starts the chain that emits, and the number of the emitting instruction in it."""
        for position, gate in enumerate(self.gates):
            for number, instruction in enumerate(gate.instructions):
                if instruction.emit:
                    return position, number
        raise ValueError(f"program {self.name} emits nothing")
