"""Random layers of any cell, for tests."""

from __future__ import annotations

import numpy as np

from rnn_mapper.cells import Cell
from rnn_mapper.network.layers import Layer
from rnn_mapper.network.network import Network

__all__ = ["random_layer", "random_network"]


def random_layer(cell: Cell, rng: np.random.Generator, inputs: int, units: int, projected: int = 0) -> Layer:
    """Weights that keep sums within a few units whatever the size; `projected` values of a projection (W_hr)."""
    fed_back = projected or units
    tensors = {}
    for name in cell.trace.matrices:
        if name == "W_hr":
            rows, columns = fed_back, units
        else:
            rows, columns = units, inputs if name.startswith("W") else fed_back
        tensors[name] = rng.normal(size=(rows, columns)) / np.sqrt(columns)
    tensors |= {name: rng.uniform(-0.4, 0.4, units) for name in cell.trace.vectors}
    return Layer(cell, tensors)


def random_network(cell: Cell, rng: np.random.Generator, inputs: int, units: int, projected: int = 0) -> Network:
    """A network of one such layer; a projection has half as many values unless `projected` says another number."""
    if "W_hr" in cell.trace.matrices and not projected:
        projected = (units + 1) // 2
    return Network((random_layer(cell, rng, inputs, units, projected),))
