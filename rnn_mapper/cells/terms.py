"""Sums of a cell's equations as terms x * (y - z), which one accumulation can add."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rnn_mapper.cells.arithmetic import Node, Range, Unit
from rnn_mapper.cells.errors import CellError
from rnn_mapper.cells.expressions import Apply, Expression, Function, Multiply, Number, Product, SourceLine, State, Sum
from rnn_mapper.fixed_point import ACTIVATION_FRACTION, PREACTIVATION_FRACTION

__all__ = ["Term", "product_term", "single_term", "terms_of"]

#: The node of an expression.
Value = Callable[[Expression], Node]


@dataclass
class Term:
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


def terms_of(expression: Expression, factor: float) -> Iterator[tuple[float, tuple[Expression, ...], SourceLine]]:
    """The expression as a sum: for each term its number, its factors (none, one or two) and where it is written."""
    match expression:
        case Number(value=value):
            yield factor * value, (), expression.line
        case Sum(terms=terms):
            for sign, term in terms:
                yield from terms_of(term, sign * factor)
        case Multiply(left=Number(value=value), right=other) | Multiply(left=other, right=Number(value=value)):
            yield from terms_of(other, factor * value)
        case Multiply(left=left, right=right):
            yield factor, (left, right), expression.line
        case Apply(function=Function.IDENTITY, argument=argument):
            yield from terms_of(argument, factor)
        case _:
            yield factor, (expression,), expression.line


def single_term(expression: Expression, factor: float, value: Value) -> Term:
    """A value as a term. Raises CellError unless its factor is 1."""
    if factor == -1.0:
        raise CellError(
            f"{expression.line}: this value is subtracted: only matrix products and products of two values can be; "
            "change the sign of the weights that produce it"
        )
    if factor != 1.0:
        raise CellError(
            f"{expression.line}: this value is multiplied by {factor:g}: only matrix products can be scaled; scale "
            "the weights that use it"
        )
    return Term(expression.line, value(expression))


def product_term(line: SourceLine, left: Expression, right: Expression, factor: float, value: Value) -> Term:
    """A product of two vectors as a term. Raises CellError if it is not x * (y - z)."""
    if abs(factor) != 1.0:
        raise CellError(
            f"{line}: a product of two values is multiplied by {factor:g}; only matrix products can be scaled"
        )
    first, second = _factor(left, value), _factor(right, value)
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
            f"{line}: -(1 - v) * w cannot be expressed; change the sign of the weights that produce w"
        )
    term = Term(line, x, y, z)
    if term.fraction not in (ACTIVATION_FRACTION, PREACTIVATION_FRACTION):
        raise CellError(
            f"{line}: both factors can exceed 1 (Q5.10): one of them must come from a sigmoid, a tanh or a state "
            "that stays within [-1, 1]"
        )
    return term


def _factor(expression: Expression, value: Value) -> _Factor:
    flat = [(number, factors) for number, factors, _ in terms_of(expression, 1.0)]
    match flat:
        case [(1.0, ()), (-1.0, (other,))] | [(-1.0, (other,)), (1.0, ())]:
            node = value(other)
            if node.range[0] < 0.0 or node.range[1] > 1.0 or node.fraction != ACTIVATION_FRACTION:
                raise CellError(f"{expression.line}: 1 - v needs v within [0, 1], such as a sigmoid")
            return _Factor(1, y=Unit.ONE, z=node)
        case [(1.0, (Apply() | State() as a,)), (-1.0, (Apply() | State() as b,))]:
            first, second = value(a), value(b)
            if first.fraction == second.fraction:
                return _Factor(1, y=first, z=second)
            raise CellError(
                f"{expression.line}: a difference of a Q{_format(first)} and a Q{_format(second)} value as a "
                "factor; multiply it out"
            )
        case [(-1.0, (other,))] if not isinstance(other, Product):
            return _Factor(-1, value(other))
    return _Factor(1, value(expression))


def _format(node: Node) -> str:
    return f"{15 - node.fraction}.{node.fraction}"
