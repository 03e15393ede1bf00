"""Epilogue programs: what the unit path does with the gates of a hidden unit.

A program is a list of gates in the order in which they are computed, each with the instruction that receives its
value, and the instructions that follow. The instruction words are `hdl.layouts.instruction_layout`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hdl.layouts import Activation, Addend, FactorX, FactorY, Hold, Keep, Subtrahend
from rnn_mapper.network import Cell

__all__ = [
    "CELL_PROGRAMS", "DENSE_PROGRAM", "ELEMENTWISE_PROGRAMS", "PRODUCT_PROGRAMS", "GateStep", "Instruction", "Program",
]


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
        """Function of the result on its way round."""
        return self.activation if self.proceed is None else self.proceed


@dataclass(frozen=True)
class GateStep:
    """One gate: its row path, and the chain of instructions that its value starts."""

    #: Index of the gate in PyTorch's order.
    gate: int
    activation: Activation
    instructions: tuple[Instruction, ...] = ()
    #: Where the value is kept for instructions of later gates.
    hold: Hold = Hold.NONE
    #: Add the stored part before the activation; otherwise only the instruction sees it.
    add_stored: bool = True
    #: Which of the unit's stored parts it stores or reads; None: the one of its position.
    slot: int | None = None


@dataclass(frozen=True)
class Program:
    """All gates of a unit, in the order of computation."""

    name: str
    gates: tuple[GateStep, ...]
    uses_state: bool = False
    notes: str = field(default="", compare=False)

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


_EMIT_VALUE = Instruction("h = value", addend=Addend.VALUE, emit=True)

#: i*g is kept until f arrives; o comes first, because only the last instruction needs it.
_LSTM = Program(
    "lstm",
    (
        GateStep(3, Activation.SIGMOID, hold=Hold.HOLD0),
        GateStep(0, Activation.SIGMOID, hold=Hold.HOLD1),
        GateStep(2, Activation.TANH, (Instruction("kept = i * g", x=FactorX.HOLD1, keep=Keep.ACTIVATION),)),
        GateStep(1, Activation.SIGMOID, (
            Instruction("c = f * c + kept", x=FactorX.VALUE, y=FactorY.STATE, addend=Addend.KEPT,
                        carried=True, write_state=True, proceed=Activation.TANH),
            Instruction("h = o * tanh(c)", x=FactorX.HOLD0, emit=True),
        )),
    ),
    uses_state=True,
)

#: z*h + (1 - z)*n is z*(h - n) + n: one multiplication, and the same integer before rounding.
_GRU = Program(
    "gru",
    (
        GateStep(1, Activation.SIGMOID, hold=Hold.HOLD0),
        GateStep(0, Activation.SIGMOID, hold=Hold.HOLD1),
        GateStep(2, Activation.IDENTITY, (
            Instruction("n = r * Un + Wn", x=FactorX.HOLD1, addend=Addend.STORED, proceed=Activation.TANH),
            Instruction("h = z * (h - n) + n", x=FactorX.HOLD0, y=FactorY.STATE, subtract=Subtrahend.VALUE,
                        addend=Addend.VALUE, carried=True, write_state=True, emit=True),
        ), add_stored=False),
    ),
    uses_state=True,
)

_RNN_TANH = Program("rnn_tanh", (GateStep(0, Activation.TANH, (_EMIT_VALUE,)),))
_RNN_RELU = Program("rnn_relu", (GateStep(0, Activation.RELU, (_EMIT_VALUE,)),))

CELL_PROGRAMS: dict[Cell, Program] = {
    Cell.LSTM: _LSTM, Cell.GRU: _GRU, Cell.RNN_TANH: _RNN_TANH, Cell.RNN_RELU: _RNN_RELU,
}

#: Rows of a GRU's H where its products are stored: Un must not be added to Wn before r has multiplied it.
_GRU_PRODUCTS = Program("gru products", (*_GRU.gates[:2], replace(_GRU.gates[2], slot=3)))

#: A GRU whose products are all stored; gates 2 and 3 are Wn and Un.
_GRU_ELEMENTWISE = Program(
    "gru elementwise",
    (
        *_GRU.gates[:2],
        GateStep(2, Activation.IDENTITY, (
            Instruction("kept = Wn", addend=Addend.VALUE, keep=Keep.PRE_ACTIVATION),
        )),
        GateStep(3, Activation.IDENTITY, (
            Instruction("n = r * Un + kept", x=FactorX.HOLD1, addend=Addend.KEPT, proceed=Activation.TANH),
            _GRU.gates[2].instructions[1],
        )),
    ),
    uses_state=True,
)

#: Where a cell's products and its element-wise part are kernels of their own: the rows that H stores, which are added
#: to those of X, and the program that reads them. Other cells need no more than their fused program has.
PRODUCT_PROGRAMS: dict[Cell, Program] = CELL_PROGRAMS | {Cell.GRU: _GRU_PRODUCTS}
ELEMENTWISE_PROGRAMS: dict[Cell, Program] = CELL_PROGRAMS | {Cell.GRU: _GRU_ELEMENTWISE}

DENSE_PROGRAM = Program(
    "dense", (GateStep(0, Activation.IDENTITY, (replace(_EMIT_VALUE, text="y = value"),), add_stored=False),)
)
