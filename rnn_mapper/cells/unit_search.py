"""The search for unit programs: the unit path run symbolically, cycle by cycle, with every use of its registers.

A row's value arrives every `words` cycles and may be held, may start an instruction, or both. An instruction sends its
result round the ring, where it arrives again `ring` cycles later, to be held or to meet the next instruction.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from hdl.layouts import Activation, Addend, FactorX, FactorY, Hold, Keep, Subtrahend
from rnn_mapper.cells.arithmetic import Accumulate, Activated, Node, Read, Row, Unit
from rnn_mapper.cells.expressions import Function
from rnn_mapper.cells.program import GateStep, Instruction, Program
from rnn_mapper.cells.stages import Stage, StateWord
from rnn_mapper.cells.unit_timing import same_flow, smallest_interval

__all__ = ["Preference", "UnitSearch"]

#: Programs of the least length that are compared.
_SOLUTIONS = 400
#: Ways to the same situation that are followed: they may differ in the interval between units.
_VISITS = 3
#: More than any interval.
_NEVER = 1 << 13

_ACTIVATIONS = {
    Function.IDENTITY: Activation.IDENTITY, Function.SIGMOID: Activation.SIGMOID, Function.TANH: Activation.TANH,
    Function.RELU: Activation.RELU,
}


class Preference(enum.Enum):
    """Which of the shortest programs of a stage is best; the mapper predicts which preference pays."""

    #: Units follow one another closely, and a result comes early.
    EARLY_RESULT = "early result"
    #: Rows of one word are possible, as they are in the first step of a cleared sequence.
    SHORT_START = "short start"
    #: So they are, and the last row makes the result: results of a chain lie farther from the rows of the next phase.
    LAST_ROW = "last row"


class _Arrival(NamedTuple):
    """A value on its way round the ring."""

    time: int
    value: Node
    hold: Hold
    proceeds: bool
    #: Gate whose chain of instructions it belongs to.
    gate: int
    #: It was only moved, for the instruction that follows.
    moved: bool = False


class _Step(NamedTuple):
    """A row that has arrived."""

    row: int
    hold: Hold
    #: Foreign row that is read beside it.
    foreign: Row | None
    #: With the value that each computes.
    instructions: tuple[tuple[Node, Instruction], ...] = ()


class _Machine(NamedTuple):
    """A moment of the unit path and how it came about."""

    time: int = -1
    #: Rows that have arrived, as numbers of `UnitSearch.rows`.
    arrived: tuple[int, ...] = ()
    ring: tuple[_Arrival, ...] = ()
    holds: tuple[Node | None, Node | None] = (None, None)
    kept: tuple[Node, Keep] | None = None
    done: frozenset[Node] = frozenset()
    written: frozenset[int] = frozenset()
    #: Content of state words, and the cycle from which it can be read.
    words: tuple[tuple[Node | None, int], ...] = ()
    emitted: bool = False
    instructions: int = 0
    steps: tuple[_Step, ...] = ()

    @property
    def arrived_set(self) -> frozenset[int]:
        """Rows that have arrived, in any order."""
        return frozenset(self.arrived)


@dataclass
class UnitSearch:
    """The search for programs of a stage with rows of `words` words; arguments as of `unit_program`."""

    stage: Stage
    rows: tuple[Row, ...]
    words: int
    ring: int
    state_distance: int
    separate: bool
    effort: int = 0
    found: list[Program] = field(default_factory=list)
    visits: dict[tuple[object, ...], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.attached = [row for row in self.stage.foreign if row not in self.rows]
        self.slots = dict(self.stage.reads)
        self.targets: dict[Node, StateWord] = dict(self.stage.writes)
        self.arrives: dict[Row, Node] = {}
        operations = list(self.stage.operations)
        for row in self.rows:
            users = [node for node in operations if row in _needs(node)]
            outside = row in self.targets or row is self.stage.result
            if len(users) == 1 and isinstance(users[0], Activated) and not outside:
                self.arrives[row] = users[0]
            else:
                self.arrives[row] = row
        on_arrival = set(self.arrives.values())
        self.work = [node for node in operations if node not in on_arrival]
        self.accumulates = [node for node in self.work if isinstance(node, Accumulate)]
        self.activates = [node for node in self.work if isinstance(node, Activated)]
        self.users: dict[Node, list[Accumulate | Activated]] = {}
        for node in self.work:
            for part in _needs(node):
                self.users.setdefault(part, []).append(node)
        self.moved = {
            node for node in (*self.targets, self.stage.result) if not isinstance(node, Accumulate)
        }
        self.depth = max((word.slot for word in self.stage.kind.words), default=-1) + 1

    @property
    def least_instructions(self) -> int:
        """One for each accumulation, and for each other value that is written or sent away."""
        return max(1, len(self.accumulates) + len(self.moved))

    def _spare(self, machine: _Machine, budget: int) -> int:
        """Instructions that are left when all that is certainly needed has its own."""
        needed = sum(1 for node in self.accumulates if node not in machine.done)
        needed += sum(1 for node in self.moved if self._pending(machine, node))
        return budget - machine.instructions - needed

    def cost(self, program: Program, preference: Preference) -> tuple[int, ...]:
        """What is compared: the least is best."""
        gate, trips = program.emitting
        ends = max(
            position * self.words + (len(step.instructions) - 1) * self.ring
            for position, step in enumerate(program.gates) if step.instructions
        )
        interval = smallest_interval(program, self.words, self.ring)
        result, shortest = gate * self.words + trips * self.ring, self._shortest(program)
        if preference is Preference.EARLY_RESULT:
            return interval, result, shortest, ends
        if preference is Preference.SHORT_START:
            return int(shortest == _NEVER), interval, result, shortest, ends
        return int(shortest == _NEVER), int(gate < len(program.gates) - 1), interval, result, shortest, ends

    def _shortest(self, program: Program) -> int:
        """Interval between units with rows of one word."""
        if not same_flow(program, self.words, 1, self.ring, self.state_distance):
            return _NEVER
        return smallest_interval(program, 1, self.ring)

    def run(self, budget: int, effort: int) -> list[Program]:
        """Programs of at most `budget` instructions, among the first `effort` situations."""
        self.effort, self.found, self.visits = effort, [], {}
        content: list[tuple[Node | None, int]] = [(None, 0)] * self.depth
        for node, word in self.slots.items():
            content[word.slot] = (node, -(1 << 30))
        self._advance(_Machine(words=tuple(content)), budget)
        return self.found

    # The search: one cycle with arrivals after another

    def _advance(self, machine: _Machine, budget: int) -> None:
        self.effort -= 1
        if self.effort < 0 or len(self.found) >= _SOLUTIONS:
            return
        if self._complete(machine):
            self.found.append(self._program(machine))
            return
        key = (
            machine.time, machine.arrived_set, machine.ring, machine.holds, machine.kept, machine.done,
            machine.written, machine.words, machine.emitted, machine.instructions,
        )
        self.visits[key] = visits = self.visits.get(key, 0) + 1
        if visits > _VISITS:
            return
        rows_left = [number for number in range(len(self.rows)) if number not in machine.arrived]
        next_row = (len(machine.arrived) + 1) * self.words - 1 if rows_left else None
        next_return = machine.ring[0].time if machine.ring else None
        if next_row is None and next_return is None:
            return
        time = min(cycle for cycle in (next_row, next_return) if cycle is not None)
        returning = None
        if next_return == time:
            returning, machine = machine.ring[0], machine._replace(ring=machine.ring[1:])
        machine = machine._replace(time=time)
        if next_row == time:
            for number in rows_left:
                self._row(machine, number, returning, budget)
        elif returning is not None and returning.proceeds:
            for after in self._instructions(machine, returning.gate, returning.value, None, budget, returning.moved):
                self._settle(after, machine, returning, Hold.NONE, returning.value, budget)
        else:
            self._settle(machine, machine, returning, Hold.NONE, None, budget)

    def _complete(self, machine: _Machine) -> bool:
        return (
            machine.emitted and len(machine.arrived) == len(self.rows) and len(machine.done) == len(self.work)
            and len(machine.written) == len(self.targets) and not machine.ring
        )

    def _row(self, machine: _Machine, number: int, returning: _Arrival | None, budget: int) -> None:
        """A row arrives, perhaps in the cycle of a returning value, which then has the instruction."""
        row = self.rows[number]
        value = self.arrives[row]
        busy = returning is not None and returning.proceeds
        foreign: list[Row | None] = [None]
        if len(row.products) == 1:
            taken = {step.foreign for step in machine.steps}
            foreign += [other for other in self.attached if other not in taken]
        for hold in (Hold.NONE, Hold.HOLD0, Hold.HOLD1):
            if hold != Hold.NONE and (
                not self._wanted(machine, value) or self._occupied(machine, hold)
                or (returning is not None and returning.hold == hold)
            ):
                continue
            for stored in foreign:
                step = _Step(number, hold, stored)
                placed = machine._replace(arrived=(*machine.arrived, number), steps=(*machine.steps, step))
                if busy:
                    assert returning is not None
                    if stored is None:
                        for after in self._instructions(
                            placed, returning.gate, returning.value, None, budget, returning.moved
                        ):
                            self._settle(after, machine, returning, hold, value, budget)
                    continue
                for after in self._instructions(placed, len(machine.steps), value, stored, budget):
                    self._settle(after, machine, returning, hold, value, budget)
                if stored is None and hold != Hold.NONE:
                    self._settle(placed, machine, returning, hold, value, budget)

    def _settle(
        self, after: _Machine, before: _Machine, returning: _Arrival | None, hold: Hold, value: Node | None, budget: int
    ) -> None:
        """Registers change at the end of the cycle, then time goes on."""
        holds = before.holds if hold == Hold.NONE else _set(before.holds, hold, value)
        if returning is not None and returning.hold != Hold.NONE:
            holds = _set(holds, returning.hold, returning.value)
        settled = after._replace(holds=holds)
        if not self._lost(settled):
            self._advance(settled, budget)

    # Instructions

    def _instructions(
        self, machine: _Machine, gate: int, value: Node, stored: Row | None, budget: int, must_use: bool = False
    ) -> Iterator[_Machine]:
        """All that one instruction could do with an arriving value, which it must use if it was moved for it."""
        if machine.instructions >= budget:
            return
        spare = self._spare(machine, budget)
        for result, instruction in self._candidates(machine, value, stored):
            if must_use and not _uses_value(instruction):
                continue
            is_new = result in self.accumulates and result not in machine.done
            if spare > 0 or is_new or self._pending(machine, result):
                yield from self._results(machine, gate, result, instruction)

    def _candidates(
        self, machine: _Machine, value: Node, stored: Row | None
    ) -> Iterator[tuple[Node, Instruction]]:
        for sought in self.accumulates:
            if sought not in machine.done:
                instruction = self._encode(machine, sought, value, stored)
                if instruction is not None:
                    yield sought, instruction
        if (
            self._pending(machine, value) or self._wanted_activated(machine, value)
            or self._wanted_as_addend(machine, value)
        ):
            yield value, Instruction("", y=FactorY.ZERO, addend=Addend.VALUE)
        if stored is not None and (self._wanted_activated(machine, stored) or self._wanted(machine, stored)):
            yield stored, Instruction("", y=FactorY.ZERO, addend=Addend.STORED)
        for hold, node in zip((FactorX.HOLD0, FactorX.HOLD1), machine.holds, strict=True):
            if node is not None and node is not value and self._wanted(machine, node):
                yield node, Instruction("", x=hold, y=FactorY.ONE)
        for slot, (content, ready) in enumerate(machine.words):
            if content is not None and machine.time >= ready and self._wanted(machine, content):
                yield content, Instruction(
                    "", y=FactorY.ZERO, addend=Addend.STATE, read_slot=slot, carried=isinstance(content, Read))

    def _results(
        self, machine: _Machine, gate: int, result: Node, instruction: Instruction
    ) -> Iterator[_Machine]:
        """What may become of a result: kept, written, emitted, sent round the ring."""
        moves = result not in self.accumulates or result in machine.done
        done = machine.done if moves else machine.done | {result}
        word = self.targets.get(result)
        write = word is not None and word.slot not in machine.written
        emit = result is self.stage.result and not machine.emitted
        words, written = machine.words, machine.written
        if write:
            assert word is not None
            words = tuple(
                (result, machine.time + self.state_distance) if slot == word.slot else content
                for slot, content in enumerate(words)
            )
            written = written | {word.slot}
            instruction = replace(instruction, write_state=True, write_slot=word.slot)
        after = machine._replace(
            done=done, words=words, written=written, emitted=machine.emitted or emit,
            instructions=machine.instructions + 1,
        )
        keeps = [Keep.NONE, *self._keeps(after, result)]
        for keep in keeps:
            kept = machine.kept if keep == Keep.NONE else (result, keep)
            if keep != Keep.NONE and machine.kept is not None and self._wanted_as_addend(after, machine.kept[0]):
                continue
            for delivered, function, hold, proceed in self._deliveries(after, result):
                gains = not moves or self._progress(machine, result, instruction, keep, write or emit, delivered, hold)
                if not gains and (not proceed or _uses_value(instruction)):
                    continue
                made = replace(
                    instruction, keep=keep, emit=emit, hold=hold,
                    proceed=_ACTIVATIONS[function] if proceed else None,
                    activation=_ACTIVATIONS[function] if hold != Hold.NONE else Activation.IDENTITY,
                )
                step = after.steps[gate]
                steps = (
                    *after.steps[:gate], step._replace(instructions=(*step.instructions, (result, made))),
                    *after.steps[gate + 1:],
                )
                ring, finished = after.ring, after.done
                if proceed or hold != Hold.NONE:
                    stays = write or emit or keep != Keep.NONE or hold != Hold.NONE
                    only_moved = moves and delivered is result and not stays
                    ring = (*ring, _Arrival(machine.time + self.ring, delivered, hold, proceed, gate, only_moved))
                    if delivered is not result:
                        finished = finished | {delivered}
                yield after._replace(kept=kept, steps=steps, ring=ring, done=finished)

    @staticmethod
    def _progress(
        machine: _Machine, result: Node, instruction: Instruction, keep: Keep, sent: bool, delivered: Node, hold: Hold
    ) -> bool:
        """Moving a value gains something but its arrival: it is kept, written, sent, activated or held elsewhere."""
        held = hold != Hold.NONE and result not in machine.holds and not _uses_value(instruction)
        return sent or keep != Keep.NONE or delivered is not result or held

    def _keeps(self, machine: _Machine, result: Node) -> Iterator[Keep]:
        for finer in (True, False):
            if any(
                node.addend is result and node.addend_is_finer == finer
                for node in self.accumulates if node not in machine.done
            ):
                yield Keep.ACTIVATION if finer else Keep.PRE_ACTIVATION

    def _deliveries(self, machine: _Machine, result: Node) -> Iterator[tuple[Node, Function, Hold, bool]]:
        """(value, function on the way, register, whether an instruction follows)."""
        yield result, Function.IDENTITY, Hold.NONE, False
        work_left = (
            len(machine.done) < len(self.work) or len(machine.written) < len(self.targets) or not machine.emitted
        )
        if not work_left:
            return
        options: list[tuple[Node, Function]] = [(result, Function.IDENTITY)]
        options += [
            (node, node.function) for node in self.activates if node not in machine.done and node.argument is result
        ]
        for node, function in options:
            for hold in (Hold.NONE, Hold.HOLD0, Hold.HOLD1):
                if hold != Hold.NONE and (
                    not self._wanted(machine, node) or node in machine.holds
                    or self._occupied(machine, hold)
                ):
                    continue
                yield node, function, hold, True
                if hold != Hold.NONE:
                    yield node, function, hold, False

    def _encode(
        self, machine: _Machine, node: Accumulate, value: Node | None, stored: Row | None
    ) -> Instruction | None:
        for x, y in ((node.x, node.y), (node.y, node.x)):
            if not isinstance(y, (Node, str)) or isinstance(x, str):
                continue
            if (x, y) != (node.x, node.y) and node.z is not None:
                continue
            made = self._encode_as(machine, node, x, y, value, stored)
            if made is not None:
                return made
        return None

    def _encode_as(
        self, machine: _Machine, node: Accumulate, x: Node | None, y: Node | str, value: Node | None,
        stored: Row | None,
    ) -> Instruction | None:
        slots: set[int] = set()

        def in_state(part: Node) -> bool:
            for slot, (content, ready) in enumerate(machine.words):
                if content is part and machine.time >= ready:
                    slots.add(slot)
                    return True
            return False

        if x is None:
            factor = FactorX.ZERO
        elif x is value:
            factor = FactorX.VALUE
        elif x in machine.holds:
            factor = (FactorX.HOLD0, FactorX.HOLD1)[machine.holds.index(x)]
        else:
            return None
        if isinstance(y, str):
            second = FactorY.ONE if y == Unit.ONE else FactorY.ZERO
        elif y is value:
            second = FactorY.VALUE
        elif in_state(y):
            second = FactorY.STATE
        else:
            return None
        if node.z is None:
            subtract = Subtrahend.ZERO
        elif node.z is value:
            subtract = Subtrahend.VALUE
        elif in_state(node.z):
            subtract = Subtrahend.STATE
        else:
            return None
        addend = self._encode_addend(machine, node, value, stored, in_state)
        if addend is None or len(slots) > 1:
            return None
        slot = slots.pop() if slots else 0
        reads = second == FactorY.STATE or subtract == Subtrahend.STATE or addend == Addend.STATE
        return Instruction(
            "", x=factor, y=second, subtract=subtract, addend=addend, read_slot=slot,
            carried=reads and isinstance(machine.words[slot][0], Read),
        )

    def _encode_addend(
        self, machine: _Machine, node: Accumulate, value: Node | None, stored: Row | None,
        in_state: Callable[[Node], bool],
    ) -> Addend | None:
        part = node.addend
        if part is None:
            return Addend.ZERO
        finer = node.addend_is_finer
        if machine.kept is not None and machine.kept == (part, Keep.ACTIVATION if finer else Keep.PRE_ACTIVATION):
            return Addend.KEPT
        if finer:
            return None
        if part is value:
            return Addend.VALUE
        if stored is not None and part is stored:
            return Addend.STORED
        return Addend.STATE if in_state(part) else None

    # What is still needed

    def _wanted(self, machine: _Machine, node: Node) -> bool:
        return any(user not in machine.done for user in self.users.get(node, ()))

    def _wanted_as_addend(self, machine: _Machine, node: Node) -> bool:
        return any(
            isinstance(user, Accumulate) and user.addend is node
            for user in self.users.get(node, ()) if user not in machine.done
        )

    def _wanted_activated(self, machine: _Machine, node: Node) -> bool:
        return any(
            isinstance(user, Activated) for user in self.users.get(node, ()) if user not in machine.done
        )

    def _pending(self, machine: _Machine, node: Node) -> bool:
        word = self.targets.get(node)
        return (word is not None and word.slot not in machine.written) or (
            node is self.stage.result and not machine.emitted)

    def _occupied(self, machine: _Machine, hold: Hold) -> bool:
        """The register holds something that is still needed and is nowhere else, or will receive something."""
        if any(arrival.hold == hold for arrival in machine.ring):
            return True
        node = machine.holds[0 if hold == Hold.HOLD0 else 1]
        if node is None:
            return False
        return self._wanted(machine, node) and not any(content is node for content, _ in machine.words)

    def _lost(self, machine: _Machine) -> bool:
        """A value that is still needed is in no register and on no way."""
        places = {*machine.holds, *(arrival.value for arrival in machine.ring)}
        places |= {content for content, _ in machine.words}
        if machine.kept is not None:
            places.add(machine.kept[0])
        there = [self.arrives[self.rows[number]] for number in machine.arrived]
        there += [node for node in self.work if node in machine.done]
        there += [step.foreign for step in machine.steps if step.foreign is not None]
        there += self.slots
        return any(
            node not in places and (self._wanted(machine, node) or self._pending(machine, node)) for node in there
        )

    def _program(self, machine: _Machine) -> Program:
        gates = []
        for step in machine.steps:
            row = self.rows[step.row]
            value = self.arrives[row]
            function = value.function if isinstance(value, Activated) else Function.IDENTITY
            instructions = tuple(replace(made, text=_text(result, made)) for result, made in step.instructions)
            gates.append(GateStep(
                self.stage.all_rows.index(row), _ACTIVATIONS[function], instructions, step.hold,
                add_stored=self.separate or len(row.products) > 1 or row in self.stage.foreign,
                foreign=None if step.foreign is None else self.stage.all_rows.index(step.foreign),
            ))
        return Program(f"{self.stage.operand.name}, {self.stage.result.line}", tuple(gates))


def _needs(node: Accumulate | Activated) -> tuple[Node, ...]:
    return node.operands if isinstance(node, Accumulate) else (node.argument,)


def _uses_value(instruction: Instruction) -> bool:
    return (
        instruction.x == FactorX.VALUE or instruction.subtract == Subtrahend.VALUE or instruction.addend == Addend.VALUE
        or (instruction.y == FactorY.VALUE and instruction.x != FactorX.ZERO)
    )


def _set(
    holds: tuple[Node | None, Node | None], hold: Hold, value: Node | None
) -> tuple[Node | None, Node | None]:
    return (value, holds[1]) if hold == Hold.HOLD0 else (holds[0], value)


def _text(result: Node, instruction: Instruction) -> str:
    write, emit = ", write" if instruction.write_state else "", ", emit" if instruction.emit else ""
    return f"{result.line}{write}{emit}"
