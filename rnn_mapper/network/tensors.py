"""Tensors in floating point, and the checks of tensors that the user gives."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rnn_mapper.errors import ModelError
from rnn_mapper.summary import counted

__all__ = ["FloatArray", "check_inputs", "check_tensor", "shape_text"]

FloatArray = npt.NDArray[np.float64]


def check_tensor(name: str, value: object, ndim: int) -> FloatArray:
    """`value` as a float64 array of `ndim` non-empty dimensions; raises ModelError if it is not one, or not finite."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise ModelError(f"{name} holds {array.dtype} values, must be real numbers")
    if array.ndim != ndim:
        raise ModelError(f"{name} has shape {shape_text(array)}, must have {ndim} dimension{'s' if ndim > 1 else ''}")
    if array.size == 0:
        raise ModelError(f"{name} has shape {shape_text(array)}, must not be empty")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ModelError(f"{name}{list(index)} is {array[index]}, must be finite")
    array.setflags(write=False)
    return array


def check_inputs(value: object, input_size: int, name: str = "inputs") -> FloatArray:
    """`value` as finite float64 [steps, input_size] with at least one step; raises ModelError otherwise."""
    inputs = check_tensor(name, value, 2)
    if inputs.shape[1] != input_size:
        raise ModelError(f"{name} has shape {shape_text(inputs)}, must have {counted(input_size, 'feature')} per step")
    return inputs


def shape_text(array: npt.NDArray[np.generic]) -> str:
    """The shape for a message, such as ``512 x 128``."""
    return " x ".join(map(str, array.shape)) or "scalar"
