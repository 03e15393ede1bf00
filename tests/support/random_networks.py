"""Random float networks for tests."""

import numpy as np

from rnn_mapper import cells
from rnn_mapper.network.layers import Dense, Layer, RecurrentLayer, gate_count
from rnn_mapper.network.network import Network
from rnn_mapper.network.packed import TORCH_GATES
from sim_tests.bench.models import random_layer as any_layer

#: The cells that PyTorch has without a projection.
TORCH_CELLS = (cells.lstm, cells.gru, cells.rnn_tanh, cells.rnn_relu)
#: All built-in cells.
ALL_CELLS = tuple(cells.BUILT_IN.values())


def random_layer(rng: np.random.Generator, cell: cells.Cell, inputs: int, hidden: int, scale: float) -> Layer:
    if cell.name not in TORCH_GATES or cell is cells.lstm_projection:
        return any_layer(rng, cell, inputs, hidden, scale)
    rows = gate_count(cell) * hidden
    shapes = (rows, inputs), (rows, hidden), (rows,), (rows,)
    return RecurrentLayer(cell, *(scale * rng.uniform(-1, 1, shape) for shape in shapes))


def random_network(
    seed: int,
    cell: cells.Cell,
    inputs: int = 5,
    hidden: tuple[int, ...] = (7,),
    outputs: int | None = None,
    scale: float = 0.5,
) -> Network:
    """Stacked layers of the given hidden sizes, and a head of `outputs` unless None."""
    rng = np.random.default_rng(seed)
    sizes = (inputs, *hidden)
    layers = tuple(random_layer(rng, cell, sizes[i], size, scale) for i, size in enumerate(hidden))
    head = None if outputs is None else Dense(rng.normal(size=(outputs, hidden[-1])), rng.normal(size=outputs))
    return Network(layers, head)
