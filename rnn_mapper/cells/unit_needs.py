"""The work of a stage's program, and the work left at a moment of the search."""

from __future__ import annotations

from hdl.layouts import Hold
from rnn_mapper.cells.arithmetic import Accumulate, Activated, Node, Row, parts_of
from rnn_mapper.cells.stages import Stage
from rnn_mapper.cells.unit_moment import Moment
from rnn_mapper.cells.unit_sets import StateWord

__all__ = ["StageNeeds"]


class StageNeeds:
    """The work of a stage whose rows arrive as `rows`; foreign rows that are not among them are read beside others."""

    def __init__(self, stage: Stage, rows: tuple[Row, ...]) -> None:
        self.result = stage.result
        self.rows = rows
        self.attached = [row for row in stage.foreign if row not in rows]
        #: State words that are there from the beginning, and those to write.
        self.slots = dict(stage.reads)
        self.targets: dict[Node, StateWord] = dict(stage.writes)
        #: The value that each row has on arrival: itself, or the function of it that alone is used.
        self.arrives = [self._arriving(row, stage) for row in rows]
        self.work = [node for node in stage.operations if node not in self.arrives]
        self.accumulates = [node for node in self.work if isinstance(node, Accumulate)]
        self.activates = [node for node in self.work if isinstance(node, Activated)]
        self.users: dict[Node, list[Accumulate | Activated]] = {}
        for node in self.work:
            for part in parts_of(node):
                self.users.setdefault(part, []).append(node)
        #: Values that need an instruction only to be written or sent away.
        self.moved = {node for node in (*self.targets, self.result) if not isinstance(node, Accumulate)}

    def _arriving(self, row: Row, stage: Stage) -> Node:
        users = [node for node in stage.operations if row in parts_of(node)]
        leaves = row in self.targets or row is self.result
        return users[0] if len(users) == 1 and isinstance(users[0], Activated) and not leaves else row

    @property
    def least_instructions(self) -> int:
        """One for each accumulation, and for each other value that is written or sent away."""
        return max(1, len(self.accumulates) + len(self.moved))

    def spare(self, moment: Moment, budget: int) -> int:
        """Instructions left over when all necessary work has its own."""
        needed = sum(1 for node in self.accumulates if node not in moment.done)
        needed += sum(1 for node in self.moved if self.leaves(moment, node))
        return budget - moment.instructions - needed

    def is_over(self, moment: Moment) -> bool:
        """Everything is computed, written and sent away."""
        return len(moment.arrived) == len(self.rows) and not self.work_left(moment) and not moment.ring

    def work_left(self, moment: Moment) -> bool:
        """Something is still to be computed, written or sent away."""
        return (
            len(moment.done) < len(self.work) or len(moment.written) < len(self.targets) or not moment.emitted
        )

    def used(self, moment: Moment, node: Node) -> bool:
        """An operation still needs the value."""
        return any(user not in moment.done for user in self.users.get(node, ()))

    def added(self, moment: Moment, node: Node) -> bool:
        """An operation still needs the value as its addend."""
        return any(
            isinstance(user, Accumulate) and user.addend is node
            for user in self.users.get(node, ()) if user not in moment.done
        )

    def activated(self, moment: Moment, node: Node) -> bool:
        """A function of the value is still to be computed."""
        return any(isinstance(user, Activated) for user in self.users.get(node, ()) if user not in moment.done)

    def leaves(self, moment: Moment, node: Node) -> bool:
        """The value is still to be written or sent away."""
        word = self.targets.get(node)
        return (word is not None and word.slot not in moment.written) or (node is self.result and not moment.emitted)

    def occupied(self, moment: Moment, hold: Hold) -> bool:
        """The register holds something that is still needed and is nowhere else, or will receive something."""
        if any(arrival.hold == hold for arrival in moment.ring):
            return True
        node = moment.holds[0 if hold == Hold.HOLD0 else 1]
        if node is None:
            return False
        return self.used(moment, node) and not any(content is node for content, _ in moment.words)

    def lost(self, moment: Moment) -> bool:
        """A value that is still needed is in no register and on no way."""
        places = {*moment.holds, *(arrival.value for arrival in moment.ring)}
        places |= {content for content, _ in moment.words}
        if moment.kept is not None:
            places.add(moment.kept.value)
        there = [self.arrives[number] for number in moment.arrived]
        there += [node for node in self.work if node in moment.done]
        there += [step.foreign for step in moment.steps if step.foreign is not None]
        there += self.slots
        return any(node not in places and (self.used(moment, node) or self.leaves(moment, node)) for node in there)
