"""The arithmetic of a cell: its equations as rows, multiply-accumulates and functions on 16-bit integers.

This is the definition of what a cell computes, bit for bit, whatever the grid. A *row* is a sum of matrix-vector
products with a bias, each product requantised to Q5.10 on its own. Everything else is

    accumulate = sat16(round(x * (y - z) + addend, 15))

and functions of such values. Numbers are 16 bits wide, Q5.10 or Q0.15: sigmoid and tanh give Q0.15, rows Q5.10, a
product of Q0.15 with either has the other's format. A sum is Q0.15 if its terms are and it cannot leave [-1, 1], and
so is a state; else it is Q5.10. `z * a + (1 - z) * b` is one accumulation, z * (a - b) + b.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property

from rnn_mapper.cells.errors import CellError
from rnn_mapper.cells.expressions import (
    Apply,
    Expression,
    Function,
    Input,
    Multiply,
    Number,
    Parameter,
    Product,
    SourceLine,
    State,
    Sum,
)
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.fixed_point import ACTIVATION_FRACTION, PREACTIVATION_FRACTION

__all__ = [
    "Accumulate", "Activated", "CellArithmetic", "Fixed", "Node", "Operand", "Read", "Row", "RowProduct", "Unit",
    "arithmetic_of", "parts_of",
]

Range = tuple[float, float]
#: Largest magnitude of a Q5.10 number.
_WIDE: Range = (-32.0, 32.0)


class Unit:
    """A factor that is not a value."""

    ZERO = "0"
    ONE = "1"


@dataclass(frozen=True, eq=False)
class Node:
    """A 16-bit value of every unit. Two nodes are the same value only if they are the same object."""

    line: SourceLine
    #: Fraction bits; of a row in `CellArithmetic.calibrated` calibration chooses them.
    fraction: int
    range: Range


@dataclass(frozen=True, eq=False)
class Operand:
    """A vector that matrices multiply, as 8-bit values: the input, a state of the step before, or a computed value."""

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
    """A state of the step before."""

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


@cache
def arithmetic_of(cell: Cell) -> CellArithmetic:
    """The arithmetic of a cell. Raises CellError, with the line, for what it cannot express."""
    # States begin as Q0.15; what does not stay within [-1, 1] becomes Q5.10.
    fractions = dict.fromkeys(cell.state_names, ACTIVATION_FRACTION)
    while True:
        lowering = _Lowering(cell, fractions)
        states = lowering.states()
        demoted = False
        for name, node in states.items():
            fits = node.fraction == ACTIVATION_FRACTION and _within(node.range)
            if fractions[name] == ACTIVATION_FRACTION and not fits:
                fractions[name], demoted = PREACTIVATION_FRACTION, True
        if not demoted:
            return lowering.result(states)


def parts_of(node: Node) -> tuple[Node, ...]:
    """Values that an operation uses."""
    if isinstance(node, Accumulate):
        return node.operands
    return (node.argument,) if isinstance(node, Activated) else ()


@dataclass
class _Term:
    """A product x * (y - z), or x alone."""

    line: SourceLine
    x: Node
    y: Node | str = Unit.ONE
    z: Node | None = None
    #: Set for a blend, which adds its own z.
    addend: Node | None = None

    @property
    def fraction(self) -> int:
        second = self.y if isinstance(self.y, Node) else self.z
        return self.x.fraction + (15 if second is None else second.fraction) - 15

    @property
    def is_plain(self) -> bool:
        """A value, not a product."""
        return self.y == Unit.ONE and self.z is None

    @property
    def range(self) -> Range:
        if self.addend is not None and isinstance(self.y, Node):
            return min(self.y.range[0], self.addend.range[0]), max(self.y.range[1], self.addend.range[1])
        y = self.y.range if isinstance(self.y, Node) else (1.0, 1.0) if self.y == Unit.ONE else (0.0, 0.0)
        z = self.z.range if self.z is not None else (0.0, 0.0)
        corners = [a * b for a in self.x.range for b in (y[0] - z[1], y[1] - z[0])]
        return min(corners), max(corners)


@dataclass
class _Factor:
    """One side of a product: a value, 1 - value, or a difference of values; negated by `sign`."""

    sign: int
    plain: Node | None = None
    y: Node | str = Unit.ZERO
    z: Node | None = None


@dataclass
class _Lowering:
    cell: Cell
    fractions: dict[str, int]
    nodes: list[Node] = field(default_factory=list)
    _made: dict[int, Node] = field(default_factory=dict)
    _operands: dict[object, Operand] = field(default_factory=dict)
    _reads: dict[object, Node] = field(default_factory=dict)

    def states(self) -> dict[str, Node]:
        """The states after the step."""
        trace = self.cell.trace
        found: dict[str, Node] = {}
        for state, expression in zip(trace.states, trace.new_states, strict=True):
            node = self.value(expression)
            if self.fractions[state.name] == PREACTIVATION_FRACTION:
                node = self._as_preactivation(node)
            found[state.name] = node
        return found

    def result(self, states: dict[str, Node]) -> CellArithmetic:
        """All values, and which rows' format is free."""
        output = self.value(self.cell.trace.output)
        operands = sorted(self._operands.values(), key=self._availability)
        return CellArithmetic(self.cell, tuple(self.nodes), output, states, tuple(operands))

    def _availability(self, operand: Operand) -> tuple[int, int]:
        if operand.node is not None:
            return 2, self.nodes.index(operand.node)
        return (0, 0) if operand.state is None else (1, list(self.fractions).index(operand.state))

    # Values

    def value(self, expression: Expression) -> Node:
        """The node of an expression; the same node for the same expression."""
        if id(expression) not in self._made:
            self._made[id(expression)] = self._lower(expression)
        return self._made[id(expression)]

    def _lower(self, expression: Expression) -> Node:
        match expression:
            case Input():
                raise CellError(
                    f"{expression.line}: the input {expression.name} is used element by element; it is 8 bits wide and "
                    f"can only be multiplied by a matrix (an identity matrix gives it as it is)"
                )
            case State(name=name):
                return self._shared(("state", name), Read(
                    expression.line, self.fractions[name],
                    (-1.0, 1.0) if self.fractions[name] == ACTIVATION_FRACTION else _WIDE, name,
                ))
            case Parameter(name=name):
                return self._shared(("fixed", name), Fixed(
                    expression.line, ACTIVATION_FRACTION, (-1.0, 1.0), name))
            case Apply(function=Function.IDENTITY, argument=argument):
                return self.value(argument)
            case Apply(function=function, argument=argument):
                return self._apply(expression.line, function, self.value(argument))
        return self._sum(expression.line, expression)

    def _shared(self, key: object, node: Node) -> Node:
        if key not in self._reads:
            self._reads[key] = self._add(node)
        return self._reads[key]

    def _add(self, node: Node) -> Node:
        self.nodes.append(node)
        return node

    def _apply(self, line: SourceLine, function: Function, argument: Node) -> Node:
        if function is Function.RELU:
            bounds = max(argument.range[0], 0.0), max(argument.range[1], 0.0)
            return self._add(Activated(line, argument.fraction, bounds, function, argument))
        argument = self._as_preactivation(argument)
        bounds = (0.0, 1.0) if function is Function.SIGMOID else (-1.0, 1.0)
        return self._add(Activated(line, ACTIVATION_FRACTION, bounds, function, argument))

    def _as_preactivation(self, node: Node) -> Node:
        if node.fraction == PREACTIVATION_FRACTION:
            return node
        return self._add(Accumulate(node.line, PREACTIVATION_FRACTION, node.range, addend=node))

    def _operand(self, expression: Expression) -> Operand:
        match expression:
            case Input(name=name):
                return self._operands.setdefault("input", Operand(name, expression))
            case State(name=name):
                return self._operands.setdefault(("state", name), Operand(name, expression, state=name))
        node = self.value(expression)
        number = 1 + sum(operand.node is not None for operand in self._operands.values())
        return self._operands.setdefault(id(node), Operand(f"vector {number}", expression, node))

    # Sums

    def _sum(self, line: SourceLine, expression: Expression) -> Node:
        products: list[RowProduct] = []
        biases: list[tuple[str, float]] = []
        offset = 0.0
        terms: list[_Term] = []
        flat = list(_terms(expression, 1.0))
        has_products = any(len(factors) == 1 and isinstance(factors[0], Product) for _, factors, _ in flat)
        for factor, factors, place in flat:
            match factors:
                case ():
                    offset += factor
                case (Product(matrix=matrix, operand=operand),):
                    products.append(RowProduct(matrix, self._operand(operand), factor))
                case (Parameter(name=name),) if has_products:
                    biases.append((name, factor))
                case (single,):
                    terms.append(self._single(single, factor))
                case (left, right):
                    terms.append(self._product(place, left, right, factor))
        if not products and offset:
            raise CellError(
                f"{line}: the number {offset:g} is added to values that are no matrix products; numbers may be added "
                "to products with a matrix, or stand as 1 - v in a product"
            )
        if products:
            products.sort(key=lambda product: self._availability(product.operand))
            row = self._add(Row(line, PREACTIVATION_FRACTION, _WIDE, tuple(products), tuple(biases), offset))
            if not terms:
                return row
            terms.insert(0, _Term(line, row))
        return self._accumulate(line, _blended(terms))

    def _single(self, expression: Expression, factor: float) -> _Term:
        if factor == -1.0:
            raise CellError(
                f"{expression.line}: this value is subtracted: only products with a matrix and products of two values "
                "can be; change the sign of the weights that it comes from"
            )
        if factor != 1.0:
            raise CellError(
                f"{expression.line}: this value is multiplied by {factor:g}: only products with a matrix can be "
                "scaled; scale the weights that use it"
            )
        return _Term(expression.line, self.value(expression))

    def _product(self, line: SourceLine, left: Expression, right: Expression, factor: float) -> _Term:
        if abs(factor) != 1.0:
            raise CellError(f"{line}: a product of two values times {factor:g}; only matrix products can be scaled")
        first, second = self._factor(left), self._factor(right)
        if first.plain is None:
            first, second = second, first
        if first.plain is None:
            raise CellError(f"{line}: both sides of a product are differences; multiply it out")
        sign = first.sign * second.sign * int(factor)
        x, y, z = first.plain, second.y, second.z
        if second.plain is not None:
            y, z = (second.plain, None) if sign > 0 else (Unit.ZERO, second.plain)
        elif sign < 0 and isinstance(y, Node):
            assert z is not None
            y, z = z, y
        elif sign < 0:
            raise CellError(
                f"{line}: -(1 - v) * w cannot be expressed; change the sign of the weights that w comes from"
            )
        term = _Term(line, x, y, z)
        if term.fraction not in (ACTIVATION_FRACTION, PREACTIVATION_FRACTION):
            raise CellError(
                f"{line}: both factors can exceed 1 (Q5.10): one of them must come from a sigmoid, a tanh or a state "
                "that stays within [-1, 1]"
            )
        return term

    def _factor(self, expression: Expression) -> _Factor:
        flat = [(number, factors) for number, factors, _ in _terms(expression, 1.0)]
        match flat:
            case [(1.0, ()), (-1.0, (value,))] | [(-1.0, (value,)), (1.0, ())]:
                node = self.value(value)
                if node.range[0] < 0.0 or node.range[1] > 1.0 or node.fraction != ACTIVATION_FRACTION:
                    raise CellError(f"{expression.line}: 1 - v needs v within [0, 1], such as a sigmoid")
                return _Factor(1, y=Unit.ONE, z=node)
            case [(1.0, (Apply() | State() as a,)), (-1.0, (Apply() | State() as b,))]:
                first, second = self.value(a), self.value(b)
                if first.fraction == second.fraction:
                    return _Factor(1, y=first, z=second)
                raise CellError(
                    f"{expression.line}: a difference of a Q{_format(first)} and a Q{_format(second)} value as a "
                    "factor; multiply it out"
                )
            case [(-1.0, (value,))] if not isinstance(value, Product):
                return _Factor(-1, self.value(value))
        return _Factor(1, self.value(expression))

    def _accumulate(self, line: SourceLine, terms: list[_Term]) -> Node:
        low, high = (sum(term.range[end] for term in terms) for end in (0, 1))
        fine = all(term.fraction == ACTIVATION_FRACTION for term in terms)
        fraction = ACTIVATION_FRACTION if fine and _within((low, high)) else PREACTIVATION_FRACTION
        # Finer terms first: an addend may be finer than the product, but not the other way round. Blends and plain
        # values begin a sum, because they need no addend.
        terms = sorted(terms, key=lambda term: (term.fraction == PREACTIVATION_FRACTION, not term.addend,
                                                not term.is_plain))
        total: Node | None = None
        for term in terms:
            total = self._add_term(line, total, term, fraction)
        assert total is not None
        return total if total.fraction == fraction else self._as_preactivation(total)

    def _add_term(self, line: SourceLine, total: Node | None, term: _Term, fraction: int) -> Node:
        if total is None:
            return term.x if term.is_plain else self._node(line, term, term.addend)
        if term.addend is not None:
            # A blend has its own addend, so what is already there is added to its result.
            return self._add_term(line, self._node(line, term, term.addend), _Term(line, total), fraction)
        if total.fraction == ACTIVATION_FRACTION == term.fraction and fraction == PREACTIVATION_FRACTION:
            total = self._as_preactivation(total)
        if term.fraction == ACTIVATION_FRACTION and total.fraction == PREACTIVATION_FRACTION:
            # The sum is coarser than this term: the sum becomes the factor of one, the term the addend.
            fine = term.x if term.is_plain else self._node(line, term, None)
            return self._node(line, _Term(line, total), fine)
        return self._node(line, term, total)

    def _node(self, line: SourceLine, term: _Term, addend: Node | None) -> Node:
        bounds = term.range
        if addend is not None and term.addend is None:
            bounds = bounds[0] + addend.range[0], bounds[1] + addend.range[1]
        limit = 1.0 if term.fraction == ACTIVATION_FRACTION else 32.0
        bounds = max(bounds[0], -limit), min(bounds[1], limit)
        return self._add(Accumulate(line, term.fraction, bounds, term.x, term.y, term.z, addend))


def _terms(expression: Expression, factor: float) -> Iterator[tuple[float, tuple[Expression, ...], SourceLine]]:
    """The expression as a sum: for each term its number, its factors (none, one or two) and where it is written."""
    match expression:
        case Number(value=value):
            yield factor * value, (), expression.line
        case Sum(terms=terms):
            for sign, term in terms:
                yield from _terms(term, sign * factor)
        case Multiply(left=Number(value=value), right=other) | Multiply(left=other, right=Number(value=value)):
            yield from _terms(other, factor * value)
        case Multiply(left=left, right=right):
            yield factor, (left, right), expression.line
        case Apply(function=Function.IDENTITY, argument=argument):
            yield from _terms(argument, factor)
        case _:
            yield factor, (expression,), expression.line


def _blended(terms: list[_Term]) -> list[_Term]:
    """a * b + (1 - a) * c as one accumulation, a * (b - c) + c, where b and c have one format and a is in [0, 1]."""
    for rest in terms:
        if isinstance(rest.y, Node) and rest.z is not None and rest.addend is None and _is_gate(rest.x):
            for term in terms:
                if term.is_plain and term.x is rest.z:
                    blend = _Term(rest.line, rest.x, rest.y, rest.z, rest.z)
                    return _blended([blend, *(one for one in terms if one not in (term, rest))])
        if rest.y != Unit.ONE or rest.z is None:
            continue
        for term in terms:
            if term.z is not None or not isinstance(term.y, Node) or rest.z not in (term.x, term.y):
                continue
            other = term.y if term.x is rest.z else term.x
            if other.fraction == rest.x.fraction:
                blend = _Term(term.line, rest.z, other, rest.x, rest.x)
                return _blended([blend, *(one for one in terms if one not in (term, rest))])
    return terms


def _is_gate(node: Node) -> bool:
    return node.fraction == ACTIVATION_FRACTION and node.range[0] >= 0.0


def _within(bounds: Range) -> bool:
    return bounds[0] >= -1.0 and bounds[1] <= 1.0


def _format(node: Node) -> str:
    return f"{15 - node.fraction}.{node.fraction}"
