"""The built-in cells, each as its equations.

Where PyTorch or ONNX defines a cell, the parameters are named after that definition's gates: `W_` applies to the
input, `U_` to the state, `b_` is a bias.
"""

from __future__ import annotations

from typing import Any

from rnn_mapper.cells.expressions import relu, sigmoid, tanh
from rnn_mapper.cells.tracing import Cell, cell

__all__ = [
    "BUILT_IN", "cifg", "dense", "dense_relu", "dense_sigmoid", "dense_tanh", "gru", "gru_reset_before", "lstm",
    "lstm_peephole", "lstm_projection", "mgu", "qrnn", "rnn_relu", "rnn_tanh", "sru",
]


@cell
def lstm(x: Any, h: Any, c: Any, p: Any) -> Any:
    """Long short-term memory (torch.nn.LSTM)."""
    i = sigmoid(p.W_i @ x + p.U_i @ h + p.b_i)
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.b_f)
    g = tanh(p.W_g @ x + p.U_g @ h + p.b_g)
    o = sigmoid(p.W_o @ x + p.U_o @ h + p.b_o)
    c = f * c + i * g
    h = o * tanh(c)
    return h, (h, c)


@cell
def lstm_peephole(x: Any, h: Any, c: Any, p: Any) -> Any:
    """LSTM whose gates see the state (ONNX LSTM with P; Gers and Schmidhuber, 2000)."""
    i = sigmoid(p.W_i @ x + p.U_i @ h + p.p_i * c + p.b_i)
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.p_f * c + p.b_f)
    g = tanh(p.W_g @ x + p.U_g @ h + p.b_g)
    c = f * c + i * g
    o = sigmoid(p.W_o @ x + p.U_o @ h + p.p_o * c + p.b_o)
    h = o * tanh(c)
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
def cifg(x: Any, h: Any, c: Any, p: Any) -> Any:
    """LSTM with coupled input and forget gates (ONNX LSTM with input_forget; Greff et al., 2015)."""
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.b_f)
    g = tanh(p.W_g @ x + p.U_g @ h + p.b_g)
    o = sigmoid(p.W_o @ x + p.U_o @ h + p.b_o)
    c = f * c + (1 - f) * g
    h = o * tanh(c)
    return h, (h, c)


@cell
def gru(x: Any, h: Any, p: Any) -> Any:
    """Gated recurrent unit with the reset after the product (torch.nn.GRU, cuDNN)."""
    r = sigmoid(p.W_r @ x + p.U_r @ h + p.b_r)
    z = sigmoid(p.W_z @ x + p.U_z @ h + p.b_z)
    n = tanh(p.W_n @ x + p.b_n + r * (p.U_n @ h + p.c_n))
    h = z * h + (1 - z) * n
    return h, h


@cell
def gru_reset_before(x: Any, h: Any, p: Any) -> Any:
    """Gated recurrent unit with the reset before the product (Cho et al., 2014; ONNX linear_before_reset = 0)."""
    r = sigmoid(p.W_r @ x + p.U_r @ h + p.b_r)
    z = sigmoid(p.W_z @ x + p.U_z @ h + p.b_z)
    n = tanh(p.W_n @ x + p.U_n @ (r * h) + p.b_n)
    h = z * h + (1 - z) * n
    return h, h


@cell
def rnn_tanh(x: Any, h: Any, p: Any) -> Any:
    """Elman network (torch.nn.RNN)."""
    h = tanh(p.W @ x + p.U @ h + p.b)
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


#: All of them by name.
BUILT_IN: dict[str, Cell] = {
    made.name: made for made in (
        lstm, lstm_peephole, lstm_projection, cifg, gru, gru_reset_before, rnn_tanh, rnn_relu, mgu, sru, qrnn, dense,
        dense_sigmoid, dense_tanh, dense_relu,
    )
}
