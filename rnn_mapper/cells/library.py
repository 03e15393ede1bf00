"""The built-in cells, each as its equations.

Where PyTorch or ONNX defines a cell, the parameters are named after that definition's gates: `W_` applies to the
input, `U_` to the state, `b_` is a bias. Cells that ONNX and Keras know with other activations take these as keyword
arguments; such a *variant* is made when it is asked for, and its name lists the activations in ONNX's order:
``lstm_sigmoid_relu_tanh`` has a relu in place of the tanh of its candidate.
"""

from __future__ import annotations

import itertools
from typing import Any

from rnn_mapper.cells.expressions import ACTIVATIONS, relu, sigmoid, tanh
from rnn_mapper.cells.tracing import Cell, cell

__all__ = [
    "BUILT_IN", "cifg", "dense", "dense_relu", "dense_sigmoid", "dense_tanh", "gru", "gru_reset_before", "lstm",
    "lstm_peephole", "lstm_projection", "mgu", "qrnn", "rnn_relu", "rnn_tanh", "sru", "variant",
    "variant_named",
]


@cell
def lstm(
    x: Any, h: Any, c: Any, p: Any, *, gate: Any = sigmoid, candidate: Any = tanh, output: Any = tanh
) -> Any:
    """Long short-term memory (torch.nn.LSTM)."""
    i = gate(p.W_i @ x + p.U_i @ h + p.b_i)
    f = gate(p.W_f @ x + p.U_f @ h + p.b_f)
    g = candidate(p.W_g @ x + p.U_g @ h + p.b_g)
    o = gate(p.W_o @ x + p.U_o @ h + p.b_o)
    c = f * c + i * g
    h = o * output(c)
    return h, (h, c)


@cell
def lstm_peephole(
    x: Any, h: Any, c: Any, p: Any, *, gate: Any = sigmoid, candidate: Any = tanh, output: Any = tanh
) -> Any:
    """LSTM whose gates see the state (ONNX LSTM with P; Gers and Schmidhuber, 2000)."""
    i = gate(p.W_i @ x + p.U_i @ h + p.p_i * c + p.b_i)
    f = gate(p.W_f @ x + p.U_f @ h + p.p_f * c + p.b_f)
    g = candidate(p.W_g @ x + p.U_g @ h + p.b_g)
    c = f * c + i * g
    o = gate(p.W_o @ x + p.U_o @ h + p.p_o * c + p.b_o)
    h = o * output(c)
    return h, (h, c)


@cell
def lstm_projection(x: Any, h: Any, c: Any, p: Any) -> Any:
    """LSTM with a projected output (torch.nn.LSTM with proj_size; Sak, Senior and Beaufays, 2014)."""
    i = sigmoid(p.W_i @ x + p.U_i @ h + p.b_i)
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.b_f)
    g = tanh(p.W_g @ x + p.U_g @ h + p.b_g)
    o = sigmoid(p.W_o @ x + p.U_o @ h + p.b_o)
    c = f * c + i * g
    h = p.W_hr @ (o * tanh(c))
    return h, (h, c)


@cell
def cifg(
    x: Any, h: Any, c: Any, p: Any, *, gate: Any = sigmoid, candidate: Any = tanh, output: Any = tanh
) -> Any:
    """LSTM with coupled input and forget gates (ONNX LSTM with input_forget; Greff et al., 2015)."""
    f = gate(p.W_f @ x + p.U_f @ h + p.b_f)
    g = candidate(p.W_g @ x + p.U_g @ h + p.b_g)
    o = gate(p.W_o @ x + p.U_o @ h + p.b_o)
    c = f * c + (1 - f) * g
    h = o * output(c)
    return h, (h, c)


@cell
def gru(x: Any, h: Any, p: Any, *, gate: Any = sigmoid, candidate: Any = tanh) -> Any:
    """Gated recurrent unit with the reset after the product (torch.nn.GRU, cuDNN)."""
    r = gate(p.W_r @ x + p.U_r @ h + p.b_r)
    z = gate(p.W_z @ x + p.U_z @ h + p.b_z)
    n = candidate(p.W_n @ x + p.b_n + r * (p.U_n @ h + p.c_n))
    h = z * h + (1 - z) * n
    return h, h


@cell
def gru_reset_before(x: Any, h: Any, p: Any, *, gate: Any = sigmoid, candidate: Any = tanh) -> Any:
    """Gated recurrent unit with the reset before the product (Cho et al., 2014; ONNX linear_before_reset = 0)."""
    r = gate(p.W_r @ x + p.U_r @ h + p.b_r)
    z = gate(p.W_z @ x + p.U_z @ h + p.b_z)
    n = candidate(p.W_n @ x + p.U_n @ (r * h) + p.b_n)
    h = z * h + (1 - z) * n
    return h, h


@cell
def rnn_tanh(x: Any, h: Any, p: Any, *, activation: Any = tanh) -> Any:
    """Elman network (torch.nn.RNN)."""
    h = activation(p.W @ x + p.U @ h + p.b)
    return h, h


@cell
def rnn_relu(x: Any, h: Any, p: Any) -> Any:
    """Elman network (torch.nn.RNN with nonlinearity relu)."""
    h = relu(p.W @ x + p.U @ h + p.b)
    return h, h


@cell
def mgu(x: Any, h: Any, p: Any) -> Any:
    """Minimal gated unit (Zhou et al., 2016)."""
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.b_f)
    n = tanh(p.W_n @ x + p.U_n @ (f * h) + p.b_n)
    h = (1 - f) * h + f * n
    return h, h


@cell
def sru(x: Any, c: Any, p: Any) -> Any:
    """Simple recurrent unit without peepholes (Lei et al., 2017); products of the input only."""
    f = sigmoid(p.W_f @ x + p.b_f)
    r = sigmoid(p.W_r @ x + p.b_r)
    c = f * c + (1 - f) * (p.W @ x)
    h = r * tanh(c) + (1 - r) * (p.W_skip @ x)
    return h, c


@cell
def qrnn(x: Any, c: Any, p: Any) -> Any:
    """Quasi-recurrent network, window 1, fo-pooling (Bradbury et al., 2016); products of the input only."""
    z = tanh(p.W_z @ x + p.b_z)
    f = sigmoid(p.W_f @ x + p.b_f)
    o = sigmoid(p.W_o @ x + p.b_o)
    c = f * c + (1 - f) * z
    return o * c, c


@cell
def dense(x: Any, p: Any) -> Any:
    """Dense layer (torch.nn.Linear)."""
    return p.W @ x + p.b


@cell
def dense_sigmoid(x: Any, p: Any) -> Any:
    """Dense layer with a sigmoid."""
    return sigmoid(p.W @ x + p.b)


@cell
def dense_tanh(x: Any, p: Any) -> Any:
    """Dense layer with a tanh."""
    return tanh(p.W @ x + p.b)


@cell
def dense_relu(x: Any, p: Any) -> Any:
    """Dense layer with a relu."""
    return relu(p.W @ x + p.b)


#: All built-in cells by name.
BUILT_IN: dict[str, Cell] = {
    made.name: made for made in (
        lstm, lstm_peephole, lstm_projection, cifg, gru, gru_reset_before, rnn_tanh, rnn_relu, mgu, sru, qrnn, dense,
        dense_sigmoid, dense_tanh, dense_relu,
    )
}

#: Cells that have variants, by the beginning of the variants' names.
_BASES: dict[str, Cell] = {
    "lstm": lstm, "lstm_peephole": lstm_peephole, "cifg": cifg, "gru": gru, "gru_reset_before": gru_reset_before,
    "rnn": rnn_tanh,
}


def variant(base: str, activations: tuple[str, ...]) -> Cell:
    """The cell `base` (lstm, lstm_peephole, cifg, gru, gru_reset_before or rnn) with these activations by name.

    A built-in cell where there is one. The order is that of ONNX: gates, candidate, output.
    """
    name = "_".join((base, *activations))
    return BUILT_IN[name] if name in BUILT_IN else _BASES[base].variant(name, activations)


def variant_named(name: str) -> Cell | None:
    """The variant of that name; None if there is none."""
    for base, made in _BASES.items():
        for activations in itertools.product(ACTIVATIONS, repeat=len(made.activations)):
            if name == "_".join((base, *activations)):
                return variant(base, activations)
    return None
