"""The units of a cell and their state words."""

from __future__ import annotations

from dataclasses import dataclass

from rnn_mapper.cells.arithmetic import CellArithmetic, Fixed, Node, Read, Row, parts_of
from rnn_mapper.cells.errors import CellError
from rnn_mapper.cells.levels import Levels

__all__ = ["StateWord", "UnitSet", "name_of_word", "unit_sets_of"]


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

    def word(self, name: str) -> StateWord:
        """The state word of that name."""
        return next(word for word in self.words if word.name == name)


def unit_sets_of(levels: Levels) -> dict[Node, UnitSet]:
    """The units of every value: values that meet in an operation have the same. Raises CellError, with the line, for
    values of which no matrix product is part."""
    arithmetic = levels.arithmetic
    leader: dict[object, object] = {}

    def find(key: object) -> object:
        while leader.setdefault(key, key) is not key:
            key = leader[key]
        return key

    for node in arithmetic.nodes:
        for part in parts_of(node):
            leader[find(part)] = find(node)
        if isinstance(node, Read):
            leader[find(node)] = find(arithmetic.states[node.state])
    members: dict[object, list[Node]] = {}
    for node in arithmetic.nodes:
        members.setdefault(find(node), []).append(node)
    unit_sets: dict[Node, UnitSet] = {}
    for index, nodes in enumerate(members.values()):
        row = next((node for node in nodes if isinstance(node, Row)), None)
        if row is None:
            raise CellError(f"{nodes[0].line}: no product with a matrix is part of this value")
        unit_set = UnitSet(index, tuple(_words(levels, set(nodes))), row.products[0].matrix)
        unit_sets |= dict.fromkeys(nodes, unit_set)
    return unit_sets


def name_of_word(arithmetic: CellArithmetic, node: Node) -> str:
    """The name of the state word that holds a value."""
    if isinstance(node, Read):
        return node.state
    if isinstance(node, Fixed):
        return node.parameter
    return f"value {arithmetic.nodes.index(node)} ({node.line})"


def _words(levels: Levels, members: set[Node]) -> list[StateWord]:
    """States that operations read first, then values for later stages, trained vectors, and other states."""
    arithmetic = levels.arithmetic
    states = [name for name, node in arithmetic.states.items() if node in members]
    read = [name for name in states if name in arithmetic.read_states]
    crossing = [
        node for node in arithmetic.nodes if node in members and not isinstance(node, (Read, Fixed))
        and levels.crosses(node)
    ]
    fixed = [node.parameter for node in arithmetic.nodes if isinstance(node, Fixed) and node in members]
    named = [(name, True, False) for name in read]
    named += [(name_of_word(arithmetic, node), False, False) for node in crossing]
    named += [(name, False, True) for name in fixed]
    named += [(name, True, False) for name in states if name not in read]
    return [StateWord(slot, *word) for slot, word in enumerate(named)]
