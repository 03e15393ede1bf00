"""PyTorch's packed tensors of recurrent layers, split into the parameters of a cell."""

from __future__ import annotations

import numpy as np

from rnn_mapper.cells.tracing import Cell
from rnn_mapper.errors import ModelError
from rnn_mapper.network.tensors import FloatArray, check_tensor, shape_text
from rnn_mapper.summary import counted

__all__ = ["TORCH_GATES", "unpack"]

#: Gates in the order of the rows of weight_ih and weight_hh (torch.nn.LSTM, GRU, RNN), as suffixes of the parameters.
TORCH_GATES: dict[str, tuple[str, ...]] = {
    "lstm": ("_i", "_f", "_g", "_o"),
    "lstm_projection": ("_i", "_f", "_g", "_o"),
    "gru": ("_r", "_z", "_n"),
    "rnn_tanh": ("",),
    "rnn_relu": ("",),
}
#: The gate whose hidden bias is inside the reset gate's product and cannot be added to the input's bias.
_SEPARATE = {"gru": "_n"}


def unpack(
    cell: Cell, weight_ih: object, weight_hh: object, bias_ih: object, bias_hh: object, weight_hr: object = None
) -> dict[str, FloatArray]:
    """Parameters of a cell from PyTorch's tensors; raises ModelError if the shapes disagree."""
    if cell.name not in TORCH_GATES:
        raise ModelError(f"cell {cell.name} has no packed tensors; PyTorch has {', '.join(TORCH_GATES)}")
    gates = TORCH_GATES[cell.name]
    w_hh = check_tensor("weight_hh", weight_hh, 2)
    w_ih = check_tensor("weight_ih", weight_ih, 2)
    w_hr = None if weight_hr is None else check_tensor("weight_hr", weight_hr, 2)
    if (cell.name == "lstm_projection") != (w_hr is not None):
        raise ModelError("weight_hr is required by a cell with a projection (lstm_projection), and allowed in no other")
    rows = len(w_hh)
    hidden = w_hh.shape[1] if w_hr is None else w_hr.shape[1]
    if rows != len(gates) * hidden:
        raise ModelError(
            f"weight_hh has shape {shape_text(w_hh)}, must have {len(gates)} rows per "
            f"{'column' if w_hr is None else 'column of weight_hr'} ({cell.name})"
        )
    if len(w_ih) != rows:
        raise ModelError(f"weight_ih has shape {shape_text(w_ih)}, must have {rows} rows like weight_hh")
    biases = []
    for name, value in (("bias_ih", bias_ih), ("bias_hh", bias_hh)):
        bias = check_tensor(name, np.zeros(rows) if value is None else value, 1)
        if bias.shape != (rows,):
            raise ModelError(f"{name} has {counted(bias.size, 'value')}, must have {rows}, one per weight row")
        biases.append(bias.reshape(len(gates), hidden))
    tensors: dict[str, FloatArray] = {}
    for index, gate in enumerate(gates):
        part = slice(index * hidden, (index + 1) * hidden)
        tensors[f"W{gate}"], tensors[f"U{gate}"] = w_ih[part], w_hh[part]
        if _SEPARATE.get(cell.name) == gate:
            tensors[f"b{gate}"], tensors[f"c{gate}"] = biases[0][index], biases[1][index]
        else:
            tensors[f"b{gate}"] = biases[0][index] + biases[1][index]
    if w_hr is not None:
        tensors["W_hr"] = w_hr
    return tensors
