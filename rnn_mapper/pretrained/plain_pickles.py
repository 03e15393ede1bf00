"""Pickles of plain values and numpy arrays, read without running anything that they name (`importers.torch.pickles`).

Classes of this module take the place of the names by which numpy stores an array; any other name is an error. Arrays
are made from their bytes.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.messages import printable
from rnn_mapper.importers.torch.pickles import Instance, Name, run_pickle

__all__ = ["load_plain_pickle"]

#: Types of the numbers: float, signed and unsigned, of 1 to 8 bytes.
_KINDS = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"}
_ORDERS = ("<", ">", "|")


class _Type(Instance):
    """Stands in for numpy.dtype: the kind of number and its byte order."""

    def __init__(self, name: object, *_: object) -> None:
        if name not in _KINDS:
            raise ModelError(f"holds an array of {printable(str(name))}, must be of real numbers")
        self.name, self.order = str(name), "|"

    def build(self, state: Any) -> None:
        self.order = state[1]
        if self.order not in _ORDERS:
            raise ModelError("holds an array of an unknown byte order")


class _Array(Instance):
    """Stands in for numpy.ndarray until its bytes are there."""

    def __init__(self, *_: object) -> None:
        self.value: npt.NDArray[Any] | None = None

    def build(self, state: Any) -> None:
        _, shape, kind, by_columns, data = state
        if not isinstance(kind, _Type) or not isinstance(data, bytes):
            raise ModelError("holds an array of objects, must be of real numbers")
        stored = np.dtype(kind.order + kind.name)
        if not all(isinstance(n, int) and n >= 0 for n in shape) or math.prod(shape) * stored.itemsize != len(data):
            raise ModelError("holds an array whose bytes do not fit its shape")
        values = np.frombuffer(data, stored).reshape(shape, order="F" if by_columns else "C")
        self.value = values.astype(stored.newbyteorder("="))


_CALLS = {
    Name("numpy", "dtype"): _Type,
    Name("numpy.core.multiarray", "_reconstruct"): _Array,
    Name("numpy._core.multiarray", "_reconstruct"): _Array,
}


def load_plain_pickle(path: str | Path) -> Any:
    """The contents of a pickle file: numbers, text, arrays of numbers, and lists, tuples and dicts (by text) of them.

    Raises ModelError with the path for any other contents, and for a missing or damaged file.
    """
    try:
        return _plain(run_pickle(Path(path).read_bytes(), _call, _outside))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None


def _call(name: Name, arguments: tuple[Any, ...]) -> Instance:
    if name not in _CALLS:
        raise ModelError(f"would call {name}, must hold plain values and arrays only")
    return _CALLS[name](*arguments)


def _outside(reference: Any) -> Any:
    raise ModelError("refers to something outside of the file")


def _plain(value: Any) -> Any:
    """`value` with arrays instead of their stand-ins."""
    if isinstance(value, _Array):
        if value.value is None:
            raise ModelError("holds an array without its bytes")
        return value.value
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(one) for one in value)
    if value is None or isinstance(value, str | bytes | bool | int | float):
        return value
    raise ModelError(f"holds {printable(str(value))}, must hold plain values and arrays only")
