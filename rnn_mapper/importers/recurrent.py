"""Recurrent layers from tensors with PyTorch's names: the one way from names to layers, for every format."""

from __future__ import annotations

import re
from collections import abc
from collections.abc import Callable
from functools import partial
from typing import Any

from rnn_mapper.cells.library import gru, lstm, lstm_projection, rnn_relu, rnn_tanh
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.errors import ModelError
from rnn_mapper.importers.messages import with_source
from rnn_mapper.importers.tensor import FileTensor, shape_of
from rnn_mapper.network.layers import Bidirectional, Block, Dense, Layer, RecurrentLayer, Reversed

__all__ = ["LAYER_TENSOR", "TENSORS", "dense_layer", "recurrent_layers", "single_cell"]

#: Tensors of nn.LSTM, nn.GRU and nn.RNN, and of nn.LSTMCell, nn.GRUCell and nn.RNNCell without a layer's number.
LAYER_TENSOR = re.compile(r"(weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)_l(0|[1-9][0-9]{0,3})(_reverse)?")
TENSORS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
_CELL_OF_ROWS = {4: lstm, 3: gru}

def recurrent_layers(
    tensors: abc.Mapping[str, FileTensor], cell: Cell | None, prefix: str = "",
    merges: abc.Mapping[int, str] | None = None,
    others: abc.Mapping[tuple[int, str], Callable[[], Layer]] | None = None,
) -> list[Block]:
    """The stacked layers of a module from `weight_ih_l0`, ..., `weight_hr_l1_reverse`; `prefix` is for messages.

    Without `cell` it follows from the rows of weight_hh per column. `merges` are the merge modes of bidirectional
    layers that are not concat. `others` make layers, by index and half ("" or "_reverse"), that do not come from these
    tensors; of one without a forward half the layer is reversed.
    Raises ModelError for a tensor that is missing, is unknown to nn.LSTM, nn.GRU and nn.RNN, or has another shape.
    """
    others = others or {}
    found = set(others)
    for name in tensors:
        match = LAYER_TENSOR.fullmatch(name)
        if match is None:
            raise ModelError(_unknown(prefix, name, "nn.LSTM, nn.GRU or nn.RNN"))
        found.add((int(match[2]), match[3] or ""))

    def half(index: int, suffix: str) -> Layer:
        if (index, suffix) in others:
            return others[index, suffix]()
        return _half(tensors, f"_l{index}{suffix}", f"{index}{suffix}", cell, prefix)

    layers: list[Block] = []
    for index in range(max(index for index, _ in found) + 1):
        if (index, "_reverse") not in found:
            layers.append(half(index, ""))
        elif (index, "") not in found and (index, "_reverse") in others:
            layers.append(Reversed(half(index, "_reverse")))
        else:
            pair = partial(Bidirectional, half(index, ""), half(index, "_reverse"), (merges or {}).get(index, "concat"))
            layers.append(with_source(f"{_place(prefix)}layer {index}", pair))
    return layers


def single_cell(tensors: abc.Mapping[str, FileTensor], cell: Cell | None, prefix: str = "") -> Layer:
    """The layer of an nn.LSTMCell, GRUCell or RNNCell, from `weight_ih`, `weight_hh` and the biases."""
    for name in tensors:
        if name not in TENSORS[:4]:
            raise ModelError(_unknown(prefix, name, "nn.LSTMCell, nn.GRUCell or nn.RNNCell"))
    return _half(tensors, "", "", cell, prefix)


def dense_layer(weight: FileTensor, bias: FileTensor | None, function: str, source: str) -> Dense:
    """An nn.Linear and the function after it; `source` is for messages."""
    return with_source(source, lambda: Dense(
        weight.numbers("weight"), None if bias is None else bias.numbers("bias"), function
    ))


def _place(prefix: str) -> str:
    return f"{prefix} " if prefix else ""


def _unknown(prefix: str, name: str, classes: str) -> str:
    full = f"{prefix}.{name}" if prefix else name
    if name.startswith("parametrizations.") or re.search(r"_(g|v|orig|mask)$", name):
        return (
            f"tensor {full} belongs to a parametrised weight (weight_norm, pruning): put the effective weights in "
            "place first, with torch.nn.utils.parametrize.remove_parametrizations, remove_weight_norm or prune.remove"
        )
    return f"tensor {full} is unknown, {classes} has none of that name: a custom class may compute something else"


def _half(
    tensors: abc.Mapping[str, FileTensor], suffix: str, index: str, cell: Cell | None, prefix: str
) -> RecurrentLayer:
    """One layer, or one half of a bidirectional one."""
    full = f"{prefix}." if prefix else ""
    for name in ("weight_ih", "weight_hh"):
        if f"{name}{suffix}" not in tensors:
            raise ModelError(f"tensor {full}{name}{suffix} is missing, every layer must have it")
    chosen = _cell_of(tensors, suffix, cell, full)
    if chosen is lstm and f"weight_hr{suffix}" in tensors:
        chosen = lstm_projection
    source = f"{_place(prefix)}layer {index}" if index else prefix or "cell"

    def build() -> RecurrentLayer:
        parts: list[Any] = []
        for name in TENSORS:
            tensor = tensors.get(f"{name}{suffix}")
            parts.append(None if tensor is None else tensor.numbers(name))
        return RecurrentLayer(chosen, *parts)

    return with_source(source, build)


def _cell_of(tensors: abc.Mapping[str, FileTensor], suffix: str, cell: Cell | None, full: str) -> Cell:
    if cell is not None:
        return cell
    if f"weight_hr{suffix}" in tensors:
        return lstm_projection
    weight_hh = tensors[f"weight_hh{suffix}"]
    rows, columns = weight_hh.shape if len(weight_hh.shape) == 2 else (0, 0)
    if columns and rows == columns:
        raise ModelError(
            f"{full}weight_hh{suffix} has shape {shape_of(weight_hh)}, one row per column: an nn.RNN with tanh or with "
            f"relu, which its weights do not show; name it with --cell {rnn_tanh.name} or --cell {rnn_relu.name}"
        )
    if not columns or rows % columns or rows // columns not in _CELL_OF_ROWS:
        raise ModelError(
            f"{full}weight_hh{suffix} has shape {shape_of(weight_hh)}, "
            "must have 4 (lstm), 3 (gru) or 1 (rnn) rows per column"
        )
    return _CELL_OF_ROWS[rows // columns]
