"""LSTM, GRU and RNN nodes of ONNX as layers; unsupported attributes are rejected by name, never ignored.

A node holds one layer, or both directions of one. The operators' documentation defines what it computes; where
that leaves a choice (`input_forget`), onnxruntime's choice is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnn_mapper.cells.expressions import ACTIVATIONS
from rnn_mapper.cells.library import variant
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.errors import ModelError
from rnn_mapper.importers.messages import quoted
from rnn_mapper.importers.onnx.glue import Value
from rnn_mapper.importers.onnx.graph import Node
from rnn_mapper.importers.onnx.sources import Taken
from rnn_mapper.importers.onnx.tensors import AnyArray
from rnn_mapper.network.layers import Layer
from rnn_mapper.summary import counted

__all__ = ["RECURRENT", "Recurrent", "read_recurrent", "start_state"]

#: Gates in the order of the rows, as suffixes of the cells' parameters.
_GATES = {"LSTM": ("_i", "_o", "_f", "_g"), "GRU": ("_z", "_r", "_n"), "RNN": ("",)}
_FUNCTIONS = {"LSTM": ("sigmoid", "tanh", "tanh"), "GRU": ("sigmoid", "tanh"), "RNN": ("tanh",)}
_INPUTS = {
    "LSTM": ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"),
    "GRU": ("X", "W", "R", "B", "sequence_lens", "initial_h"),
    "RNN": ("X", "W", "R", "B", "sequence_lens", "initial_h"),
}
_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
#: Functions that ONNX knows and the grid does not.
_OTHERS = (
    "affine", "leakyrelu", "thresholdedrelu", "scaledtanh", "hardsigmoid", "elu", "softsign", "softplus",
)

#: Operators that `read_recurrent` reads.
RECURRENT = frozenset(_GATES)


@dataclass(frozen=True, eq=False)
class Recurrent:
    """A recurrent node: its directions, and the tensors of each."""

    node: Node
    #: For each direction, whether it runs from the last step to the first.
    directions: tuple[bool, ...]
    hidden: int
    #: Values of X in a step.
    features: int
    #: The batch comes before the steps.
    batch_first: bool
    cells: tuple[Cell, ...]
    weights: tuple[AnyArray, AnyArray, AnyArray, AnyArray | None]
    coupled: bool
    notes: list[str] = field(default_factory=list)

    def build(self, direction: int, taken: Taken) -> Layer:
        """The layer of one direction."""
        cell, gates = self.cells[direction], _GATES[self.node.op]
        w, r, b = (tensor[direction] for tensor in self.weights[:3])
        hidden = self.hidden
        tensors: dict[str, Any] = {}
        for index, gate in enumerate(gates):
            rows = slice(index * hidden, (index + 1) * hidden)
            b_w, b_r = b[rows], b[len(gates) * hidden:][rows]
            tensors[f"W{gate}"], tensors[f"U{gate}"] = taken.spread(w[rows]), r[rows]
            if gate == "_n" and "c_n" in cell.trace.vectors:
                tensors["b_n"], tensors["c_n"] = b_w, b_r
            else:
                tensors[f"b{gate}"] = b_w + b_r
        if self.coupled:
            # f = 1 - i: sigmoid(-v) is 1 - sigmoid(v), and the cell makes i of f.
            for letter in "WUb":
                tensors[f"{letter}_f"] = -tensors.pop(f"{letter}_i")
        if self.weights[3] is not None:
            factors = self.weights[3][direction].reshape(3, hidden)
            for gate, factor in zip(gates, factors, strict=False):
                tensors[f"p{gate}"] = factor
        return Layer(cell, tensors)


def start_state(direction: int, initial: list[AnyArray | None]) -> dict[str, AnyArray] | None:
    """The start state of the layer, from initial_h and initial_c [directions, batch, hidden]; None if it is zero.

    Raises ModelError if the streams of the batch begin with different states.
    """
    found: dict[str, AnyArray] = {}
    for name, tensor in zip(("h", "c"), initial, strict=False):
        if tensor is None:
            continue
        rows = tensor[direction]
        if (rows != rows[:1]).any():
            raise ModelError(f"initial_{name} differs between the streams of the batch, must be one state for all")
        if not np.isfinite(rows).all():
            raise ModelError(f"initial_{name} holds values that are not finite")
        if rows.any():
            found[name] = np.array(rows[0], dtype=np.float64)
    return found or None


def read_recurrent(node: Node, inputs: list[Value | None], opset: int) -> Recurrent:
    """A recurrent node, from its attributes and its constant inputs; X, lengths and states are not looked at."""
    names = _INPUTS[node.op]
    most = len(names) // 4 + 1 + (node.op != "LSTM")
    if len(node.inputs) > len(names) or len(node.outputs) > most:
        raise ModelError(
            f"has {counted(len(node.inputs), 'input')} and {counted(len(node.outputs), 'output')}, must have "
            f"{len(names)} and {most} at most"
        )
    attributes = node.attributes
    notes: list[str] = []
    direction = attributes.take("direction", str, "forward")
    if direction not in _DIRECTIONS:
        raise ModelError(f"direction {quoted(direction)} is unknown: must be {', '.join(_DIRECTIONS)}")
    layout = attributes.take("layout", int, 0)
    if layout not in (0, 1) or (layout and opset < 14):
        raise ModelError(f"layout = {layout} is unknown in opset {opset}")
    if "clip" in attributes:
        clip = attributes.take("clip", float, 0.0)
        raise ModelError(f"clip = {clip:g} is not supported: the grid limits sums to -32 to 32 only; train without it")
    coupled = _flag(node, "input_forget") if node.op == "LSTM" else False
    after = _flag(node, "linear_before_reset") if node.op == "GRU" else False
    w, r, b, p = (_weights(name, inputs, index) for index, name in ((1, "W"), (2, "R"), (3, "B"), (7, "P")))
    if w is None or r is None:
        raise ModelError("input W or R is missing")
    halves, gates = len(_DIRECTIONS[direction]), len(_GATES[node.op])
    if r.ndim != 3 or w.ndim != 3:
        raise ModelError(f"W and R have shapes {list(w.shape)} and {list(r.shape)}, must have 3 dimensions")
    hidden = attributes.take("hidden_size", int, r.shape[2])
    features = w.shape[2]
    if b is None:
        b = np.zeros((halves, 2 * gates * hidden)) if 0 < hidden <= r.shape[1] else np.zeros(0)
    for name, tensor, shape in (
        ("W", w, (halves, gates * hidden, features)), ("R", r, (halves, gates * hidden, hidden)),
        ("B", b, (halves, 2 * gates * hidden)), ("P", p, (halves, 3 * hidden)),
    ):
        if tensor is not None and (tensor.shape != shape or tensor.size == 0):
            raise ModelError(
                f"{name} has shape {list(tensor.shape)}, must have {list(shape)} (hidden_size {hidden}, direction "
                f"{direction})"
            )
        if tensor is not None and not np.isfinite(tensor).all():
            index = [int(i) for i in np.argwhere(~np.isfinite(tensor))[0]]
            raise ModelError(f"{name}{index} is {tensor[tuple(index)]}, must be finite")
    functions = _functions(node, halves, notes)
    base = {"LSTM": "lstm", "GRU": "gru" if after else "gru_reset_before", "RNN": "rnn"}[node.op]
    if coupled:
        if p is not None:
            raise ModelError("input_forget = 1 together with peepholes (P) is not supported")
        if any(one[0] != "sigmoid" for one in functions):
            raise ModelError("input_forget = 1 with gates other than Sigmoid is not supported")
        base = "cifg"
        notes.append("input_forget: f = 1 - i")
    elif p is not None:
        base = "lstm_peephole"
    if attributes.left():
        raise ModelError(f"attribute {', '.join(map(quoted, attributes.left()))} is not supported")
    cells = tuple(variant(base, one) for one in functions)
    return Recurrent(
        node, _DIRECTIONS[direction], hidden, features, bool(layout), cells, (w, r, b, p), coupled, notes
    )


def _flag(node: Node, name: str) -> bool:
    value = node.attributes.take(name, int, 0)
    if value not in (0, 1):
        raise ModelError(f"{name} = {value}, must be 0 or 1")
    return bool(value)


def _weights(name: str, inputs: list[Value | None], index: int) -> AnyArray | None:
    value = inputs[index] if index < len(inputs) else None
    if value is None:
        return None
    if value.traced:
        raise ModelError(f"{name} is computed while the model runs, must be stored in the file (dynamic weights)")
    if value.array.dtype != np.float64:
        raise ModelError(f"{name} holds whole numbers, must be floating point: quantised models are not supported")
    return value.array


def _functions(node: Node, halves: int, notes: list[str]) -> list[tuple[str, ...]]:
    """Names of the functions of each direction."""
    defaults = _FUNCTIONS[node.op]
    given = node.attributes.take("activations", list, None)
    names = [str(one).lower() for one in given] if given is not None else list(defaults) * halves
    if len(names) != len(defaults) * halves:
        raise ModelError(f"activations names {len(names)} functions, must name {len(defaults) * halves}")
    for name in names:
        if name in _OTHERS:
            raise ModelError(f"activation {name} is not supported: the grid has {', '.join(ACTIVATIONS)}")
        if name not in ACTIVATIONS:
            raise ModelError(f"activation {quoted(name)} is unknown: must be {', '.join(ACTIVATIONS)}")
    for extra in ("activation_alpha", "activation_beta"):
        if node.attributes.take(extra, list, None):
            notes.append(f"{extra} does not matter for {', '.join(dict.fromkeys(names))}")
    return [tuple(names[i * len(defaults):(i + 1) * len(defaults)]) for i in range(halves)]

