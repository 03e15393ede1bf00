"""Built-in cells with other functions, made when they are asked for by name, such as ``lstm_sigmoid_relu_tanh``.

The names list the functions in ONNX's order: f, g, h for the LSTM (gates, candidate, output), f and g for the GRU
(gates, candidate), f for the RNN.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from rnn_mapper.cells import library
from rnn_mapper.cells.expressions import relu, sigmoid, tanh
from rnn_mapper.cells.tracing import Cell

__all__ = ["FUNCTIONS", "variant", "variant_named"]

#: Functions of the element-wise part, by name.
FUNCTIONS: dict[str, Callable[[Any], Any]] = {"sigmoid": sigmoid, "tanh": tanh, "relu": relu}


def _lstm(f: Any, g: Any, last: Any) -> Callable[..., Any]:
    def function(x: Any, h: Any, c: Any, p: Any) -> Any:
        i = f(p.W_i @ x + p.U_i @ h + p.b_i)
        forget = f(p.W_f @ x + p.U_f @ h + p.b_f)
        candidate = g(p.W_g @ x + p.U_g @ h + p.b_g)
        o = f(p.W_o @ x + p.U_o @ h + p.b_o)
        c = forget * c + i * candidate
        h = o * last(c)
        return h, (h, c)

    return function


def _lstm_peephole(f: Any, g: Any, last: Any) -> Callable[..., Any]:
    def function(x: Any, h: Any, c: Any, p: Any) -> Any:
        i = f(p.W_i @ x + p.U_i @ h + p.p_i * c + p.b_i)
        forget = f(p.W_f @ x + p.U_f @ h + p.p_f * c + p.b_f)
        candidate = g(p.W_g @ x + p.U_g @ h + p.b_g)
        c = forget * c + i * candidate
        o = f(p.W_o @ x + p.U_o @ h + p.p_o * c + p.b_o)
        h = o * last(c)
        return h, (h, c)

    return function


def _cifg(f: Any, g: Any, last: Any) -> Callable[..., Any]:
    def function(x: Any, h: Any, c: Any, p: Any) -> Any:
        forget = f(p.W_f @ x + p.U_f @ h + p.b_f)
        candidate = g(p.W_g @ x + p.U_g @ h + p.b_g)
        o = f(p.W_o @ x + p.U_o @ h + p.b_o)
        c = forget * c + (1 - forget) * candidate
        h = o * last(c)
        return h, (h, c)

    return function


def _gru(f: Any, g: Any) -> Callable[..., Any]:
    def function(x: Any, h: Any, p: Any) -> Any:
        r = f(p.W_r @ x + p.U_r @ h + p.b_r)
        z = f(p.W_z @ x + p.U_z @ h + p.b_z)
        n = g(p.W_n @ x + p.b_n + r * (p.U_n @ h + p.c_n))
        h = z * h + (1 - z) * n
        return h, h

    return function


def _gru_reset_before(f: Any, g: Any) -> Callable[..., Any]:
    def function(x: Any, h: Any, p: Any) -> Any:
        r = f(p.W_r @ x + p.U_r @ h + p.b_r)
        z = f(p.W_z @ x + p.U_z @ h + p.b_z)
        n = g(p.W_n @ x + p.U_n @ (r * h) + p.b_n)
        h = z * h + (1 - z) * n
        return h, h

    return function


def _rnn(f: Any) -> Callable[..., Any]:
    def function(x: Any, h: Any, p: Any) -> Any:
        h = f(p.W @ x + p.U @ h + p.b)
        return h, h

    return function


_FACTORIES: dict[str, Callable[..., Callable[..., Any]]] = {
    "lstm": _lstm, "lstm_peephole": _lstm_peephole, "cifg": _cifg, "gru": _gru, "gru_reset_before": _gru_reset_before,
    "rnn": _rnn,
}
_DEFAULTS = {
    ("lstm", "sigmoid", "tanh", "tanh"): library.lstm,
    ("lstm_peephole", "sigmoid", "tanh", "tanh"): library.lstm_peephole,
    ("cifg", "sigmoid", "tanh", "tanh"): library.cifg, ("gru", "sigmoid", "tanh"): library.gru,
    ("gru_reset_before", "sigmoid", "tanh"): library.gru_reset_before, ("rnn", "tanh"): library.rnn_tanh,
    ("rnn", "relu"): library.rnn_relu,
}
_COUNTS = {"lstm": 3, "lstm_peephole": 3, "cifg": 3, "gru": 2, "gru_reset_before": 2, "rnn": 1}
_made: dict[str, Cell] = {}


def variant(kind: str, functions: tuple[str, ...]) -> Cell:
    """The cell of a kind (lstm, lstm_peephole, cifg, gru, gru_reset_before, rnn) with these functions.

    With the functions of a built-in cell it is that cell. The states of the others are named alike.
    """
    if (kind, *functions) in _DEFAULTS:
        return _DEFAULTS[(kind, *functions)]
    name = "_".join((kind, *functions))
    if name not in _made:
        function = _FACTORIES[kind](*(FUNCTIONS[one] for one in functions))
        # A cell is pickled by the name under which its module has it.
        function.__name__ = function.__qualname__ = name
        function.__doc__ = f"{kind} with the functions {', '.join(functions)}."
        _made[name] = Cell(name, function)
    return _made[name]


def variant_named(name: str) -> Cell | None:
    """The cell of such a name; None if there is none."""
    for kind, count in _COUNTS.items():
        for functions in itertools.product(FUNCTIONS, repeat=count):
            if name == "_".join((kind, *functions)):
                return variant(kind, functions)
    return None


def __getattr__(name: str) -> Cell:
    found = variant_named(name)
    if found is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found
