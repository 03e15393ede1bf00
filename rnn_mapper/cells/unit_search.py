"""The search for unit programs: the unit path run symbolically, cycle by cycle, with every use of its registers.

A row's value arrives every `words` cycles and may be held, may start an instruction, or both. An instruction sends its
result round the ring, where it arrives again `ring` cycles later, to be held or to meet the next instruction.
"""

from __future__ import annotations

from dataclasses import replace

from hdl.latencies import UnitPathLatencies
from hdl.layouts import Hold
from rnn_mapper.cells.arithmetic import Activated, Node, Row
from rnn_mapper.cells.expressions import Function
from rnn_mapper.cells.program import GateStep, Instruction, Program
from rnn_mapper.cells.stages import Stage
from rnn_mapper.cells.unit_instructions import ACTIVATION_OF, HOLDS, InstructionChoices
from rnn_mapper.cells.unit_moment import Arrival, Moment, Step
from rnn_mapper.cells.unit_needs import StageNeeds

__all__ = ["UnitSearch"]

#: Programs of the least length that are compared.
_SOLUTIONS = 400
#: Ways to the same situation that are followed: they may differ in the interval between units.
_VISITS = 3
#: A cycle before every program.
_BEFORE = -(1 << 30)


class UnitSearch:
    """The search for programs of a stage with rows of `words` words; arguments as of `unit_program`."""

    def __init__(
        self, stage: Stage, rows: tuple[Row, ...], words: int, path: UnitPathLatencies, separate: bool
    ) -> None:
        self.stage, self.words, self.separate = stage, words, separate
        self.needs = StageNeeds(stage, rows)
        self.choices = InstructionChoices(self.needs, path)
        self.budget = self.effort = 0
        self.found: list[Program] = []
        self.visits: dict[tuple[object, ...], int] = {}

    def run(self, budget: int, effort: int) -> list[Program]:
        """Programs of at most `budget` instructions, among the first `effort` situations."""
        self.budget, self.effort, self.found, self.visits = budget, effort, [], {}
        depth = max((word.slot for word in self.stage.unit_set.words), default=-1) + 1
        content: list[tuple[Node | None, int]] = [(None, 0)] * depth
        for node, word in self.needs.slots.items():
            content[word.slot] = (node, _BEFORE)
        self._advance(Moment(words=tuple(content)))
        return self.found

    def _advance(self, moment: Moment) -> None:
        """On to the next cycle in which something arrives."""
        self.effort -= 1
        if self.effort < 0 or len(self.found) >= _SOLUTIONS:
            return
        if self.needs.is_over(moment):
            self.found.append(self._program(moment))
            return
        situation = moment.situation
        self.visits[situation] = visits = self.visits.get(situation, 0) + 1
        if visits > _VISITS:
            return
        rows_left = [number for number in range(len(self.needs.rows)) if number not in moment.arrived]
        next_row = (len(moment.arrived) + 1) * self.words - 1 if rows_left else None
        next_return = moment.ring[0].time if moment.ring else None
        if next_row is None and next_return is None:
            return
        time = min(cycle for cycle in (next_row, next_return) if cycle is not None)
        returning = None
        if next_return == time:
            returning, moment = moment.ring[0], moment._replace(ring=moment.ring[1:])
        moment = moment._replace(time=time)
        if next_row == time:
            for number in rows_left:
                self._row(moment, number, returning)
        elif returning is not None and returning.proceeds:
            self._proceed(moment, moment, returning, Hold.NONE, returning.value)
        else:
            self._settle(moment, moment, returning, Hold.NONE, None)

    def _row(self, moment: Moment, number: int, returning: Arrival | None) -> None:
        """A row arrives, perhaps in the cycle of a returning value, which then has the instruction."""
        value = self.needs.arrives[number]
        for hold in HOLDS:
            if hold != Hold.NONE and (
                not self.needs.used(moment, value) or self.needs.occupied(moment, hold)
                or (returning is not None and returning.hold == hold)
            ):
                continue
            for stored in self._beside(moment, number):
                step = Step(number, hold, stored)
                placed = moment._replace(arrived=(*moment.arrived, number), steps=(*moment.steps, step))
                if returning is not None and returning.proceeds:
                    if stored is None:
                        self._proceed(placed, moment, returning, hold, value)
                    continue
                for after in self.choices.moments(placed, len(moment.steps), value, stored, self.budget):
                    self._settle(after, moment, returning, hold, value)
                if stored is None and hold != Hold.NONE:
                    self._settle(placed, moment, returning, hold, value)

    def _beside(self, moment: Moment, number: int) -> list[Row | None]:
        """Foreign rows that may be read beside a row, which must not have a stored part of its own; first none."""
        rows: list[Row | None] = [None]
        if len(self.needs.rows[number].products) == 1:
            taken = {step.foreign for step in moment.steps}
            rows += [other for other in self.needs.attached if other not in taken]
        return rows

    def _proceed(self, placed: Moment, before: Moment, returning: Arrival, hold: Hold, value: Node) -> None:
        """A returning value starts the next instruction of its chain."""
        moved = self.choices.moments(
            placed, returning.gate, returning.value, None, self.budget, must_use=returning.moved)
        for after in moved:
            self._settle(after, before, returning, hold, value)

    def _settle(
        self, after: Moment, before: Moment, returning: Arrival | None, hold: Hold, value: Node | None
    ) -> None:
        """Registers change at the end of the cycle, then time goes on."""
        settled = after._replace(holds=before.holds)
        if hold != Hold.NONE:
            settled = settled.held(hold, value)
        if returning is not None and returning.hold != Hold.NONE:
            settled = settled.held(returning.hold, returning.value)
        if not self.needs.lost(settled):
            self._advance(settled)

    def _program(self, moment: Moment) -> Program:
        rows = self.stage.all_rows
        gates = []
        for step in moment.steps:
            row, value = self.needs.rows[step.row], self.needs.arrives[step.row]
            function = value.function if isinstance(value, Activated) else Function.IDENTITY
            gates.append(GateStep(
                rows.index(row), ACTIVATION_OF[function],
                tuple(replace(made, text=_text(result, made)) for result, made in step.instructions), step.hold,
                add_stored=self.separate or len(row.products) > 1 or row in self.stage.foreign,
                foreign=None if step.foreign is None else rows.index(step.foreign),
            ))
        return Program(f"{self.stage.operand.name}, {self.stage.result.line}", tuple(gates))


def _text(result: Node, instruction: Instruction) -> str:
    write, emit = ", write" if instruction.write_state else "", ", emit" if instruction.emit else ""
    return f"{result.line}{write}{emit}"
