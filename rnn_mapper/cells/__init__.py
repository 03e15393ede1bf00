"""Recurrent cells: equations as Python functions in, unit programs out; and the built-in cells.

    from rnn_mapper.cells import cell, sigmoid, tanh

    @cell
    def minimal_gated_unit(x, h, p):
        f = sigmoid(p.W_f @ x + p.U_f @ h + p.b_f)
        n = tanh(p.W_n @ x + p.U_n @ (f * h) + p.b_n)
        h = (1 - f) * h + f * n
        return h, h

A cell compiles in steps, each in a module of its own: `tracing` (equations), `lowering` (16-bit arithmetic), `stages`
(one for each vector that is multiplied) and `unit_program` (instructions of the epilogue).
"""

from rnn_mapper.cells.errors import CellError
from rnn_mapper.cells.expressions import identity, relu, sigmoid, tanh
from rnn_mapper.cells.library import (
    BUILT_IN,
    cifg,
    dense,
    dense_relu,
    dense_sigmoid,
    dense_tanh,
    gru,
    gru_reset_before,
    lstm,
    lstm_peephole,
    lstm_projection,
    mgu,
    qrnn,
    rnn_relu,
    rnn_tanh,
    sru,
)
from rnn_mapper.cells.tracing import Cell, cell

__all__ = [
    "BUILT_IN", "Cell", "CellError", "cell", "cifg", "dense", "dense_relu", "dense_sigmoid", "dense_tanh", "gru",
    "gru_reset_before", "identity", "lstm", "lstm_peephole", "lstm_projection", "mgu", "qrnn", "relu", "rnn_relu",
    "rnn_tanh", "sigmoid", "sru", "tanh",
]
