"""A moment of the unit path as the search for programs sees it: registers, state words and values on their way."""

from __future__ import annotations

from typing import NamedTuple

from hdl.layouts import Hold, Keep
from rnn_mapper.cells.arithmetic import Node, Row
from rnn_mapper.cells.program import Instruction

__all__ = ["Arrival", "Kept", "Moment", "Step"]


class Arrival(NamedTuple):
    """A value on its way round the ring."""

    time: int
    value: Node
    hold: Hold
    proceeds: bool
    #: Gate whose chain of instructions it belongs to.
    gate: int
    #: It was only moved, for the instruction that follows.
    moved: bool = False


class Kept(NamedTuple):
    """The kept result."""

    value: Node
    format: Keep
    #: First cycle in which an instruction can use it.
    ready: int


class Step(NamedTuple):
    """A row that has arrived."""

    row: int
    hold: Hold
    #: Foreign row that is read beside it.
    foreign: Row | None
    #: With the value that each computes.
    instructions: tuple[tuple[Node, Instruction], ...] = ()


class Moment(NamedTuple):
    """What the unit path holds at the end of a cycle, and how it came about."""

    time: int = -1
    #: Rows that have arrived, as numbers of `StageNeeds.rows`.
    arrived: tuple[int, ...] = ()
    ring: tuple[Arrival, ...] = ()
    holds: tuple[Node | None, Node | None] = (None, None)
    kept: Kept | None = None
    done: frozenset[Node] = frozenset()
    written: frozenset[int] = frozenset()
    #: Content of the state words, and the cycle from which it can be read.
    words: tuple[tuple[Node | None, int], ...] = ()
    emitted: bool = False
    instructions: int = 0
    steps: tuple[Step, ...] = ()

    @property
    def situation(self) -> tuple[object, ...]:
        """What the rest of the program depends on: all but the order of the rows and the instructions so far."""
        return (
            self.time, frozenset(self.arrived), self.ring, self.holds, self.kept, self.done, self.written, self.words,
            self.emitted, self.instructions,
        )

    def slot_of(self, value: Node) -> int | None:
        """The state word from which a value can be read."""
        for slot, (content, ready) in enumerate(self.words):
            if content is value and self.time >= ready:
                return slot
        return None

    def held(self, hold: Hold, value: Node | None) -> Moment:
        """With a value in a register."""
        return self._replace(holds=(value, self.holds[1]) if hold == Hold.HOLD0 else (self.holds[0], value))

    def issued(self, gate: int, result: Node, instruction: Instruction) -> tuple[Step, ...]:
        """The steps, with an instruction more in the chain of a gate."""
        step = self.steps[gate]
        longer = step._replace(instructions=(*step.instructions, (result, instruction)))
        return (*self.steps[:gate], longer, *self.steps[gate + 1:])
