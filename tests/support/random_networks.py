"""Random float networks for tests."""

import numpy as np

from rnn_mapper import cells
from rnn_mapper.network import random
from rnn_mapper.network.network import Network
from rnn_mapper.network.random import LayerShape

#: The cells that PyTorch has, except for the projection.
TORCH_CELLS = (cells.lstm, cells.gru, cells.rnn_tanh, cells.rnn_relu)
#: All built-in cells.
ALL_CELLS = tuple(cells.BUILT_IN.values())


def random_network(
    seed: int,
    cell: cells.Cell,
    inputs: int = 5,
    hidden: tuple[int, ...] = (7,),
    outputs: int | None = None,
    scale: float = 0.5,
) -> Network:
    """Stacked layers of one cell with the given output sizes, and a head of `outputs` unless None."""
    layers = [LayerShape(cell, size, size + 2) for size in hidden]
    return random.random_network(np.random.default_rng(seed), inputs, layers, outputs, scale)


def one_layer(rng: np.random.Generator, cell: cells.Cell, inputs: int, units: int) -> Network:
    """A network of one layer whose sums stay within a few units whatever its size; a projection halves its units."""
    outputs = (units + 1) // 2 if "W_hr" in cell.trace.matrices else units
    return random.random_network(rng, inputs, [LayerShape(cell, outputs, units)], scale=(2 / units) ** 0.5)
