"""Formulas of a step, and the cells that they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnn_mapper.cells.library import variant
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.errors import ModelError
from rnn_mapper.importers.onnx.tensors import AnyArray

__all__ = ["Formula", "Linear", "Symbol", "cell_of"]


@dataclass(frozen=True, eq=False)
class Formula:
    """A vector [values] that depends on the state: one of state, function, product, sum, complement (1 - v)."""

    operation: str
    size: int
    parts: tuple[Any, ...] = ()
    name: str = ""


@dataclass(frozen=True, eq=False)
class Linear:
    """A sum of products with matrices [values, operands] (None stands for the step's input) and a constant [values]."""

    terms: tuple[tuple[Formula | None, AnyArray], ...]
    constant: AnyArray

    @property
    def size(self) -> int:
        """Values."""
        return len(self.constant)

    def rows(self, chosen: AnyArray) -> Linear:
        """Some of its values."""
        return Linear(tuple((operand, matrix[chosen]) for operand, matrix in self.terms), self.constant[chosen])

    def of(self, operand: Formula | None) -> AnyArray | None:
        """The matrix of an operand."""
        found = [matrix for one, matrix in self.terms if one is operand]
        return np.asarray(sum(found)) if found else None


Symbol = Formula | Linear


def cell_of(after: Any, state: Formula) -> tuple[Cell, dict[str, AnyArray]]:
    """The cell whose next state is `after`, and its tensors."""
    if isinstance(after, Formula) and after.operation == "function":
        w, u, b = _both(after.parts[0], state)
        return variant("rnn", (after.name,)), {"W": w, "U": u, "b": b}
    if isinstance(after, Formula) and after.operation == "sum":
        for keep, new in (after.parts, after.parts[::-1]):
            gate = _other(keep, lambda part: part is state)
            candidate = _other(new, _complement_of(gate))
            if _is(gate, "function") and _is(candidate, "function"):
                return _gru_of(gate, candidate, state)
    raise ModelError("its formulas are not the equations of a GRU or of a simple RNN")


def _complement_of(gate: Any) -> Callable[[Any], bool]:
    return lambda part: _is(part, "complement") and part.parts[0] is gate


def _gru_of(gate: Formula, candidate: Formula, state: Formula) -> tuple[Cell, dict[str, AnyArray]]:
    tensors = dict(zip(("W_z", "U_z", "b_z"), _both(gate.parts[0], state), strict=True))
    inner = candidate.parts[0]
    if isinstance(inner, Linear):
        operands = [one for one, _ in inner.terms if one is not None]
        reset_state = operands[0] if len(operands) == 1 else None
        reset = _other(reset_state, lambda part: part is state)
        base = "gru_reset_before"
        tensors |= dict(zip(("W_n", "U_n", "b_n"), _both(inner, reset_state), strict=True))
    else:
        reset, base = None, "gru"
        for linear, product in (inner.parts, inner.parts[::-1]) if _is(inner, "sum") else ():
            if isinstance(linear, Linear) and _is(product, "product"):
                hidden = _other(product, lambda part: _is(part, "function"))
                reset = _other(product, lambda part: isinstance(part, Linear))
                if isinstance(hidden, Linear) and [one for one, _ in hidden.terms] == [state]:
                    w = _only(linear, None)
                    tensors |= {"W_n": w, "b_n": linear.constant, "U_n": _only(hidden, state), "c_n": hidden.constant}
    if not _is(reset, "function") or "W_n" not in tensors or reset.name != gate.name:
        raise ModelError("its formulas are not the equations of a GRU")
    tensors |= dict(zip(("W_r", "U_r", "b_r"), _both(reset.parts[0], state), strict=True))
    return variant(base, (gate.name, candidate.name)), tensors


def _is(part: Any, operation: str) -> bool:
    return isinstance(part, Formula) and part.operation == operation


def _other(product: Any, wanted: Callable[[Any], bool]) -> Any:
    """The factor beside the one that is wanted; None if this is not such a product."""
    if _is(product, "product"):
        for one, other in (product.parts, product.parts[::-1]):
            if wanted(one):
                return other
    return None


def _both(linear: Any, operand: Any) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Matrices of the input and of an operand, and the bias."""
    if not isinstance(linear, Linear) or any(one is not None and one is not operand for one, _ in linear.terms):
        raise ModelError("its formulas are not the equations of a GRU or of a simple RNN")
    w, u = linear.of(None), linear.of(operand)
    if w is None or u is None or operand is None:
        raise ModelError("its formulas are not the equations of a GRU or of a simple RNN")
    return w, u, linear.constant


def _only(linear: Linear, operand: Any) -> AnyArray:
    matrix = linear.of(operand)
    if matrix is None or any(one is not operand for one, _ in linear.terms):
        raise ModelError("its formulas are not the equations of a GRU")
    return matrix
