"""The compiler's view of a cell as text: values, stages, state words, programs."""

from __future__ import annotations

import inspect
import linecache
from dataclasses import dataclass
from functools import cached_property

from hdl.latencies import UnitPathLatencies
from hdl.layouts import Activation, Addend, FactorX, FactorY, Hold, Keep, Subtrahend
from rnn_mapper.cells.arithmetic import Accumulate, Activated, Fixed, Node, Read, Row
from rnn_mapper.cells.lowering import arithmetic_of
from rnn_mapper.cells.program import Instruction
from rnn_mapper.cells.stages import Stage, stages_of
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.cells.unit_program import unit_program
from rnn_mapper.cells.unit_sets import StateWord
from rnn_mapper.cells.unit_timing import smallest_interval

__all__ = ["CellReport", "ProgramLine", "StageProgram", "ValueLine", "description"]


@dataclass(frozen=True)
class ValueLine:
    """One 16-bit value of a unit."""

    name: str
    #: Such as "v3 * (v1 - v2) + v2".
    text: str
    #: Such as "Q0.15".
    format: str
    line: int
    source: str


@dataclass(frozen=True)
class ProgramLine:
    """A row that arrives, or an instruction."""

    #: Vector words after the unit's first: when the row is complete, or cycles for an instruction.
    cycle: int
    what: str
    #: What becomes of the value.
    then: str


@dataclass(frozen=True)
class StageProgram:
    """The unit program of a stage for one length of its rows."""

    #: Vector words of a row in one PCU: those asked for, and those the program needs.
    words: int
    needed: int
    instructions: int
    #: Least cycles from one unit to the next.
    interval: int
    lines: tuple[ProgramLine, ...]


def description(cell: Cell) -> str:
    """The first line of the cell's docstring, and the activations of a variant."""
    line = (inspect.getdoc(cell.function) or "").partition("\n")[0]
    return f"{line} Activations: {', '.join(cell.chosen)}." if cell.chosen else line


@dataclass(frozen=True)
class CellReport:
    """Everything about a cell. Every property raises CellError if the cell does not compile as far as that."""

    cell: Cell
    #: Cycles round the unit path, and from writing a state word to reading it (`hdl.latencies`).
    path: UnitPathLatencies

    @cached_property
    def names(self) -> dict[Node, str]:
        """Short names of the values; states and parameters keep theirs."""
        names: dict[Node, str] = {}
        for node in arithmetic_of(self.cell).nodes:
            if isinstance(node, Read):
                names[node] = node.state
            elif isinstance(node, Fixed):
                names[node] = node.parameter
            else:
                names[node] = f"v{1 + sum(name[0] == 'v' and name[1:].isdigit() for name in names.values())}"
        return names

    @property
    def trained_vectors(self) -> tuple[str, ...]:
        """Parameters that are a vector of one number a unit and a factor: the equations multiply them by ``*``."""
        return tuple(node.parameter for node in arithmetic_of(self.cell).nodes if isinstance(node, Fixed))

    @property
    def values(self) -> list[ValueLine]:
        """Every value but states and parameters, operands first."""
        return [
            ValueLine(
                self.names[node], self._text(node), f"Q{15 - node.fraction}.{node.fraction}", node.line.line,
                linecache.getline(node.line.file, node.line.line).strip(),
            )
            for node in arithmetic_of(self.cell).nodes if not isinstance(node, (Read, Fixed))
        ]

    @property
    def results(self) -> dict[str, str]:
        """Names of the output and of the states after the step."""
        arithmetic = arithmetic_of(self.cell)
        return {
            "output": self.names[arithmetic.output],
            **{state: self.names[node] for state, node in arithmetic.states.items()},
        }

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages."""
        return stages_of(arithmetic_of(self.cell))

    @property
    def state_words(self) -> list[tuple[int, StateWord, str]]:
        """Number of the set of units, state word, and what it is."""
        unit_sets = dict.fromkeys(stage.unit_set for stage in self.stages)
        return [
            (units.index, word, "trained" if word.fixed else "state" if word.carried else "for a later stage")
            for units in unit_sets for word in units.words
        ]

    def rows(self, stage: Stage) -> str:
        """Rows of a stage with what was stored for them before."""
        stored = [f"{part.operand.name} ({len(part.rows)})" for part in stage.stored]
        own = ", ".join(self.names[row] for row in stage.all_rows)
        return own + (f"; stored before: {', '.join(stored)}" if stored else "")

    def program(self, stage: Stage, words: int) -> StageProgram:
        """The program of a stage with rows of `words` vector words."""
        program, needed = unit_program(stage, words, self.path)
        lines = []
        for position, step in enumerate(program.gates):
            arrival = (position + 1) * needed - 1
            row = stage.all_rows[step.gate]
            text = _applied(step.activation, self.names[row])
            if step.foreign is not None:
                text += f", beside it {self.names[stage.all_rows[step.foreign]]}"
            lines.append(ProgramLine(arrival, f"row {text}", _into(step.hold)))
            for number, instruction in enumerate(step.instructions):
                lines.append(ProgramLine(
                    arrival + number * self.path.ring, _operation(instruction), _then(instruction, stage)
                ))
        lines.sort(key=lambda line: line.cycle)
        return StageProgram(
            words, needed, program.length, smallest_interval(program, needed, self.path), tuple(lines)
        )

    def _text(self, node: Node) -> str:
        match node:
            case Row():
                parts = []
                for product in node.products:
                    made = product.operand.node
                    vector = product.operand.name if made is None else self.names[made]
                    parts.append(f"{_number(product.factor)}{product.matrix} @ {vector}")
                parts += [f"{_number(factor)}{name}" for name, factor in node.biases]
                if node.offset:
                    parts.append(f"{node.offset:g}")
                return " + ".join(parts).replace("+ -", "- ")
            case Activated():
                return f"{node.function.value}({self.names[node.argument]})"
            case Accumulate():
                return self._accumulate(node)
        raise AssertionError(node)

    def _accumulate(self, node: Accumulate) -> str:
        y = self.names[node.y] if isinstance(node.y, Node) else node.y
        z = None if node.z is None else self.names[node.z]
        text = ""
        if node.x is not None:
            x = self.names[node.x]
            second = f"({y} - {z})" if z is not None and y != "0" else f"(-{z})" if z is not None else y
            text = x if second == "1" else f"{x} * {second}"
        if node.addend is not None:
            text += (" + " if text else "") + self.names[node.addend]
        return text


_WORDS = {
    FactorX.ZERO: "0", FactorX.VALUE: "value", FactorX.HOLD0: "hold0", FactorX.HOLD1: "hold1",
    FactorY.VALUE: "value", FactorY.ONE: "1", FactorY.ZERO: "0",
    Subtrahend.VALUE: "value", Addend.KEPT: "kept", Addend.VALUE: "value", Addend.STORED: "stored",
}


def _operation(instruction: Instruction) -> str:
    """What an instruction computes, with its registers."""
    state = f"state[{instruction.read_slot}]"
    y = state if instruction.y == FactorY.STATE else _WORDS[instruction.y]
    text = ""
    if instruction.x != FactorX.ZERO and not (
        instruction.y == FactorY.ZERO and instruction.subtract == Subtrahend.ZERO
    ):
        if instruction.subtract != Subtrahend.ZERO:
            z = state if instruction.subtract == Subtrahend.STATE else _WORDS[instruction.subtract]
            y = f"({y} - {z})" if y != "0" else f"(-{z})"
        text = _WORDS[instruction.x] if y == "1" else f"{_WORDS[instruction.x]} * {y}"
    if instruction.addend != Addend.ZERO:
        addend = state if instruction.addend == Addend.STATE else _WORDS[instruction.addend]
        text += (" + " if text else "") + addend
    return text or "0"


def _then(instruction: Instruction, stage: Stage) -> str:
    parts = []
    if instruction.write_state:
        name = next(word.name for _, word in stage.writes if word.slot == instruction.write_slot)
        parts.append(f"state[{instruction.write_slot}] = {name}")
    if instruction.keep != Keep.NONE:
        parts.append("kept")
    if instruction.emit:
        parts.append("result")
    if instruction.hold != Hold.NONE:
        parts.append(_into(instruction.hold, instruction.function))
    if instruction.proceed is not None:
        parts.append(f"next instruction takes {_applied(instruction.proceed, 'it')}")
    return ", ".join(parts)


def _into(hold: Hold, function: Activation = Activation.IDENTITY) -> str:
    if hold == Hold.NONE:
        return ""
    return hold.name.lower() + ("" if function == Activation.IDENTITY else f" = {_applied(function, 'it')}")


def _applied(function: Activation, text: str) -> str:
    return text if function == Activation.IDENTITY else f"{function.name.lower()}({text})"


def _number(factor: float) -> str:
    return "" if factor == 1.0 else "-" if factor == -1.0 else f"{factor:g} * "
