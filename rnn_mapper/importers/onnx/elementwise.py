"""Dense layers and functions of single steps: on the grid where possible, else on the host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.onnx.glue import Value
from rnn_mapper.importers.onnx.graph import Node
from rnn_mapper.importers.onnx.order import Order
from rnn_mapper.importers.onnx.sources import (
    CodingRecipe,
    DenseRecipe,
    HostRecipe,
    InputRecipe,
    LayerRecipe,
    Source,
    Sources,
    SumRecipe,
    Taken,
)
from rnn_mapper.importers.onnx.tensors import AnyArray
from rnn_mapper.importers.pipeline import HOST_FUNCTIONS
from rnn_mapper.summary import counted

__all__ = ["ELEMENTWISE", "Elementwise"]

_ACTIVATIONS: dict[str, Callable[[AnyArray], AnyArray]] = {
    "Sigmoid": lambda x: 0.5 * (1.0 + np.tanh(0.5 * x)), "Tanh": np.tanh, "Relu": lambda x: np.maximum(x, 0.0),
}
_AFFINE = ("Add", "Sub", "Mul", "Div", "Neg", "BatchNormalization")

#: Operators that `Elementwise` applies.
ELEMENTWISE = frozenset(("MatMul", "Gemm", "Softmax", "LogSoftmax", *_ACTIVATIONS, *_AFFINE))


@dataclass(frozen=True, eq=False)
class Elementwise:
    """Makes sources of such nodes."""

    sources: Sources
    order: Order

    def apply(self, node: Node, inputs: list[Value | None], opset: int) -> tuple[list[Value], str]:
        """The outputs of a node and its line of the account."""
        if any(value is None for value in inputs):
            raise ModelError("an input is missing")
        values = [value for value in inputs if value is not None]
        if node.op == "MatMul":
            value, text = self._dense(node, *_matmul(values))
        elif node.op == "Gemm":
            value, text = self._dense(node, *_gemm(node, values))
        elif node.op in _ACTIVATIONS:
            value, text = self._activation(node, values[0])
        elif node.op in ("Softmax", "LogSoftmax"):
            value, text = self._softmax(node, values[0], opset)
        elif node.op == "BatchNormalization":
            value, text = self._scaled(node, *_normalisation(node, values))
            value = Value(np.moveaxis(value.array, -1, 1), True)
        elif sum(one.traced for one in values) > 1:
            value, text = self._sum(node, values)
        else:
            value, text = self._scaled(node, *_affine(node, values))
        return [value], text

    def _dense(self, node: Node, x: Value, weight: AnyArray, bias: AnyArray) -> tuple[Value, str]:
        if x.shape[-1] != len(weight):
            raise ModelError(f"takes {counted(x.shape[-1], 'value')}, its matrix has {counted(len(weight), 'row')}")
        _check_finite(weight, bias)
        taken = self._taken(x)
        if self._on_host(taken):
            value = self._host(node, taken, lambda rows: rows @ weight + bias, weight.shape[1])
            return value, f"dense {len(weight)} -> {weight.shape[1]}, left to the host"
        recipe = DenseRecipe(taken, taken.spread(weight.T), bias)
        return self._source(node, taken, recipe, weight.shape[1]), f"dense {len(weight)} -> {weight.shape[1]}"

    def _scaled(self, node: Node, x: Value, scale: AnyArray, shift: AnyArray) -> tuple[Value, str]:
        if x.whole or x.array.ndim == 0:
            raise ModelError("works on whole numbers, must work on the data")
        _check_finite(scale, shift)
        taken = self._taken(x)
        if self._on_host(taken):
            return self._host(node, taken, lambda rows: rows * scale + shift, len(scale)), "left to the host"
        coded = self._coding(taken, scale, shift)
        if coded is not None:
            text = "part of the host's coding of the input, one scale and offset a feature"
            return self._source(node, taken, coded, len(scale)), text
        below = self._dense_below(taken)
        if below is not None:
            recipe = replace(below, weight=below.weight * scale[:, None], bias=below.bias * scale + shift)
            text = "part of the dense layer below it"
        else:
            recipe = DenseRecipe(taken, taken.spread(np.diag(scale)), shift)
            text = f"dense {len(scale)} -> {len(scale)} with a diagonal matrix"
        return self._source(node, taken, recipe, len(scale)), text

    def _activation(self, node: Node, x: Value) -> tuple[Value, str]:
        if x.whole or x.array.ndim == 0:
            raise ModelError("works on whole numbers, must work on the data")
        taken = self._taken(x)
        width = len(taken.columns)
        if self._on_host(taken):
            return self._host(node, taken, _ACTIVATIONS[node.op], width), "left to the host"
        below, name = self._dense_below(taken), node.op.lower()
        if below is not None:
            return self._source(node, taken, replace(below, function=name), width), "part of the dense layer below it"
        recipe = DenseRecipe(taken, taken.spread(np.eye(width)), np.zeros(width), name)
        return self._source(node, taken, recipe, width), f"dense {width} -> {width} with an identity matrix"

    def _softmax(self, node: Node, x: Value, opset: int) -> tuple[Value, str]:
        rank = x.array.ndim
        axis = node.attributes.take("axis", int, -1 if opset >= 13 else 1)
        if not -rank <= axis < rank or x.whole:
            raise ModelError(f"axis {axis} is not one of the {rank} axes of the data")
        at = axis % rank
        # Before opset 13 it is over all axes from this one on.
        array = x.array.reshape(*x.shape[:at], -1) if opset < 13 else np.moveaxis(x.array, at, -1)
        taken = self.sources.taken(Value(array, True))
        if taken is None or sorted(taken.columns) != list(range(taken.width)):
            raise ModelError("is not over all values of a step, which is not supported: end before it (--to)")
        function = HOST_FUNCTIONS["log_softmax" if node.op == "LogSoftmax" else "softmax"]
        value = self._host(node, taken, function, len(taken.columns))
        found = value.array.reshape(x.shape) if opset < 13 else np.moveaxis(value.array, -1, at)
        return Value(found, True), "left to the host"

    def _sum(self, node: Node, values: list[Value]) -> tuple[Value, str]:
        if node.op != "Add" or values[0].shape != values[1].shape:
            raise ModelError("combines two values that are computed while the model runs, which is not supported")
        one, other = (self.sources.taken(value) for value in values)
        if one is None or other is None or not one.is_whole or not other.is_whole or (one.rows != other.rows).any():
            raise ModelError("adds values of different steps or parts of layers, which is not supported")
        halves = sorted((*one.sources, *other.sources), key=lambda half: getattr(half.recipe, "backward", False))
        if not is_pair(tuple(halves)):
            names = " and ".join(str(half) for half in halves)
            raise ModelError(f"adds {names}, which are not both directions of a layer")
        recipe = SumRecipe(halves[0], halves[1])
        return self._source(node, one, recipe, len(one.columns)), "both directions, added"

    def _taken(self, value: Value) -> Taken:
        taken = self.sources.taken(value)
        return self.order.picked(value) if taken is None else taken

    @staticmethod
    def _on_host(taken: Taken) -> bool:
        return any(source.is_host for source in taken.sources)

    @staticmethod
    def _coding(taken: Taken, scale: AnyArray, shift: AnyArray) -> CodingRecipe | None:
        """The map together with all that is below it, if it is on the inputs alone."""
        recipe = taken.sources[0].recipe
        if len(taken.sources) > 1 or not taken.is_whole:
            return None
        if isinstance(recipe, InputRecipe):
            return CodingRecipe(taken, scale, shift)
        if isinstance(recipe, CodingRecipe):
            return CodingRecipe(recipe.taken, recipe.scale * scale, recipe.offset * scale + shift)
        return None

    @staticmethod
    def _dense_below(taken: Taken) -> DenseRecipe | None:
        """The dense layer whose output this is, if a function may still be put behind it."""
        recipe = taken.sources[0].recipe
        if len(taken.sources) == 1 and isinstance(recipe, DenseRecipe) and recipe.function == "identity":
            return recipe if taken.is_whole else None
        return None

    def _host(
        self, node: Node, taken: Taken, function: Callable[[Any], Any], width: int
    ) -> Value:
        return self._source(node, taken, HostRecipe(taken, function), width)

    def _source(self, node: Node, taken: Taken, recipe: Any, width: int) -> Value:
        below = taken.sources[0]
        source = self.sources.add(str(node), recipe, below.rows, width, below.space)
        return self.sources.value(source, taken.rows)


def is_pair(halves: tuple[Source, ...]) -> bool:
    """Whether these are both directions of a layer: they take the same, one runs forward and the other backward."""
    if len(halves) != 2:
        return False
    one, other = (half.recipe for half in halves)
    return (
        isinstance(one, LayerRecipe) and isinstance(other, LayerRecipe)
        and (one.backward, other.backward) == (False, True)
        and one.taken.sources == other.taken.sources and np.array_equal(one.taken.columns, other.taken.columns)
    )


def _matmul(values: list[Value]) -> tuple[Value, AnyArray, AnyArray]:
    """The data, the matrix and the bias of a MatMul."""
    x, weight = _operands(values)
    if weight.array.ndim != 2 or x.array.ndim < 2:
        raise ModelError(f"multiplies with shape {list(weight.shape)}, must be a matrix on the right")
    return x, weight.array, np.zeros(weight.shape[1])


def _gemm(node: Node, values: list[Value]) -> tuple[Value, AnyArray, AnyArray]:
    """The data, the matrix and the bias of a Gemm."""
    x, weight = _operands(values)
    take = node.attributes.take
    alpha, beta = take("alpha", float, 1.0), take("beta", float, 1.0)
    if x.array.ndim != 2 or weight.array.ndim != 2:
        raise ModelError(f"takes shapes {list(x.shape)} and {list(weight.shape)}, must be matrices")
    x = Value(x.array.T, True) if take("transA", int, 0) else x
    matrix = alpha * (weight.array.T if take("transB", int, 0) else weight.array)
    bias = np.zeros(matrix.shape[1])
    if len(values) > 2:
        bias = beta * _vector(values[2], (*x.shape[:-1], matrix.shape[1]))
    return x, matrix, bias


def _affine(node: Node, values: list[Value]) -> tuple[Value, AnyArray, AnyArray]:
    """The data, its factor and the number added to it, element by element."""
    x = next(value for value in values if value.traced)
    first = values[0] is x
    scale, shift = np.ones(x.shape[-1:]), np.zeros(x.shape[-1:])
    if node.op == "Neg":
        scale = -scale
    else:
        other = values[1] if first else values[0]
        vector = _vector(other, x.shape)
        if node.op == "Add":
            shift = vector
        elif node.op == "Sub":
            scale, shift = (scale, -vector) if first else (-scale, vector)
        elif node.op == "Mul":
            scale = vector
        elif not first:
            raise ModelError("divides by the data, which is not supported")
        else:
            with np.errstate(all="ignore"):
                scale = 1.0 / vector
    return x, scale, shift


def _normalisation(node: Node, values: list[Value]) -> tuple[Value, AnyArray, AnyArray]:
    """As `_affine`, of a BatchNormalization, with the channels last."""
    if len(values) != 5 or not values[0].traced or any(value.traced for value in values[1:]):
        raise ModelError("its scale, bias, mean and variance must be stored in the file")
    take, x = node.attributes.take, values[0]
    take("momentum", float, 0.9)
    if take("training_mode", int, 0) or take("spatial", int, 1) != 1 or any(node.outputs[1:]):
        raise ModelError("is in training mode, must be in inference mode")
    if x.array.ndim < 2:
        raise ModelError(f"takes shape {list(x.shape)}, must have 2 dimensions or more")
    scale, bias, mean, variance = (_vector(value, (1, x.shape[1])) for value in values[1:])
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(variance + take("epsilon", float, 1e-5))
    # Channels are the second axis.
    return Value(np.moveaxis(x.array, 1, -1), True), factor, bias - mean * factor


def _operands(values: list[Value]) -> tuple[Value, Value]:
    if len(values) < 2 or not values[0].traced or values[1].traced:
        raise ModelError("must multiply the data with a stored matrix on its right")
    if values[1].array.dtype != np.float64 or values[0].whole:
        raise ModelError("multiplies whole numbers, must be floating point: quantised models are not supported")
    return values[0], values[1]


def _vector(value: Value, shape: tuple[int, ...]) -> AnyArray:
    """A constant that is added to or multiplied with a tensor of that shape, as [values]: the same for all steps."""
    if value.traced or value.array.dtype == np.bool_:
        raise ModelError("a constant is computed while the model runs, must be stored in the file")
    array = value.array.astype(np.float64)
    try:
        fits = np.broadcast_shapes(array.shape, shape) == tuple(shape)
    except ValueError:
        fits = False
    if not fits:
        raise ModelError(f"a constant of shape {list(array.shape)} does not fit {list(shape)}")
    rows = array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)
    if (rows != rows[0]).any():
        raise ModelError("a constant differs from step to step, must be the same for all")
    return np.array(np.broadcast_to(rows[0], shape[-1:]))


def _check_finite(*arrays: AnyArray) -> None:
    for array in arrays:
        if not np.isfinite(array).all():
            raise ModelError("its constants are not all finite")
