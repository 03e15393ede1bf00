"""Pickles of plain values and numpy arrays, read without running anything that they name.

A pickle is a program. The reader here knows three names, those by which numpy stores an array, and stands in for each
with a class of its own; any other name is an error. Arrays are made from their bytes.
"""

from __future__ import annotations

import io
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_mapper.errors import ModelError

__all__ = ["load_plain_pickle"]

#: Types of the numbers: float, signed and unsigned, of 1 to 8 bytes.
_KINDS = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"}


class _Type:
    """Stands in for numpy.dtype: the kind of number and its byte order."""

    def __init__(self, name: object, *_: object) -> None:
        if name not in _KINDS:
            raise pickle.UnpicklingError(f"arrays of {str(name)[:20]}")
        self.name, self.order = str(name), "|"

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]
        if self.order not in ("<", ">", "|"):
            raise pickle.UnpicklingError("arrays of an unknown byte order")


class _Array:
    """Stands in for numpy.ndarray until its bytes are there."""

    def __init__(self, *_: object) -> None:
        self.value: npt.NDArray[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, by_columns, data = state
        if not isinstance(kind, _Type) or not isinstance(data, bytes):
            raise pickle.UnpicklingError("arrays of objects")
        stored = np.dtype(kind.order + kind.name)
        if not all(isinstance(n, int) and n >= 0 for n in shape) or math.prod(shape) * stored.itemsize != len(data):
            raise pickle.UnpicklingError("an array whose bytes do not fit its shape")
        values = np.frombuffer(data, stored).reshape(shape, order="F" if by_columns else "C")
        self.value = values.astype(stored.newbyteorder("="))


_NAMES = {
    "numpy dtype": _Type,
    "numpy ndarray": _Array,
    "numpy.core.multiarray _reconstruct": _Array,
    "numpy._core.multiarray _reconstruct": _Array,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (found := _NAMES.get(f"{module} {name}")) is None:
            raise pickle.UnpicklingError(f"the name {module}.{name}")
        return found

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("references to something outside")


def load_plain_pickle(path: str | Path) -> Any:
    """What a pickle file holds, if that is numbers, text, arrays of numbers, and lists, tuples and dicts of them.

    Raises ModelError with the path for anything else, and for a missing or damaged file.
    """
    try:
        return _plain(_Reader(io.BytesIO(Path(path).read_bytes())).load())
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    except pickle.UnpicklingError as error:
        raise ModelError(f"{path}: holds {error}, must hold plain values and arrays only") from None
    except Exception as error:  # a damaged pickle raises nearly anything
        raise ModelError(f"{path}: is not an intact pickle ({type(error).__name__})") from None


def _plain(value: Any) -> Any:
    """`value` with arrays in place of what stood in for them."""
    if isinstance(value, _Array):
        if value.value is None:
            raise pickle.UnpicklingError("an array without its bytes")
        return value.value
    if isinstance(value, dict):
        return {_plain(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(one) for one in value)
    if value is None or isinstance(value, str | bytes | bool | int | float):
        return value
    raise pickle.UnpicklingError(f"a {type(value).__name__.strip('_').lower()} by itself")
