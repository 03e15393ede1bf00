"""Nodes that only move elements, evaluated with NumPy on constants and on traced elements.

A traced tensor holds, in the place of each element, the number of the element of some source that stands there
(`sources`). Whatever a chain of Transpose, Reshape, Slice, Concat ... does, the numbers say afterwards which
element has come where, so nothing has to be assumed about what such a chain is meant to do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.onnx.graph import Node
from rnn_mapper.importers.onnx.tensors import AnyArray
from rnn_mapper.summary import counted

__all__ = ["GLUE", "Call", "MoreSteps", "Value", "as_axis", "limited"]

#: A limit of this size or more means "to the end".
_END = (1 << 31) - 1
_MAX_ELEMENTS = 1 << 24
_FLOAT_TYPES = (1, 10, 11, 16)
_BOOL_TYPE = 9
_WHOLE_TYPES = (2, 3, 4, 5, 6, 7, 12, 13)


class MoreSteps(Exception):
    """A slice that is cut short by the end of the sequence: only a longer one shows what it takes."""

    def __init__(self, steps: int) -> None:
        super().__init__(steps)
        self.steps = steps


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor: its elements (float64, int64 or bool), or, if it is traced, where each of them comes from (int64)."""

    array: AnyArray
    traced: bool = False
    #: The traced elements are whole numbers (lengths), not data.
    whole: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.array.shape


@dataclass(frozen=True)
class Call:
    """A node with its inputs."""

    node: Node
    inputs: list[Value | None]
    opset: int
    #: Steps of the sequence in this evaluation; -1 if the graph fixes them.
    steps: int

    def data(self, index: int = 0) -> AnyArray:
        return self.value(index).array

    def value(self, index: int) -> Value:
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise ModelError(f"input {index} is missing")
        return value

    def whole(self, index: int) -> list[int] | None:
        """A list of numbers that is known; None if the input is not given."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            return None
        if value.traced or value.array.dtype != np.int64:
            raise ModelError(f"input {index} must be whole numbers that are known before the model runs")
        if value.array.size > 64:
            raise ModelError(f"input {index} has {value.array.size} numbers, must have one for each axis")
        return [int(one) for one in value.array.reshape(-1)]

    def axes(self, index: int, since: int = 13) -> list[int] | None:
        """Axes, which were an attribute before that opset."""
        if self.opset < since:
            return self.numbers("axes")
        return self.whole(index)

    def number(self, name: str, default: int) -> int:
        return int(self.node.attributes.take(name, int, default))

    def numbers(self, name: str) -> list[int] | None:
        found = self.node.attributes.take(name, list, None)
        return None if found is None else [int(one) for one in found]


def as_axis(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise ModelError(f"axis {axis} is not one of the {rank} axes")
    return axis % rank


def limited(shape: tuple[int, ...] | list[int]) -> tuple[int, ...]:
    if any(size < 0 for size in shape) or len(shape) > 16 or math.prod(shape) > _MAX_ELEMENTS:
        raise ModelError(f"gives shape {list(shape)[:16]}, must have {_MAX_ELEMENTS} elements at most")
    return tuple(shape)


def _transpose(call: Call) -> AnyArray:
    data = call.data()
    order = call.numbers("perm") or list(range(data.ndim))[::-1]
    if sorted(order) != list(range(data.ndim)):
        raise ModelError(f"perm {order} is not an order of the {data.ndim} axes")
    return data.transpose(order)


def _reshape(call: Call) -> AnyArray:
    data, shape = call.data(), call.whole(1)
    keep_zero = call.number("allowzero", 0)
    assert shape is not None or call.value(1)
    wanted = list(shape or [])
    for index, size in enumerate(wanted):
        if size == 0 and not keep_zero:
            if index >= data.ndim:
                raise ModelError(f"shape {wanted} keeps axis {index}, the input has {data.ndim}")
            wanted[index] = data.shape[index]
    rest = math.prod(size for size in wanted if size != -1)
    if wanted.count(-1) > 1 or any(size < -1 for size in wanted):
        raise ModelError(f"shape {shape} is not a shape")
    if -1 in wanted and rest:
        wanted[wanted.index(-1)] = data.size // rest
    if math.prod(wanted) != data.size or -1 in wanted:
        raise ModelError(f"shape {shape} does not fit {list(data.shape)}")
    return data.reshape(limited(wanted))


def _squeeze(call: Call) -> AnyArray:
    data, axes = call.data(), call.axes(1)
    chosen = [i for i, size in enumerate(data.shape) if size == 1] if axes is None else axes
    chosen = [as_axis(axis, data.ndim) for axis in chosen]
    for axis in chosen:
        if data.shape[axis] != 1:
            raise ModelError(f"axis {axis} of {list(data.shape)} has {data.shape[axis]} elements, must have 1")
    return data.reshape([size for i, size in enumerate(data.shape) if i not in chosen])


def _unsqueeze(call: Call) -> AnyArray:
    data, axes = call.data(), call.axes(1)
    if not axes or len(axes) > 16:
        raise ModelError(f"axes {axes}: must be the places of the new axes")
    rank = data.ndim + len(axes)
    chosen = [as_axis(axis, rank) for axis in axes]
    if len(set(chosen)) != len(chosen):
        raise ModelError(f"axes {axes} name an axis twice")
    rest = iter(data.shape)
    return data.reshape([1 if i in chosen else next(rest) for i in range(rank)])


def _flatten(call: Call) -> AnyArray:
    data, axis = call.data(), call.number("axis", 1)
    if not -data.ndim <= axis <= data.ndim:
        raise ModelError(f"axis {axis} is not one of the {data.ndim} axes")
    at = axis % data.ndim if axis < 0 else axis
    return data.reshape(math.prod(data.shape[:at]), math.prod(data.shape[at:]))


def _slice(call: Call) -> AnyArray:
    data = call.data()
    if call.opset < 10:
        starts, ends, axes = (call.numbers(name) for name in ("starts", "ends", "axes"))
        strides = None
    else:
        starts, ends, axes, strides = (call.whole(index) for index in (1, 2, 3, 4))
    if starts is None or ends is None:
        raise ModelError("starts or ends are missing")
    axes = list(range(len(starts))) if axes is None else axes
    strides = [1] * len(starts) if strides is None else strides
    if not len(starts) == len(ends) == len(axes) == len(strides):
        raise ModelError("starts, ends, axes and steps are of different lengths")
    taken = [slice(None)] * data.ndim
    for start, end, axis, stride in zip(starts, ends, axes, strides, strict=True):
        at = as_axis(axis, data.ndim)
        size = data.shape[at]
        if stride == 0:
            raise ModelError("a step is 0")
        for limit in (start, end):
            if abs(limit) > size and abs(limit) < _END and size == call.steps:
                raise MoreSteps(abs(limit))
        low, high = (-1, size - 1) if stride < 0 else (0, size)
        first, last = (min(max(one + size if one < 0 else one, low), high) for one in (start, end))
        # As a range: NumPy would read the -1 of an exclusive end as the last element.
        chosen = range(first, last, stride)
        taken[at] = slice(chosen.start, chosen.stop if chosen.stop >= 0 else None, stride) if chosen else slice(0, 0)
    return data[tuple(taken)]


def _gather(call: Call) -> AnyArray:
    data, index = call.data(), call.value(1)
    axis = as_axis(call.number("axis", 0), data.ndim)
    if index.traced or index.array.dtype != np.int64:
        raise ModelError("indices must be whole numbers that are known before the model runs")
    size = data.shape[axis]
    if index.array.size and not (-size <= index.array.min() and index.array.max() < size):
        if size == call.steps:
            raise MoreSteps(int(np.abs(index.array).max()))
        raise ModelError(f"an index is not within the {counted(size, 'element')} of axis {axis}")
    limited([*data.shape[:axis], *index.shape, *data.shape[axis + 1:]])
    return np.take(data, index.array, axis=axis)


def _concat(call: Call) -> AnyArray:
    parts = [call.data(index) for index in range(len(call.inputs))]
    axis = as_axis(call.number("axis", 1), parts[0].ndim)
    for part in parts:
        shape, first = list(part.shape), list(parts[0].shape)
        if len(shape) != len(first) or shape[:axis] != first[:axis] or shape[axis + 1:] != first[axis + 1:]:
            raise ModelError(f"shapes {first} and {shape} do not fit together along axis {axis}")
    limited([*parts[0].shape[:axis], sum(part.shape[axis] for part in parts), *parts[0].shape[axis + 1:]])
    return np.concatenate(parts, axis=axis)


def _split(call: Call) -> list[AnyArray]:
    data, count = call.data(), len(call.node.outputs)
    axis = as_axis(call.number("axis", 0), data.ndim)
    sizes = call.numbers("split") if call.opset < 13 else call.whole(1)
    asked = call.number("num_outputs", count) if call.opset >= 18 else count
    size = data.shape[axis]
    if sizes is None:
        each = -(-size // max(asked, 1))
        sizes = [max(0, min(each, size - each * i)) for i in range(asked)]
        if asked != count or (call.opset < 18 and size % count):
            raise ModelError(f"{counted(size, 'element')} of axis {axis} cannot be split into {asked} of {count} "
                             "outputs")
    if sum(sizes) != size or len(sizes) != count or min(sizes) < 0:
        raise ModelError(f"split {sizes} does not fit the {counted(size, 'element')} of axis {axis}")
    return list(np.split(data, np.cumsum(sizes)[:-1], axis=axis))


def _expand(call: Call) -> AnyArray:
    data, shape = call.data(), call.whole(1) or []
    try:
        result = limited(np.broadcast_shapes(data.shape, limited(shape)))
    except ValueError:
        raise ModelError(f"shape {shape} does not fit {list(data.shape)}") from None
    return np.broadcast_to(data, result)


def _tile(call: Call) -> AnyArray:
    data, times = call.data(), call.whole(1) or []
    if len(times) != data.ndim or min(times, default=0) < 0:
        raise ModelError(f"repeats {times} do not fit {list(data.shape)}")
    limited([size * time for size, time in zip(data.shape, times, strict=True)])
    return np.tile(data, times)


def _cast(call: Call) -> AnyArray:
    value, to = call.value(0), call.number("to", 0)
    call.node.attributes.take("saturate", int, 1)
    call.node.attributes.take("round_mode", str, "up")
    numbers = "float" if to in _FLOAT_TYPES else "bool" if to == _BOOL_TYPE else "whole" if to in _WHOLE_TYPES else None
    if numbers is None:
        raise ModelError(f"to = {to} is not supported, must be a type of real numbers")
    if value.traced:
        if (numbers == "whole") != value.whole:
            raise ModelError(f"to = {to}: turns the data into {numbers} numbers, must leave them what they are")
        return value.array
    with np.errstate(all="ignore"):
        return value.array.astype({"float": np.float64, "bool": np.bool_, "whole": np.int64}[numbers])


def _reverse_sequence(call: Call) -> AnyArray:
    data, lengths = call.data(), call.value(1)
    time, batch = as_axis(call.number("time_axis", 0), data.ndim), as_axis(call.number("batch_axis", 1), data.ndim)
    if lengths.traced or lengths.shape != (data.shape[batch],) or (lengths.array != data.shape[time]).any():
        raise ModelError("sequence_lens must be the length of the whole sequence, known before the model runs")
    return np.flip(data, time)


def _same(call: Call) -> AnyArray:
    return call.data()


def _dropout(call: Call) -> AnyArray:
    call.node.attributes.take("ratio", float, 0.5)
    call.node.attributes.take("seed", int, 0)
    mode = call.inputs[2] if len(call.inputs) > 2 else None
    if mode is not None and (mode.traced or bool(mode.array.any())):
        raise ModelError("training_mode is set, must be off")
    if call.node.output(1):
        raise ModelError(f"output {call.node.output(1)!r} (the mask) is not supported")
    return call.data()


#: Move elements; take constants and traced tensors (all inputs but the first, or for Concat all, of one type).
GLUE: dict[str, Callable[[Call], AnyArray | list[AnyArray]]] = {
    "Identity": _same, "Dropout": _dropout, "Cast": _cast, "Transpose": _transpose, "Reshape": _reshape,
    "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Flatten": _flatten, "Slice": _slice, "Gather": _gather,
    "Concat": _concat, "Split": _split, "Expand": _expand, "Tile": _tile, "ReverseSequence": _reverse_sequence,
}
