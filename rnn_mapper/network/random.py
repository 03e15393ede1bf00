"""Networks of given shapes with random weights: for measurements, searches and tests without a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rnn_mapper.cells.binding import tensor_shapes
from rnn_mapper.cells.lowering import arithmetic_of
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.network.layers import Dense, Layer, RecurrentLayer, gate_count
from rnn_mapper.network.network import Network
from rnn_mapper.network.packed import TORCH_GATES

__all__ = ["LayerShape", "random_layer", "random_network"]


class LayerShape(NamedTuple):
    """A layer without its tensors; the layer below (or the input) decides the size of its input."""

    cell: Cell
    #: Values of the output.
    outputs: int
    #: Values inside a layer with a projection; None: as many as outputs. No other layer looks at it.
    inner: int | None = None


def random_network(
    rng: np.random.Generator, inputs: int, layers: Sequence[LayerShape], head: int | None = None,
    scale: float | None = None,
) -> Network:
    """Stacked layers, and a dense head of `head` outputs; `scale` as in `random_layer`."""
    built = []
    size = inputs
    for shape in layers:
        built.append(random_layer(rng, size, shape, scale))
        size = shape.outputs
    if head is None:
        return Network(tuple(built))
    bound = size**-0.5 if scale is None else scale
    return Network(tuple(built), Dense(bound * rng.uniform(-1, 1, (head, size)), bound * rng.uniform(-1, 1, head)))


def random_layer(rng: np.random.Generator, inputs: int, shape: LayerShape, scale: float | None = None) -> Layer:
    """A layer of any cell with tensors that are uniform within `scale`.

    Without a scale they are as PyTorch initialises them: within 1 / sqrt(units), or 1 / sqrt(inputs) for a cell without
    state. Vectors that are factors stay within 1. Cells of PyTorch have two biases to a gate, as packed there.
    """
    cell, outputs, inner = shape
    projected = "W_hr" in cell.trace.matrices
    units = inner if projected and inner is not None else outputs
    bound = (units if cell.state_names else inputs) ** -0.5 if scale is None else scale
    if cell.name in TORCH_GATES:
        rows = gate_count(cell) * units
        packed = [(rows, inputs), (rows, outputs), (rows,), (rows,)] + [(outputs, units)] * projected
        return RecurrentLayer(cell, *(bound * rng.uniform(-1, 1, size) for size in packed))
    limits = dict.fromkeys(arithmetic_of(cell).fixed, min(bound, 1.0))
    shapes = tensor_shapes(cell, inputs, outputs, inner)
    return Layer(cell, {name: limits.get(name, bound) * rng.uniform(-1, 1, size) for name, size in shapes.items()})
