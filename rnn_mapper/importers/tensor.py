"""Tensors of a file: shape and dtype are known, the numbers are read when a layer needs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_mapper.errors import ModelError

__all__ = ["FLOAT_DTYPES", "FileTensor", "from_bytes", "shape_of"]

#: Number types that weights may have.
FLOAT_DTYPES = ("float64", "float32", "float16", "bfloat16")


@dataclass(frozen=True, eq=False)
class FileTensor:
    """A tensor that is not read yet."""

    shape: tuple[int, ...]
    #: Such as ``float32``, ``bfloat16`` or ``int8``.
    dtype: str
    #: The numbers, as any float type of numpy, in `shape`.
    read: Callable[[], npt.NDArray[Any]]

    @staticmethod
    def of(value: Any) -> FileTensor:
        """From an array, a torch tensor, or a FileTensor."""
        if isinstance(value, FileTensor):
            return value
        if hasattr(value, "detach"):
            dtype = str(value.dtype).removeprefix("torch.")
            # A tensor may be on another device, need a gradient, or be bfloat16, which numpy lacks.
            return FileTensor(tuple(value.shape), dtype, lambda: value.detach().cpu().double().numpy())
        array = np.asarray(value)
        return FileTensor(array.shape, array.dtype.name, lambda: array)

    def numbers(self, name: str) -> npt.NDArray[Any]:
        """The numbers; raises ModelError, with the tensor's name, if they are not floating-point numbers."""
        if self.dtype not in FLOAT_DTYPES:
            quantised = self.dtype.startswith(("int", "uint", "bool", "q", "float8", "float4"))
            why = ": quantised weights need scales that this format does not hold; give the float weights" * quantised
            raise ModelError(f"{name} holds {self.dtype} values, must be {', '.join(FLOAT_DTYPES)}{why}")
        if 0 in self.shape:
            raise ModelError(f"{name} has shape {shape_of(self)}, must not be empty")
        try:
            return self.read()
        except ModelError as error:
            raise ModelError(f"{name}: {error}") from None


def from_bytes(data: bytes | memoryview, dtype: str, big_endian: bool = False) -> npt.NDArray[Any]:
    """Numbers [count] of one of `FLOAT_DTYPES` from their bytes; bfloat16 comes as float32, which holds it exactly."""
    stored = np.dtype("uint16" if dtype == "bfloat16" else dtype)
    values = np.frombuffer(data, dtype=stored.newbyteorder(">" if big_endian else "<")).astype(stored)
    return (values.astype(np.uint32) << 16).view(np.float32) if dtype == "bfloat16" else values


def shape_of(tensor: FileTensor) -> str:
    """The shape for a message, such as ``512 x 128``."""
    return " x ".join(map(str, tensor.shape)) or "scalar"
