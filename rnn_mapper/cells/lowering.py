"""From the equations of a cell to its arithmetic: values and their formats, and the vectors that matrices multiply."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from rnn_mapper.cells.arithmetic import Activated, CellArithmetic, Fixed, Node, Operand, Range, Read, Row, RowProduct
from rnn_mapper.cells.errors import CellError
from rnn_mapper.cells.expressions import (
    Apply,
    Expression,
    Function,
    Input,
    Parameter,
    Product,
    SourceLine,
    State,
)
from rnn_mapper.cells.sums import accumulated, as_preactivation, is_activation
from rnn_mapper.cells.terms import Term, product_term, single_term, terms_of
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.fixed_point import ACTIVATION_FRACTION, PREACTIVATION_FRACTION

__all__ = ["arithmetic_of"]

#: Largest magnitude of a Q5.10 number.
_WIDE: Range = (-32.0, 32.0)


@cache
def arithmetic_of(cell: Cell) -> CellArithmetic:
    """The arithmetic of a cell. Raises CellError, with the line, for equations that it cannot express."""
    # States begin as Q0.15; those that leave [-1, 1] become Q5.10.
    fractions = dict.fromkeys(cell.state_names, ACTIVATION_FRACTION)
    while True:
        lowering = _Lowering(cell, fractions)
        states = lowering.states()
        demoted = False
        for name, node in states.items():
            fits = node.fraction == ACTIVATION_FRACTION and is_activation(node.range)
            if fractions[name] == ACTIVATION_FRACTION and not fits:
                fractions[name], demoted = PREACTIVATION_FRACTION, True
        if not demoted:
            return lowering.result(states)


@dataclass
class _Lowering:
    """The values of a cell whose states have these fraction bits."""

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
                node = as_preactivation(self.nodes, node)
            found[state.name] = node
        return found

    def result(self, states: dict[str, Node]) -> CellArithmetic:
        """All values, and the vectors that matrices multiply."""
        output = self.value(self.cell.trace.output)
        operands = sorted(self._operands.values(), key=self._availability)
        return CellArithmetic(self.cell, tuple(self.nodes), output, states, tuple(operands))

    def _availability(self, operand: Operand) -> tuple[int, int]:
        if operand.node is not None:
            return 2, self.nodes.index(operand.node)
        return (0, 0) if operand.state is None else (1, list(self.fractions).index(operand.state))

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
                    f"can only be multiplied by a matrix (an identity matrix passes it on)"
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
        argument = as_preactivation(self.nodes, argument)
        bounds = (0.0, 1.0) if function is Function.SIGMOID else (-1.0, 1.0)
        return self._add(Activated(line, ACTIVATION_FRACTION, bounds, function, argument))

    def _operand(self, expression: Expression) -> Operand:
        match expression:
            case Input(name=name):
                return self._operands.setdefault("input", Operand(name, expression))
            case State(name=name):
                return self._operands.setdefault(("state", name), Operand(name, expression, state=name))
        node = self.value(expression)
        number = 1 + sum(operand.node is not None for operand in self._operands.values())
        return self._operands.setdefault(id(node), Operand(f"vector {number}", expression, node))

    def _sum(self, line: SourceLine, expression: Expression) -> Node:
        products: list[RowProduct] = []
        biases: list[tuple[str, float]] = []
        offset = 0.0
        terms: list[Term] = []
        flat = list(terms_of(expression, 1.0))
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
                    terms.append(single_term(single, factor, self.value))
                case (left, right):
                    terms.append(product_term(place, left, right, factor, self.value))
        if not products and offset:
            raise CellError(
                f"{line}: the number {offset:g} is added to values that are not matrix products; a number may be "
                "added to a matrix product, or be the 1 of 1 - v in a product"
            )
        if products:
            products.sort(key=lambda product: self._availability(product.operand))
            row = self._add(Row(line, PREACTIVATION_FRACTION, _WIDE, tuple(products), tuple(biases), offset))
            if not terms:
                return row
            terms.insert(0, Term(line, row))
        return accumulated(self.nodes, line, terms)
