"""Symbolic vectors: the statements of a cell build them when it is traced.

A vector has one element for each unit; `+`, `-`, `*` and the functions work element by element, `matrix @ vector` is
a matrix-vector product. Every expression remembers the line of the cell that made it, so that errors can name it.
"""

from __future__ import annotations

import enum
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from rnn_mapper.cells.errors import CellError

__all__ = [
    "ACTIVATIONS", "Apply", "Expression", "Function", "Input", "Multiply", "Number", "Parameter", "Product",
    "SourceLine", "State", "Sum", "identity", "relu", "sigmoid", "tanh",
]


#: Methods that numpy calls for a number of its own on the left of an operator.
_REFLECTED = {"add": "__radd__", "subtract": "__rsub__", "multiply": "__rmul__"}
_FUNCTIONS = "sigmoid, tanh, relu and identity of rnn_mapper.cells"
#: Modules that build expressions for a cell; their caller is the cell.
_BUILDERS = {__file__, str(Path(__file__).with_name("tracing.py")), "<string>"}


class Function(enum.Enum):
    """An element-wise function."""

    IDENTITY = "identity"
    SIGMOID = "sigmoid"
    TANH = "tanh"
    RELU = "relu"


@dataclass(frozen=True)
class SourceLine:
    """Where an expression was written."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.line}"

    @classmethod
    def here(cls) -> SourceLine:
        """The line that is being executed, outside of the modules that build expressions."""
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_code.co_filename in _BUILDERS:
            frame = frame.f_back
        return cls(frame.f_code.co_filename, frame.f_lineno)


class Expression:
    """A vector in a cell. Never changes; two expressions are the same value only if they are the same object."""

    line: SourceLine
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        # As a number it would be silently unequal.
        if isinstance(other, (int, float)):
            self._refuse_condition()
        return self is other

    def __lt__(self, other: object) -> bool:
        return self._refuse_condition()

    __le__ = __gt__ = __ge__ = __lt__

    def __add__(self, other: object) -> Expression:
        return _sum(self, 1, other)

    def __radd__(self, other: object) -> Expression:
        return _sum(as_expression(other, "+"), 1, self)

    def __sub__(self, other: object) -> Expression:
        return _sum(self, -1, other)

    def __rsub__(self, other: object) -> Expression:
        return _sum(as_expression(other, "-"), -1, self)

    def __neg__(self) -> Expression:
        return Sum(SourceLine.here(), ((-1, self),))

    def __mul__(self, other: object) -> Expression:
        return Multiply(SourceLine.here(), self, as_expression(other, "*"))

    def __rmul__(self, other: object) -> Expression:
        return Multiply(SourceLine.here(), as_expression(other, "*"), self)

    def __matmul__(self, other: object) -> Expression:
        raise CellError(f"{SourceLine.here()}: only a parameter may be on the left of @, as in p.W @ x")

    def __rmatmul__(self, other: object) -> Expression:
        raise CellError(f"{SourceLine.here()}: only a parameter may be on the left of @, as in p.W @ x")

    def __bool__(self) -> bool:
        return self._refuse_condition()

    def _refuse_condition(self) -> NoReturn:
        raise CellError(
            f"{SourceLine.here()}: a vector cannot be a condition: a cell computes the same in every step and for "
            "every element; choose between values with a gate, z * a + (1 - z) * b"
        )

    def __iter__(self) -> NoReturn:
        raise CellError(f"{SourceLine.here()}: a vector cannot be taken apart; use a parameter for each part")

    def __getitem__(self, index: object) -> Expression:
        raise CellError(f"{SourceLine.here()}: a vector cannot be indexed; use a parameter for each part")

    def __truediv__(self, other: object) -> Expression:
        raise CellError(f"{SourceLine.here()}: division is not supported; multiply with a number or a parameter")

    __rtruediv__ = __truediv__

    def __pow__(self, other: object) -> Expression:
        raise CellError(f"{SourceLine.here()}: a power is not supported; multiply a vector with itself")

    def __float__(self) -> float:
        raise CellError(f"{SourceLine.here()}: a vector is not a number; functions of vectors are {_FUNCTIONS}")

    def __array_ufunc__(self, function: object, method: str, *arguments: object, **options: object) -> Expression:
        name = getattr(function, "__name__", str(function))
        if name in _REFLECTED and isinstance(arguments[0], float):
            # A number that numpy made.
            return getattr(self, _REFLECTED[name])(float(arguments[0]))
        raise CellError(
            f"{SourceLine.here()}: numpy's {name} does not work on the vectors of a cell; functions of vectors are "
            f"{_FUNCTIONS}"
        )


@dataclass(frozen=True, eq=False)
class Input(Expression):
    """The input of the step."""

    line: SourceLine
    name: str


@dataclass(frozen=True, eq=False)
class State(Expression):
    """A state as the previous step left it."""

    line: SourceLine
    name: str


@dataclass(frozen=True, eq=False)
class Number(Expression):
    """The same number for every element."""

    line: SourceLine
    value: float


@dataclass(frozen=True, eq=False)
class Parameter(Expression):
    """A trained tensor: a matrix on the left of `@`, else a vector."""

    line: SourceLine
    name: str

    def __matmul__(self, other: object) -> Expression:
        if not isinstance(other, Expression):
            raise CellError(f"{SourceLine.here()}: p.{self.name} @ {other!r}: the right side must be a vector")
        return Product(SourceLine.here(), self.name, other)


@dataclass(frozen=True, eq=False)
class Product(Expression):
    """A matrix-vector product."""

    line: SourceLine
    matrix: str
    operand: Expression


@dataclass(frozen=True, eq=False)
class Sum(Expression):
    """Terms with signs."""

    line: SourceLine
    terms: tuple[tuple[int, Expression], ...]


@dataclass(frozen=True, eq=False)
class Multiply(Expression):
    """The product of two vectors, element by element."""

    line: SourceLine
    left: Expression
    right: Expression


@dataclass(frozen=True, eq=False)
class Apply(Expression):
    """A function of every element."""

    line: SourceLine
    function: Function
    argument: Expression


def as_expression(value: object, operator: str) -> Expression:
    """`value` as an operand of `operator`; raises CellError if it is neither a vector nor a number."""
    if isinstance(value, Expression):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise CellError(f"{SourceLine.here()}: {operator} of a vector and {value}; numbers must be finite")
        return Number(SourceLine.here(), float(value))
    name = type(value).__name__
    raise CellError(f"{SourceLine.here()}: {operator} of a vector and a {name}; both must be vectors or numbers")


def sigmoid(vector: Expression) -> Expression:
    """The logistic function."""
    return _apply(Function.SIGMOID, vector)


def tanh(vector: Expression) -> Expression:
    """The hyperbolic tangent."""
    return _apply(Function.TANH, vector)


def relu(vector: Expression) -> Expression:
    """max(0, v)."""
    return _apply(Function.RELU, vector)


def identity(vector: Expression) -> Expression:
    """The vector itself."""
    return _apply(Function.IDENTITY, vector)


#: Functions that a cell's gates and candidates may have, by name.
ACTIVATIONS: dict[str, Callable[[Expression], Expression]] = {"sigmoid": sigmoid, "tanh": tanh, "relu": relu}


def _apply(function: Function, vector: object) -> Expression:
    if not isinstance(vector, Expression):
        raise CellError(f"{SourceLine.here()}: {function.value} of {vector!r}: the argument must be a vector")
    return Apply(SourceLine.here(), function, vector)


def _sum(left: Expression, sign: int, right: object) -> Expression:
    return Sum(SourceLine.here(), ((1, left), (sign, as_expression(right, "+" if sign > 0 else "-"))))
