"""Tensors of an ONNX file as arrays, after a check that the file holds what they declare."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.messages import quoted

__all__ = ["AnyArray", "Tensor", "as_text"]

AnyArray = npt.NDArray[Any]

#: Bytes of an element in raw data, by the name of the element type.
_SIZES = {
    "FLOAT": 4, "DOUBLE": 8, "FLOAT16": 2, "BFLOAT16": 2, "INT64": 8, "INT32": 4, "INT16": 2, "INT8": 1, "UINT8": 1,
    "UINT16": 2, "UINT32": 4, "BOOL": 1,
}
_FIELDS = {"FLOAT": "float_data", "DOUBLE": "double_data", "INT64": "int64_data", "UINT32": "uint64_data"}
_FLOATS = ("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16")
#: More than any tensor of a real network has; keeps products of dimensions small.
_MAX_DIMENSIONS = 16


def as_text(value: object) -> str:
    """A name of the file; raises ModelError if it is not text, for which protobuf gives bytes."""
    if not isinstance(value, str):
        raise ModelError(f"damaged, or not an ONNX file: a name is not text ({str(value)[:40]})")
    return value


@dataclass(eq=False)
class Tensor:
    """A tensor that a file holds, read when it is asked for."""

    proto: Any
    #: Folder of the model, for data in other files; None if there is none.
    folder: Path | None
    #: Its name in messages.
    name: str
    _array: AnyArray | None = field(default=None, init=False)

    @property
    def dtype(self) -> str:
        """Name of the element type, such as FLOAT."""
        from onnx import TensorProto

        known = {number: name for name, number in TensorProto.DataType.items()}
        return str(known.get(self.proto.data_type, self.proto.data_type))

    @property
    def is_float(self) -> bool:
        """The elements are floating point."""
        return self.dtype in _FLOATS

    def array(self) -> AnyArray:
        """float64, int64 or bool; raises ModelError if the file does not hold exactly that many elements."""
        if self._array is None:
            self._array = self._read()
            self._array.setflags(write=False)
        return self._array

    def _read(self) -> AnyArray:
        from onnx import TensorProto, numpy_helper

        proto, dtype = self.proto, self.dtype
        if dtype not in _SIZES:
            raise ModelError(f"tensor {quoted(self.name)} holds {dtype} values, which are not supported")
        shape = tuple(proto.dims)
        if len(shape) > _MAX_DIMENSIONS or any(size < 0 for size in shape):
            raise ModelError(f"tensor {quoted(self.name)} has shape {list(shape[:20])}, which no tensor has")
        if proto.HasField("segment"):
            raise ModelError(f"tensor {quoted(self.name)} is stored in segments, which is not supported")
        count = math.prod(shape)
        wanted = count * _SIZES[dtype]
        if proto.data_location == TensorProto.EXTERNAL:
            data = self._external(wanted)
            copy = TensorProto(dims=shape, data_type=proto.data_type, raw_data=data)
            array = numpy_helper.to_array(copy)
        else:
            self._check_data(count, wanted, dtype)
            array = numpy_helper.to_array(proto)
        if array.shape != shape:
            raise ModelError(f"tensor {quoted(self.name)} has {array.size} elements, its shape is {list(shape)}")
        if dtype == "BOOL":
            return np.array(array, dtype=bool)
        return np.array(array, dtype=np.float64 if dtype in _FLOATS else np.int64)

    def _check_data(self, count: int, wanted: int, dtype: str) -> None:
        if self.proto.HasField("raw_data"):
            found = len(self.proto.raw_data)
            if found != wanted:
                raise ModelError(
                    f"tensor {quoted(self.name)} has {found} bytes of data, must have {wanted} for its shape "
                    f"{list(self.proto.dims)}"
                )
            return
        found = len(getattr(self.proto, _FIELDS.get(dtype, "int32_data")))
        if found != count:
            raise ModelError(
                f"tensor {quoted(self.name)} has {found} elements, must have {count} for its shape "
                f"{list(self.proto.dims)}"
            )

    def _external(self, wanted: int) -> bytes:
        """The bytes of a tensor that another file of the model's folder holds."""
        where = f"tensor {quoted(self.name)}: external data"
        entries = {as_text(entry.key): as_text(entry.value) for entry in self.proto.external_data}
        location = entries.get("location", "")
        if self.folder is None:
            raise ModelError(f"{where} in {quoted(location)}: the model did not come from a file")
        path = Path(location)
        if not location or "\0" in location or path.is_absolute() or ".." in path.parts or "\\" in location:
            raise ModelError(f"{where} in {quoted(location)}: must be a file inside the model's folder")
        folder = self.folder.resolve()
        try:
            full = (folder / path).resolve(strict=True)
        except (OSError, RuntimeError):
            raise ModelError(f"{where} in {quoted(location)}: no such file in {folder}") from None
        if not full.is_relative_to(folder):
            raise ModelError(f"{where} in {quoted(location)}: is a link out of the model's folder, must be in it")
        if not full.is_file():
            raise ModelError(f"{where} in {quoted(location)}: is not a file")
        offset, size = (_number(where, key, entries.get(key)) for key in ("offset", "length"))
        start, there = offset or 0, full.stat().st_size
        length = there - start if size is None else size
        if length != wanted:
            raise ModelError(
                f"{where} in {quoted(location)} is {length} bytes long, must be {wanted} for the shape "
                f"{list(self.proto.dims)}"
            )
        if start + length > there:
            raise ModelError(f"{where} in {quoted(location)} ends at byte {start + length}, the file has {there}")
        try:
            with full.open("rb") as file:
                file.seek(start, os.SEEK_SET)
                return file.read(length)
        except OSError as error:
            raise ModelError(f"{where} in {quoted(location)} cannot be read: {error.strerror}") from None


def _number(where: str, key: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ModelError(f"{where} has {key} {quoted(text)}, must be a number of bytes")
    return int(text)
