"""The stages of a cell: what can be computed from one operand on, in the order in which operands become available.

A stage multiplies one vector and then runs a unit program. Rows that add products of several vectors belong to the
stage of the last one; the parts of the others are stored before. What a later stage needs of an earlier one goes
through a state word of the unit. Every stage makes one vector, which goes to the multipliers, to the host or both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from rnn_mapper.cells.arithmetic import Accumulate, Activated, CellArithmetic, Fixed, Node, Operand, Read, Row, parts_of
from rnn_mapper.cells.errors import CellError

__all__ = ["Stage", "StateWord", "StoredPart", "UnitSet", "stages_of"]


@dataclass(frozen=True, eq=False)
class StateWord:
    """A 16-bit word that every unit has: a state, a value for a later stage, or a trained vector."""

    slot: int
    #: Name of the state, of the parameter, or of the line that computes the value.
    name: str
    #: Zero in the first step of a cleared sequence.
    carried: bool
    #: Loaded with the model.
    fixed: bool = False


@dataclass(frozen=True, eq=False)
class UnitSet:
    """Units with the same state words; a cell has one set of units for each size of vector that it computes."""

    index: int
    words: tuple[StateWord, ...]
    #: A matrix whose rows are these units.
    matrix: str


@dataclass(frozen=True, eq=False)
class StoredPart:
    """Products of one vector that are stored for the rows of a stage; added to what is there, if anything is."""

    operand: Operand
    rows: tuple[Row, ...]


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage of a cell."""

    index: int
    operand: Operand
    unit_set: UnitSet
    #: Rows whose last product is with `operand`.
    rows: tuple[Row, ...]
    #: Rows of earlier operands that only this stage uses: read beside a row, or given a row without weights.
    foreign: tuple[Row, ...]
    #: Values to compute, operands before what uses them.
    operations: tuple[Accumulate | Activated, ...]
    #: State words to write.
    writes: tuple[tuple[Node, StateWord], ...]
    #: State words to read.
    reads: tuple[tuple[Node, StateWord], ...]
    #: The vector it makes.
    result: Node
    #: What is stored before, in this order.
    stored: tuple[StoredPart, ...]

    @property
    def all_rows(self) -> tuple[Row, ...]:
        """Rows of this stage and foreign ones."""
        return (*self.rows, *self.foreign)


@cache
def stages_of(arithmetic: CellArithmetic) -> tuple[Stage, ...]:
    """The stages of a cell. Raises CellError for a cell that has no such stages."""
    return _Stages(arithmetic).build()


class _Stages:
    def __init__(self, arithmetic: CellArithmetic) -> None:
        self.arithmetic = arithmetic
        self.operands = list(arithmetic.operands)
        if not self.operands:
            raise CellError(f"{arithmetic.cell.line}: cell {arithmetic.cell.name} has no product with a matrix")
        self.level: dict[Node, int] = {}
        self._levels()

    def _levels(self) -> None:
        """The stage of every value: that of its latest operand."""
        inner = next((index for index, operand in enumerate(self.operands) if not operand.is_input), 0)
        states = self.arithmetic.states
        early: set[str] = set(states)
        while True:
            for node in self.arithmetic.nodes:
                if isinstance(node, Row):
                    self.level[node] = max(self.operands.index(product.operand) for product in node.products)
                elif isinstance(node, Read):
                    # A state that a later stage makes is complete only when that stage is over.
                    self.level[node] = 0 if node.state in early else inner
                elif isinstance(node, Fixed):
                    self.level[node] = 0
                else:
                    self.level[node] = max((self.level[part] for part in parts_of(node)), default=0)
            late = {name for name in early if self.level[states[name]] > 0}
            if not late:
                break
            early -= late
        self._delay()

    def _delay(self) -> None:
        """Operations of a stage that makes no vector move to the first stage after it that does."""
        for level in range(len(self.operands)):
            if self._results(level):
                continue
            if level == len(self.operands) - 1:
                node = next(reversed(self.arithmetic.nodes))
                raise CellError(f"{node.line}: nothing that is computed from {self.operands[level].text} is returned")
            for node in self.arithmetic.nodes:
                if self.level[node] == level and not isinstance(node, (Row, Fixed)):
                    self.level[node] = level + 1

    def _results(self, level: int) -> list[Node]:
        """Vectors that a stage makes."""
        vectors = [operand.node for operand in self.operands if operand.node is not None]
        vectors += [self.arithmetic.states[operand.state] for operand in self.operands if operand.state is not None]
        found = dict.fromkeys([self.arithmetic.output, *vectors])
        return [node for node in found if self.level[node] == level and not isinstance(node, (Read, Fixed))]

    def build(self) -> tuple[Stage, ...]:
        for node in (self.arithmetic.output, *self.arithmetic.states.values()):
            if isinstance(node, (Read, Fixed)):
                raise CellError(f"{node.line}: a state or a parameter is returned as it is; compute something from it")
        unit_sets = self._unit_sets()
        levels = [level for level in range(len(self.operands)) if self._results(level)]
        return tuple(self._stage(index, level, unit_sets) for index, level in enumerate(levels))

    def _stage(self, index: int, level: int, unit_sets: dict[Node, UnitSet]) -> Stage:
        results = self._results(level)
        if len(results) > 1:
            raise CellError(
                f"{results[0].line}: this vector and that of {results[1].line} are both needed, by products or by the "
                f"caller, as soon as {self.operands[level].text} is there; only one is possible"
            )
        nodes = self.arithmetic.nodes
        rows = [row for row in self.arithmetic.rows if self.level[row] == level]
        operations = [
            node for node in nodes if isinstance(node, (Accumulate, Activated)) and self.level[node] == level
        ]
        needed = dict.fromkeys(part for node in operations for part in parts_of(node))
        active = {other for other in range(len(self.operands)) if self._results(other)}
        foreign = [
            node for node in needed
            if isinstance(node, Row) and self.level[node] < level and self.level[node] not in active
        ]
        unit_set = unit_sets[results[0]]
        for value in (*rows, *foreign, *operations):
            if unit_sets[value] is not unit_set:
                raise CellError(
                    f"{value.line}: this value is ready at once with that of {results[0].line}, but no operation "
                    "connects their units; only values of the same units can be computed together"
                )
        reads = [
            (node, self._word(unit_set, node)) for node in needed
            if node not in rows and node not in foreign and node not in operations
        ]
        later = {
            part for node in nodes if self.level[node] > level for part in parts_of(node)
            if self.level[part] == level and not isinstance(part, (Read, Fixed))
        }
        writes: list[tuple[Node, StateWord]]
        writes = [(node, self._word(unit_set, node)) for node in (*rows, *operations) if node in later]
        for name, node in self.arithmetic.states.items():
            if self.level[node] == level:
                writes.append((node, next(word for word in unit_set.words if word.name == name)))
        return Stage(
            index, self.operands[level], unit_set, tuple(rows), tuple(foreign), tuple(operations), tuple(writes),
            tuple(reads), results[0], self._stored(level, rows, foreign),
        )

    def _stored(self, level: int, rows: Iterable[Row], foreign: Iterable[Row]) -> tuple[StoredPart, ...]:
        parts = []
        for operand in self.operands[:level]:
            stored = [
                row for row in (*rows, *foreign) if any(product.operand is operand for product in row.products)
            ]
            if stored:
                parts.append(StoredPart(operand, tuple(stored)))
        return tuple(parts)

    # Units and their words

    def _unit_sets(self) -> dict[Node, UnitSet]:
        """The units of every value: values that meet in an operation have the same."""
        leader: dict[object, object] = {}

        def find(key: object) -> object:
            while leader.setdefault(key, key) is not key:
                key = leader[key]
            return key

        for node in self.arithmetic.nodes:
            for part in parts_of(node):
                leader[find(part)] = find(node)
            if isinstance(node, Read):
                leader[find(node)] = find(self.arithmetic.states[node.state])
        members: dict[object, list[Node]] = {}
        for node in self.arithmetic.nodes:
            members.setdefault(find(node), []).append(node)
        unit_sets: dict[Node, UnitSet] = {}
        for index, nodes in enumerate(members.values()):
            row = next((node for node in nodes if isinstance(node, Row)), None)
            if row is None:
                raise CellError(f"{nodes[0].line}: no product with a matrix is part of this value")
            unit_set = UnitSet(index, tuple(self._words(set(nodes))), row.products[0].matrix)
            unit_sets |= dict.fromkeys(nodes, unit_set)
        return unit_sets

    def _words(self, members: set[Node]) -> list[StateWord]:
        """States that operations read first, then values for later stages, trained vectors, and other states."""
        states = [name for name, node in self.arithmetic.states.items() if node in members]
        read = [name for name in states if name in self.arithmetic.read_states]
        crossing = [
            node for node in self.arithmetic.nodes if node in members and not isinstance(node, (Read, Fixed))
            and self._crosses(node)
        ]
        fixed = [node.parameter for node in self.arithmetic.nodes if isinstance(node, Fixed) and node in members]
        named = [(name, True, False) for name in read]
        named += [(self._temporary(node), False, False) for node in crossing]
        named += [(name, False, True) for name in fixed]
        named += [(name, True, False) for name in states if name not in read]
        return [StateWord(slot, *word) for slot, word in enumerate(named)]

    def _crosses(self, node: Node) -> bool:
        level = self.level[node]
        if not self._results(level):
            return False
        return any(self.level[user] > level and node in parts_of(user) for user in self.arithmetic.nodes)

    def _temporary(self, node: Node) -> str:
        return f"value {self.arithmetic.nodes.index(node)} ({node.line})"

    def _word(self, unit_set: UnitSet, node: Node) -> StateWord:
        if isinstance(node, Read):
            name = node.state
        elif isinstance(node, Fixed):
            name = node.parameter
        else:
            name = self._temporary(node)
        return next(word for word in unit_set.words if word.name == name)
