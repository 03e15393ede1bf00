"""The arithmetic of a cell: its equations as rows, multiply-accumulates and functions on 16-bit integers.

This is the definition of what a cell computes, bit for bit, whatever the grid. A *row* is a sum of matrix-vector
products with a bias, each product requantised to Q5.10 on its own. Everything else is

    accumulate = sat16(round(x * (y - z) + addend, 15))

and functions of such values. Numbers are 16 bits wide, Q5.10 or Q0.15: sigmoid and tanh give Q0.15, rows Q5.10, a
product of Q0.15 with either has the other's format. A sum is Q0.15 if its terms are and it cannot leave [-1, 1], and
so is a state; else it is Q5.10. `z * a + (1 - z) * b` is one accumulation, z * (a - b) + b.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from rnn_mapper.cells.expressions import Expression, Function, SourceLine
from rnn_mapper.cells.tracing import Cell

__all__ = [
    "Accumulate", "Activated", "CellArithmetic", "Fixed", "Node", "Operand", "Range", "Read", "Row", "RowProduct",
    "Unit", "parts_of",
]

Range = tuple[float, float]


class Unit:
    """A factor that is not a value."""

    ZERO = "0"
    ONE = "1"


@dataclass(frozen=True, eq=False)
class Node:
    """A 16-bit value of every unit. Two nodes are the same value only if they are the same object."""

    line: SourceLine
    #: Fraction bits; calibration chooses those of the rows in `CellArithmetic.calibrated`.
    fraction: int
    range: Range


@dataclass(frozen=True, eq=False)
class Operand:
    """A vector that matrices multiply, as 8-bit values: the input, a state of the previous step, or a computed one."""

    name: str
    expression: Expression
    node: Node | None = None
    state: str | None = None

    @property
    def text(self) -> str:
        """For messages."""
        return self.name if self.node is None else f"the vector of {self.node.line}"

    @property
    def is_input(self) -> bool:
        """The input of the step."""
        return self.node is None and self.state is None


@dataclass(frozen=True)
class RowProduct:
    """One matrix-vector product of a row, times `factor`."""

    matrix: str
    operand: Operand
    factor: float


@dataclass(frozen=True, eq=False)
class Row(Node):
    """A sum of products; parts are added in this order, each sum saturated. The first part carries the bias."""

    products: tuple[RowProduct, ...]
    #: Parameters that are added, each with its factor, and a number.
    biases: tuple[tuple[str, float], ...]
    offset: float

    @property
    def name(self) -> str:
        """Names of its matrices."""
        return "+".join(product.matrix for product in self.products)


@dataclass(frozen=True, eq=False)
class Read(Node):
    """A state of the previous step."""

    state: str


@dataclass(frozen=True, eq=False)
class Fixed(Node):
    """A trained vector, Q0.15."""

    parameter: str


@dataclass(frozen=True, eq=False)
class Accumulate(Node):
    """`x * (y - z) + addend`; an absent part is zero."""

    x: Node | None = None
    y: Node | str = Unit.ZERO
    z: Node | None = None
    addend: Node | None = None

    @property
    def addend_is_finer(self) -> bool:
        """The addend is Q0.15 and the result Q5.10."""
        return self.addend is not None and self.addend.fraction != self.fraction

    @property
    def operands(self) -> tuple[Node, ...]:
        """Values that it needs."""
        return tuple(part for part in (self.x, self.y, self.z, self.addend) if isinstance(part, Node))


@dataclass(frozen=True, eq=False)
class Activated(Node):
    """A function of a value."""

    function: Function
    argument: Node


@dataclass(frozen=True, eq=False)
class CellArithmetic:
    """All values of a step."""

    cell: Cell
    #: Every node, operands before what uses them.
    nodes: tuple[Node, ...]
    output: Node
    #: For each state, its value after the step.
    states: dict[str, Node]
    #: Vectors that matrices multiply: the input, states, computed values, in the order in which they are available.
    operands: tuple[Operand, ...]

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """All rows, in the order of the cell's lines."""
        rows = [node for node in self.nodes if isinstance(node, Row)]
        order = {matrix: index for index, matrix in enumerate(self.cell.trace.matrices)}
        return tuple(sorted(rows, key=lambda row: (row.line.line, order[row.products[0].matrix])))

    def rows_of(self, operand: Operand) -> tuple[Row, ...]:
        """Rows that have a product with an operand."""
        return tuple(row for row in self.rows if any(product.operand is operand for product in row.products))

    @cached_property
    def calibrated(self) -> frozenset[Node]:
        """Rows that only matrices, the host and the next step use: their format is chosen by calibration."""
        used = {part for node in self.nodes for part in parts_of(node)}
        vectors = {self.output, *self.states.values(), *(operand.node for operand in self.operands)}
        read = {self.states[name] for name in self.read_states}
        return frozenset(node for node in vectors if isinstance(node, Row) and node not in used | read)

    @property
    def read_states(self) -> tuple[str, ...]:
        """States that some operation other than a matrix product uses."""
        return tuple(dict.fromkeys(node.state for node in self.nodes if isinstance(node, Read)))

    @property
    def fixed(self) -> tuple[str, ...]:
        """Parameters that are factors, not biases."""
        return tuple(dict.fromkeys(node.parameter for node in self.nodes if isinstance(node, Fixed)))


def parts_of(node: Node) -> tuple[Node, ...]:
    """Values that an operation uses."""
    if isinstance(node, Accumulate):
        return node.operands
    return (node.argument,) if isinstance(node, Activated) else ()
