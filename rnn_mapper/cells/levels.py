"""Levels: the operand of a cell from which on each value can be computed."""

from __future__ import annotations

from rnn_mapper.cells.arithmetic import CellArithmetic, Fixed, Node, Operand, Read, Row, parts_of
from rnn_mapper.cells.errors import CellError

__all__ = ["Levels"]


class Levels:
    """The level of every value, as the number of its latest operand. Raises CellError for a cell without operands, or
    with values that nothing returns.

    The operands are in the order in which they are available. The input comes first, as in a sequence that lies ready;
    or with `input_last` after the states, as where a step waits for it.
    """

    def __init__(self, arithmetic: CellArithmetic, input_last: bool = False) -> None:
        self.arithmetic = arithmetic
        self.operands = arithmetic.operands
        if input_last:
            self.operands = tuple(sorted(self.operands, key=_with_input_last))
        if not self.operands:
            raise CellError(f"{arithmetic.cell.line}: cell {arithmetic.cell.name} has no product with a matrix")
        self._level: dict[Node, int] = {}
        self._find()
        self._delay()

    def __getitem__(self, node: Node) -> int:
        return self._level[node]

    def _find(self) -> None:
        # From its second operand on, or from an input that comes after states, a stage finds all states complete.
        first = next((index for index, operand in enumerate(self.operands) if operand.is_input), 0)
        inner = first or next((index for index, operand in enumerate(self.operands) if not operand.is_input), 0)
        states = self.arithmetic.states
        early: set[str] = set(states)
        while True:
            for node in self.arithmetic.nodes:
                if isinstance(node, Row):
                    self._level[node] = max(self.operands.index(product.operand) for product in node.products)
                elif isinstance(node, Read):
                    # A state that a later stage makes is complete only when that stage is over.
                    self._level[node] = 0 if node.state in early else inner
                elif isinstance(node, Fixed):
                    self._level[node] = 0
                else:
                    self._level[node] = max((self._level[part] for part in parts_of(node)), default=0)
            late = {name for name in early if self._level[states[name]] > 0}
            if not late:
                break
            early -= late

    def _delay(self) -> None:
        """Operations of a stage that makes no vector move to the first stage after it that does."""
        for level in range(len(self.operands)):
            if self.results(level):
                continue
            if level == len(self.operands) - 1:
                node = next(reversed(self.arithmetic.nodes))
                raise CellError(f"{node.line}: nothing computed from {self.operands[level].text} is returned")
            for node in self.arithmetic.nodes:
                if self._level[node] == level and not isinstance(node, (Row, Fixed)):
                    self._level[node] = level + 1

    def results(self, level: int) -> list[Node]:
        """Vectors that a stage makes."""
        vectors = [operand.node for operand in self.operands if operand.node is not None]
        vectors += [self.arithmetic.states[operand.state] for operand in self.operands if operand.state is not None]
        found = dict.fromkeys([self.arithmetic.output, *vectors])
        return [node for node in found if self._level[node] == level and not isinstance(node, (Read, Fixed))]

    @property
    def active(self) -> list[int]:
        """Levels that make a vector: each becomes a stage."""
        return [level for level in range(len(self.operands)) if self.results(level)]

    def crosses(self, node: Node) -> bool:
        """A later stage needs the value."""
        level = self._level[node]
        if not self.results(level):
            return False
        return any(self._level[user] > level and node in parts_of(user) for user in self.arithmetic.nodes)


def _with_input_last(operand: Operand) -> int:
    """States, the input, computed vectors."""
    return 0 if operand.state is not None else 1 if operand.is_input else 2
