"""Networks of given shapes, without trained weights: cycles and memory sizes depend on the shapes alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from hdl.numerics import Arithmetic
from hdl.parameters import GridParameters
from rnn_mapper.cells.arithmetic import CellArithmetic, Operand, arithmetic_of
from rnn_mapper.cells.binding import tensor_shapes
from rnn_mapper.cells.library import dense
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.network.ranges import ValueRange
from rnn_mapper.quantisation.integer_network import QuantisedLayer, QuantisedNetwork, QuantisedProduct
from rnn_mapper.quantisation.quantise import vector_formats

__all__ = ["weightless_network"]


def weightless_network(
    cell: Cell, sizes: Sequence[int], outputs: int | None, parameters: GridParameters, inner_size: int | None = None
) -> QuantisedNetwork:
    """Layers of one cell for a grid: `sizes` are the input size and the output size of each layer.

    `outputs` is the number of outputs of a head, None for no head. `inner_size` is the size of vectors whose size does
    not follow from the output, as in a layer with a projection.
    """
    layers = tuple(
        _layer(cell, inputs, hidden, inner_size, index < len(sizes) - 2 or outputs is not None, parameters.arithmetic)
        for index, (inputs, hidden) in enumerate(pairwise(sizes))
    )
    head = None if outputs is None else _layer(dense, sizes[-1], outputs, None, False, parameters.arithmetic)
    return QuantisedNetwork(layers, head, parameters.arithmetic)


def _layer(
    cell: Cell, inputs: int, outputs: int, inner_size: int | None, feeds: bool, target: Arithmetic
) -> QuantisedLayer:
    arithmetic = arithmetic_of(cell)
    shapes = tensor_shapes(cell, inputs, outputs, inner_size)
    products = {operand.name: _product(arithmetic, operand, shapes) for operand in arithmetic.operands}
    sizes = {
        operand.state: products[operand.name].weights.shape[2] for operand in arithmetic.operands
        if operand.state is not None
    }
    states = {name: sizes.get(name, outputs if inner_size is None else inner_size) for name in cell.state_names}
    fixed = {name: np.zeros(shapes[name], dtype=np.int64) for name in arithmetic.fixed}
    formats = vector_formats(arithmetic, defaultdict(ValueRange), feeds, target)
    return QuantisedLayer(arithmetic, inputs, outputs, states, products, fixed, 1.0, formats)


def _product(
    arithmetic: CellArithmetic, operand: Operand, shapes: dict[str, tuple[int, ...]]
) -> QuantisedProduct:
    matrices = [
        next(product.matrix for product in row.products if product.operand is operand)
        for row in arithmetic.rows_of(operand)
    ]
    units, size = shapes[matrices[0]]
    return QuantisedProduct.nothing(len(matrices), units, size)
