"""Nodes that exporters add to compute shapes: evaluated at once, on constants and on shapes of tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.onnx.glue import GLUE, Call, Value, as_axis, limited
from rnn_mapper.importers.onnx.graph import Node
from rnn_mapper.importers.onnx.tensors import AnyArray, Tensor

__all__ = ["EVALUATED", "constant_of", "evaluate"]

_END = (1 << 31) - 1


def _shape(call: Call) -> AnyArray:
    start, end = call.number("start", 0), call.number("end", _END)
    return np.array(call.data().shape[start:end], dtype=np.int64)


def _size(call: Call) -> AnyArray:
    return np.array(call.data().size, dtype=np.int64)


def _filled(call: Call) -> AnyArray:
    tensor = call.node.attributes.take("value", object, None)
    value = np.zeros(1) if tensor is None else Tensor(tensor, None, "value").array()
    if value.size != 1:
        raise ModelError(f"value has {value.size} elements, must have 1")
    return np.broadcast_to(value.reshape(()), limited(call.whole(0) or []))


def _range(call: Call) -> AnyArray:
    first, last, stride = (call.data(index) for index in range(3))
    if any(one.dtype != np.int64 or one.size != 1 for one in (first, last, stride)) or int(stride.reshape(())) == 0:
        raise ModelError("start, limit and delta must be whole numbers")
    found = range(*(int(one.reshape(())) for one in (first, last, stride)))
    limited([len(found)])
    return np.arange(found.start, found.stop, found.step, dtype=np.int64)


def _arithmetic(function: Callable[..., AnyArray]) -> Callable[[Call], AnyArray]:
    def apply(call: Call) -> AnyArray:
        values = [call.data(index) for index in range(len(call.inputs))]
        try:
            limited(np.broadcast_shapes(*(value.shape for value in values)))
        except ValueError:
            raise ModelError(f"shapes {[list(value.shape) for value in values]} do not fit together") from None
        with np.errstate(all="ignore"):
            return function(*values)

    return apply


def _each(function: Callable[[AnyArray, AnyArray], AnyArray]) -> Callable[..., AnyArray]:
    return lambda *values: functools.reduce(function, values)


def _divide(one: AnyArray, other: AnyArray) -> AnyArray:
    if one.dtype == other.dtype == np.int64:
        if not other.all():
            raise ModelError("a division by 0")
        return np.asarray(np.sign(one) * np.sign(other) * (np.abs(one) // np.abs(other)))  # towards zero
    return np.asarray(one / other)


def _reduced(function: Callable[..., AnyArray]) -> Callable[[Call], AnyArray]:
    return lambda call: _reduce(call, function)


def _reduce(call: Call, function: Callable[..., AnyArray]) -> AnyArray:
    data, axes = call.data(), call.axes(1, 18)
    keep = call.number("keepdims", 1)
    if axes is None and call.number("noop_with_empty_axes", 0):
        return data
    chosen = tuple(range(data.ndim)) if axes is None else tuple(as_axis(axis, data.ndim) for axis in axes)
    return np.asarray(function(data, axis=chosen, keepdims=bool(keep)))


def _dequantised(call: Call) -> AnyArray:
    """(x - zero point) * scale, for the whole tensor or along an axis."""
    values, scale = call.data(), call.data(1)
    zero = call.data(2) if len(call.inputs) > 2 and call.inputs[2] is not None else np.zeros_like(scale)
    axis = call.number("axis", 1)
    if call.number("block_size", 0):
        raise ModelError("dequantises in blocks, which is not supported")
    if values.dtype != np.int64 or scale.dtype != np.float64 or scale.shape != zero.shape or scale.ndim > 1:
        raise ModelError("must have whole numbers, and a scale and a zero point of the same shape")
    if scale.ndim:
        at = as_axis(axis, values.ndim)
        if scale.size not in (1, values.shape[at]):
            raise ModelError(f"has {scale.size} scales, must have {values.shape[at]} for axis {at}")
        form = [1] * values.ndim
        form[at] = scale.size
        scale, zero = scale.reshape(form), zero.reshape(form)
    return np.asarray((values - zero.astype(np.float64)) * scale)


#: Of traced tensors these see the shape only.
_SHAPES: dict[str, Callable[[Call], AnyArray]] = {"Shape": _shape, "Size": _size}
#: Of constants only.
_CONSTANT: dict[str, Callable[[Call], AnyArray]] = {
    "ConstantOfShape": _filled, "Range": _range, "ReduceProd": _reduced(np.prod), "ReduceMax": _reduced(np.max),
    "Add": _arithmetic(np.add), "Sub": _arithmetic(np.subtract), "Mul": _arithmetic(np.multiply),
    "Div": _arithmetic(_divide), "Neg": _arithmetic(np.negative), "Equal": _arithmetic(np.equal),
    "Where": _arithmetic(np.where), "Not": _arithmetic(np.logical_not),
    "Less": _arithmetic(np.less), "Greater": _arithmetic(np.greater), "And": _arithmetic(np.logical_and),
    "Or": _arithmetic(np.logical_or), "DequantizeLinear": _dequantised,
    "Max": _arithmetic(_each(np.maximum)), "Min": _arithmetic(_each(np.minimum)),
}
#: Operators that `evaluate` knows.
EVALUATED = frozenset((*GLUE, *_SHAPES, *_CONSTANT))


def evaluate(node: Node, inputs: list[Value | None], opset: int, steps: int) -> list[Value] | None:
    """The outputs of a node that only moves elements, or that is made of constants; None if it is neither.

    Raises ModelError for what cannot be, `MoreSteps` for a slice that a longer sequence would show.
    """
    call = Call(node, inputs, opset, steps)
    given = [value for value in inputs if value is not None]
    if not given:
        raise ModelError("has no inputs")
    traced = [value.traced for value in given]
    if node.op in _SHAPES:
        return [Value(_SHAPES[node.op](call))]
    if node.op in GLUE:
        if node.op == "Concat" and any(traced) and not all(traced):
            raise ModelError("concatenates constants with the data, which is not supported")
        found = GLUE[node.op](call)
        first = given[0]
        return [Value(one, first.traced, first.whole) for one in (found if isinstance(found, list) else [found])]
    if node.op in _CONSTANT and not any(traced):
        return [Value(_CONSTANT[node.op](call))]
    return None


def constant_of(node: Node) -> AnyArray:
    """The value of a Constant node."""
    attributes = node.attributes
    readers: dict[str, Callable[[], AnyArray]] = {
        "value": lambda: Tensor(attributes.take("value", object, None), None, node.output(0)).array(),
        "value_float": lambda: np.array(attributes.take("value_float", float, 0.0)),
        "value_int": lambda: np.array(attributes.take("value_int", int, 0), dtype=np.int64),
        "value_floats": lambda: np.array(attributes.take("value_floats", list, []), dtype=np.float64),
        "value_ints": lambda: np.array(attributes.take("value_ints", list, []), dtype=np.int64),
    }
    for name, read in readers.items():
        if name in attributes:
            return read()
    raise ModelError(f"a constant with {', '.join(attributes.left()) or 'nothing'} is not supported")
