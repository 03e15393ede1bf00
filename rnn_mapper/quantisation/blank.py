"""Networks of given shapes without trained weights: cycles and memories depend on shapes alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from hdl.numerics import Arithmetic
from rnn_mapper.cells.arithmetic import CellArithmetic, Operand
from rnn_mapper.cells.binding import tensor_shapes
from rnn_mapper.cells.library import dense
from rnn_mapper.cells.lowering import arithmetic_of
from rnn_mapper.network.random import LayerShape
from rnn_mapper.network.ranges import ValueRange
from rnn_mapper.quantisation.integer_network import QuantisedLayer, QuantisedNetwork, QuantisedProduct
from rnn_mapper.quantisation.quantise import vector_formats

__all__ = ["blank_network"]


def blank_network(
    inputs: int, layers: Sequence[LayerShape], head: int | None, arithmetic: Arithmetic
) -> QuantisedNetwork:
    """Stacked layers, and a dense head of `head` outputs, with weights of zero."""
    shapes = [*layers, *([] if head is None else [LayerShape(dense, head)])]
    sizes = [inputs, *(shape.outputs for shape in shapes)]
    built = [
        _layer(size, shape, index < len(shapes), arithmetic)
        for index, (size, shape) in enumerate(zip(sizes, shapes, strict=False), start=1)
    ]
    top = None if head is None else built.pop()
    return QuantisedNetwork(tuple(built), top, arithmetic)


def _layer(inputs: int, shape: LayerShape, feeds: bool, target: Arithmetic) -> QuantisedLayer:
    cell, outputs, inner = shape
    arithmetic = arithmetic_of(cell)
    shapes = tensor_shapes(cell, inputs, outputs, inner)
    products = {operand.name: _product(arithmetic, operand, shapes) for operand in arithmetic.operands}
    sizes = {
        operand.state: products[operand.name].weights.shape[2] for operand in arithmetic.operands
        if operand.state is not None
    }
    states = {name: sizes.get(name, outputs if inner is None else inner) for name in cell.state_names}
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
