"""State dicts that torch.save wrote (a zip archive since PyTorch 1.6), read without PyTorch and without running them.

The archive holds a pickle that says which tensor is where in which storage, and the bytes of each storage.
"""

from __future__ import annotations

import zipfile
from collections import abc, deque
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_mapper.cells.tracing import Cell
from rnn_mapper.errors import ModelError
from rnn_mapper.importers.imported import Imported, Selection
from rnn_mapper.importers.messages import QUANTISED, printable
from rnn_mapper.importers.tensor import FileTensor, from_bytes
from rnn_mapper.importers.torch.pickles import LARGEST, Instance, Name, run_pickle
from rnn_mapper.importers.torch.state_dict import modules_of, read_state_dict
from rnn_mapper.network.layers import parse_cell
from rnn_mapper.summary import counted

__all__ = ["import_torch_archive"]

_STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool", "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64", "QInt8Storage": "qint8", "QUInt8Storage": "quint8", "QInt32Storage": "qint32",
}
_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
#: Bytes of weights that may be read for each byte of the file: tensors may share a storage.
_SHARED = 4
_SMALLEST_BUDGET = 1 << 20
_MOST_DIMENSIONS = 8
#: Limits of what dicts within dicts can grow to.
_MOST_DEPTH, _MOST_TENSORS, _LONGEST_NAME = 8, 200_000, 500
#: Names whose calls make a value of no use here, and nothing else.
_IGNORED = {
    Name("torch", "Size"), Name("torch", "device"), Name("collections", "defaultdict"), Name("collections", "Counter"),
    Name("builtins", "set"), Name("__builtin__", "set"), Name("torch.serialization", "_get_layout"),
    Name("_codecs", "encode"), Name("builtins", "complex"), Name("numpy", "dtype"),
    Name("numpy.core.multiarray", "scalar"), Name("numpy._core.multiarray", "scalar"),
}


#: Tensors that are not an array of numbers.
_OTHER_TENSORS = {
    "_rebuild_qtensor": "quantised", "_rebuild_sparse_tensor": "sparse", "_rebuild_nested_tensor": "nested",
    "_rebuild_meta_tensor_no_storage": "no", "_rebuild_tensor_v3": "quantised or unusual",
}


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str


class _Opaque(Instance):
    """Something that cannot be used; of a tensor, its dtype."""

    def __init__(self, dtype: str | None, shape: tuple[int, ...] = ()) -> None:
        self.dtype, self.shape = dtype, shape


class _Archive:
    """The relevant members of the archive, all in one folder of any name."""

    def __init__(self, file: zipfile.ZipFile, size: int) -> None:
        self.file, self.size = file, size
        self.budget = max(_SHARED * size, _SMALLEST_BUDGET)
        # Key and bytes of the storage that was read last: all weights of a module on a GPU share one.
        self.storage: tuple[str, bytes] = ("", b"")
        self.members = {info.filename: info for info in file.infolist()}
        pickles = [name for name in self.members if name.endswith("/data.pkl") and name.count("/") == 1]
        if not pickles:
            raise ModelError("is a zip archive without data.pkl, must be one that torch.save wrote")
        self.folder = pickles[0].removesuffix("data.pkl")
        if any(name.startswith((f"{self.folder}code/", f"{self.folder}constants.pkl")) for name in self.members):
            raise ModelError(
                "is TorchScript (torch.jit.save), whose code is not run: export the module to ONNX with "
                "torch.onnx.export, or save its state_dict()"
            )
        self.big_endian = False
        if f"{self.folder}byteorder" in self.members:
            self.big_endian = self.read("byteorder", 16).strip() == b"big"

    def read(self, name: str, limit: int) -> bytes:
        """A whole member of at most `limit` bytes."""
        info = self.members.get(self.folder + name)
        if info is None:
            raise ModelError(f"is damaged: member {name} is missing")
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise ModelError(f"member {name} is compressed or encrypted, which torch.save does not: save it again")
        if info.file_size > limit:
            raise ModelError(f"member {name} has {info.file_size} bytes, must have {limit} at most")
        if info.compress_size != info.file_size:  # zipfile would take memory for what it claims to be
            raise ModelError(f"is damaged: the sizes of member {name} differ")
        try:
            data = self.file.read(info)
        except MemoryError:
            raise
        except Exception as error:  # zipfile raises many errors on damaged files, none of them documented
            raise ModelError(f"is damaged: member {name} cannot be read ({type(error).__name__})") from None
        if len(data) != info.file_size:
            raise ModelError(f"is damaged: member {name} has {len(data)} bytes, must have {info.file_size}")
        return data

    def tensors(self) -> tuple[dict[str, FileTensor], list[str]]:
        """All tensors by name, and remarks on what else there is."""
        value = run_pickle(self.read("data.pkl", LARGEST), self._call, self._outside)
        return _state_dict(value)

    def _outside(self, reference: Any) -> Any:
        """A storage: ("storage", class, key, device, count)."""
        if not isinstance(reference, tuple) or len(reference) < 4 or reference[0] != "storage":
            raise ModelError("the pickle refers to something that is not a storage")
        name, key = reference[1], reference[2]
        if not isinstance(name, Name) or name.module not in ("torch", "torch.storage") or not isinstance(key, str):
            raise ModelError("the pickle refers to a storage of an unknown type")
        return _Storage(key, _STORAGES.get(name.name, printable(name.name)))

    def _call(self, name: Name, arguments: tuple[Any, ...]) -> Any:
        if name == Name("collections", "OrderedDict"):
            if arguments:
                raise ModelError("an OrderedDict comes with arguments, as no state_dict has them")
            return {}
        if name.module == "torch._utils" and name.name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return self._tensor(arguments)
        if name.module == "torch._utils" and name.name in ("_rebuild_parameter", "_rebuild_parameter_with_state"):
            return arguments[0]
        if name == Name("torch._tensor", "_rebuild_from_type_v2") and isinstance(arguments[0], Name):
            return self._call(arguments[0], arguments[2])
        if name.module == "torch._utils" and name.name in _OTHER_TENSORS:
            # Of most, the arguments are a storage, an offset and the sizes.
            shape = arguments[2] if len(arguments) > 2 and _counts(arguments[2]) else ()
            return _Opaque(_OTHER_TENSORS[name.name], tuple(shape))
        if name in _IGNORED:
            return _Opaque(None)
        if name == Name("copyreg", "_reconstructor") and isinstance(arguments[0], Name):
            name = arguments[0]
        if name.name in ("ScriptObject", "_rebuild_qtensor") or "quantized" in f"{name.module}.{name.name}":
            raise ModelError(f"holds {name}: {QUANTISED}")
        raise ModelError(
            f"holds a pickled object of {name}, which is not loaded: save module.state_dict() instead, or export the "
            "model to ONNX"
        )

    def _tensor(self, arguments: tuple[Any, ...]) -> FileTensor | _Opaque:
        storage, offset, shape, strides = arguments[:4]
        if not isinstance(storage, _Storage) or not _counts((offset,)) or not _counts(shape) or not _counts(strides):
            raise ModelError("a tensor has no storage, or no sizes")
        if len(shape) != len(strides) or len(shape) > _MOST_DIMENSIONS:
            raise ModelError(f"a tensor has {len(shape)} sizes and {len(strides)} strides")
        read = partial(self._read, storage, offset, tuple(shape), tuple(strides))
        return FileTensor(tuple(shape), storage.dtype, read)

    def _read(
        self, storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> npt.NDArray[Any]:
        width = _BYTES[storage.dtype]
        if self.storage[0] != storage.key:
            self.storage = storage.key, self.read(f"data/{storage.key}", self.size)
        data = self.storage[1]
        count = len(data) // width
        size = 1
        for one in shape:
            size *= one
        last = offset + sum((one - 1) * stride for one, stride in zip(shape, strides, strict=True))
        if size and (last >= count or size > count):
            raise ModelError(
                f"a tensor of shape {list(shape)} at {offset} with strides {list(strides)} goes beyond its storage of "
                f"{counted(count, 'value')}"
            )
        self.budget -= size * width
        if self.budget < 0:
            raise ModelError("its tensors share storages so often that they are far larger than the file")
        values = from_bytes(memoryview(data)[: count * width], storage.dtype, self.big_endian)
        if not size:
            return np.zeros(shape, values.dtype)
        width = values.dtype.itemsize
        view = np.lib.stride_tricks.as_strided(values[offset:], shape, [stride * width for stride in strides])
        return view.copy()


def _counts(values: Any) -> bool:
    return isinstance(values, tuple) and all(type(value) is int and 0 <= value < 1 << 48 for value in values)


def _state_dict(value: Any) -> tuple[dict[str, FileTensor], list[str]]:
    """The tensors of the object that was saved: a state_dict, or a checkpoint that holds one."""
    if isinstance(value, FileTensor):
        raise ModelError("holds a single tensor, must hold a state_dict")
    if not isinstance(value, dict):
        raise ModelError(f"holds a {type(value).__name__}, must hold a state_dict (names and tensors)")
    owners = {name: _flat(one) for name, one in value.items() if isinstance(one, dict)}
    holders = [
        name for name, tensors in owners.items() if any(one.role != "other" for one in modules_of(tensors).values())
    ]
    if len(holders) == 1 and not any(isinstance(one, FileTensor) for one in value.values()):
        beside = ", ".join(printable(name) for name in list(value)[:12] if name != holders[0])
        return owners[holders[0]], [f"'{printable(holders[0])}' of the file" + (f", beside {beside}" if beside else "")]
    return _flat(value), []


def _flat(value: dict[str, Any]) -> dict[str, FileTensor]:
    """Tensors by their names, those of inner dicts after the name of the dict; each dict is looked at once."""
    found: dict[str, FileTensor] = {}
    waiting = deque([("", value, 1)])
    seen: set[int] = set()
    while waiting:
        start, one, depth = waiting.popleft()
        if id(one) in seen:
            continue
        seen.add(id(one))
        for name, item in one.items():
            full = start + name
            if len(full) > _LONGEST_NAME or len(found) > _MOST_TENSORS:
                raise ModelError(f"holds more than {_MOST_TENSORS} tensors, or names of more than {_LONGEST_NAME} "
                                 "characters")
            if isinstance(item, FileTensor):
                found[full] = item
            elif isinstance(item, dict) and depth < _MOST_DEPTH:
                waiting.append((f"{full}.", item, depth + 1))
            elif isinstance(item, _Opaque) and item.dtype is not None:
                found[full] = FileTensor(item.shape, item.dtype, partial(np.zeros, ()))
    return found


def import_torch_archive(path: Path, selection: Selection, cells: abc.Mapping[str, Cell]) -> Imported:
    """The network of a file that torch.save wrote of a state_dict, a zip archive that can be opened.

    Raises ModelError without the path.
    """
    with zipfile.ZipFile(path) as file:
        tensors, remarks = _Archive(file, path.stat().st_size).tensors()
        cell = None if selection.cell is None else parse_cell(selection.cell, cells)
        return read_state_dict(tensors, selection.parts, cell, remarks)
