"""Networks from safetensors files: tensors by PyTorch's names."""

from __future__ import annotations

import json
from collections import abc
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt

from rnn_mapper.cells.tracing import Cell
from rnn_mapper.errors import ModelError
from rnn_mapper.importers.imported import Imported, Selection
from rnn_mapper.importers.messages import one_line, printable
from rnn_mapper.importers.tensor import FileTensor, from_bytes
from rnn_mapper.importers.torch.state_dict import read_state_dict
from rnn_mapper.network.layers import parse_cell

__all__ = ["import_safetensors"]

#: Bytes; a tensor takes about 100.
_LONGEST_HEADER = 32 << 20
_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "C64": "complex64",
}


def import_safetensors(path: Path, selection: Selection, cells: abc.Mapping[str, Cell]) -> Imported:
    """The network of a safetensors file. Raises ModelError without the path."""
    import safetensors

    with path.open("rb") as file:
        if (length := int.from_bytes(file.read(8), "little")) > _LONGEST_HEADER:
            raise ModelError(f"has a header of {length} bytes, must have {_LONGEST_HEADER} at most")
    try:
        # The package checks the header: sizes, types, no gaps or overlaps, nothing beyond the file.
        with safetensors.safe_open(path, framework="np"):
            pass
    except Exception as error:  # its own, and those of the system; which ones is not documented
        raise ModelError(f"is damaged, or not a safetensors file: {one_line(error)}") from None
    with path.open("rb") as file:
        file.seek(8)
        header: dict[str, Any] = json.loads(file.read(length))
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        dtype = _DTYPES.get(entry["dtype"], printable(str(entry["dtype"])))
        first, last = entry["data_offsets"]
        shape = tuple(entry["shape"])
        tensors[name] = FileTensor(shape, dtype, partial(_read, path, 8 + length + first, last - first, dtype, shape))
    cell = None if selection.cell is None else parse_cell(selection.cell, cells)
    return read_state_dict(tensors, selection.parts, cell)


def _read(path: Path, place: int, size: int, dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    with path.open("rb") as file:
        file.seek(place)
        return from_bytes(file.read(size), dtype).reshape(shape)
