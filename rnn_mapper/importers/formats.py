"""Model files of any format: recognised by their content, read by the importer of the format, or refused by name."""

from __future__ import annotations

import struct
import zipfile
from collections import abc
from pathlib import Path

from rnn_mapper.cells.library import BUILT_IN
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.errors import ModelError
from rnn_mapper.importers.arrays import load_arrays
from rnn_mapper.importers.imported import Imported, Selection
from rnn_mapper.importers.messages import with_source
from rnn_mapper.importers.native import import_arrays
from rnn_mapper.importers.safetensors_files import import_safetensors
from rnn_mapper.importers.torch.archive import import_torch_archive

__all__ = ["load_model"]

_ONNX, _SAFETENSORS, _ARCHIVE, _NUMPY = "onnx", "safetensors", "torch archive", "numpy"
#: The number that torch.save wrote first before it made zip archives, as a pickle of protocol 2 has it.
_LEGACY_TORCH = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
_LOOKED_AT = 512
#: Members of an archive of torch.export, old and new.
_EXPORTED = ("serialized_exported_program.json", "models/model.json", "archive_format")
_CORE_ML = (".mlmodel", ".mlpackage")
_FORMATS = "ONNX (.onnx), a PyTorch state_dict (.pt, .pth), safetensors or a NumPy .npz"
_KERAS = "export the model to ONNX: model.export('model.onnx', format='onnx') in Keras 3, or tf2onnx"
_SAVE_AGAIN = "load it where you trust it and save its state_dict() with torch.save of PyTorch 1.6 or newer"
_SOURCE = "give the model that it was made from, as ONNX or as a PyTorch state_dict"
#: Other formats that are recognised, by the bytes at a place.
_REFUSED = (
    (0, b"\x89HDF\r\n\x1a\n", f"is HDF5 (Keras .h5, or weights alone), which is not supported: {_KERAS}"),
    (0, b"GGUF", "is GGUF, which holds no recurrent layers that can be read: give the model that it was made from"),
    (4, b"TFL3", "is TensorFlow Lite, which is not supported: export the model that it was made from to ONNX"),
    (4, b"ET12", "is ExecuTorch, which is not supported: give the PyTorch model that it was made from"),
    (4, b"ORTM", "is in the format of ONNX Runtime, which is not supported: give the .onnx that it was made from"),
    (257, b"ustar", f"is a tar archive (PyTorch before 0.4?), which is not supported: {_SAVE_AGAIN}"),
    (0, b"\x1f\x8b", "is compressed with gzip: unpack it first"),
)


def load_model(
    path: str | Path, selection: Selection | None = None, cells: abc.Mapping[str, Cell] = BUILT_IN
) -> Imported:
    """Read a model file of any known format, recognised by its content.

    `selection` says which part of it is meant, where there is a choice; `cells` are those that a file may name.
    Raises ModelError, with the path, for what cannot be read or has no place on a grid. No code of the file is run.
    """
    path, selection = Path(path), selection or Selection()
    try:
        return _import(path, _format_of(path), selection, cells)
    except MemoryError:
        raise ModelError(f"{path}: does not fit into the memory of this machine") from None


def _import(path: Path, file_format: str, selection: Selection, cells: abc.Mapping[str, Cell]) -> Imported:
    if file_format == _ONNX:
        if selection.parts:
            raise ModelError(f"{path}: --part names modules of PyTorch files; name tensors of an ONNX graph with "
                             "--from and --to")
        # ONNX alone needs the whole package of its operators.
        from rnn_mapper.importers.onnx.load import load_onnx

        return load_onnx(path, selection)
    if selection.start is not None or selection.stop is not None:
        raise ModelError(f"{path}: --from and --to name tensors of an ONNX graph; here name modules with --part")
    if file_format == _SAFETENSORS:
        return with_source(path, lambda: import_safetensors(path, selection, cells))
    if file_format == _ARCHIVE:
        return with_source(path, lambda: import_torch_archive(path, selection, cells))
    arrays = load_arrays(path)
    return with_source(path, lambda: import_arrays(arrays, selection.cell, cells, selection.parts))


def _format_of(path: Path) -> str:
    """Raises ModelError, with the path, for a format that cannot be read."""
    if path.is_dir():
        if (path / "saved_model.pb").exists():
            raise ModelError(f"{path}: is a TensorFlow SavedModel, which is not supported: {_KERAS}")
        if path.suffix in _CORE_ML:
            raise ModelError(f"{path}: is a Core ML model, which is not supported: {_SOURCE}")
        raise ModelError(f"{path}: is a directory, must be a model file: {_FORMATS}")
    try:
        with path.open("rb") as file:
            start = file.read(_LOOKED_AT)
            size = file.seek(0, 2)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or 'damaged file'}") from None
    if path.suffix in (".npz", ".npy") and not start.startswith((b"PK", b"\x93NUMPY")):
        return _NUMPY
    if not start:
        raise ModelError(f"{path}: is empty, must be {_FORMATS}")
    if start.startswith(b"PK"):
        return _format_of_zip(path)
    if start.startswith(b"\x93NUMPY"):
        return _NUMPY
    for place, mark, text in _REFUSED:
        if start[place : place + len(mark)] == mark:
            raise ModelError(f"{path}: {text}")
    if start[:1] == b"\x80" and path.suffix != ".safetensors":
        if _LEGACY_TORCH in start[:64]:
            raise ModelError(f"{path}: was saved by PyTorch before 1.6 or in its old format, a pickle that is not "
                             f"loaded: {_SAVE_AGAIN}")
        raise ModelError(f"{path}: is a pickle, which could run code and is not loaded: give {_FORMATS}")
    if path.suffix == ".safetensors" or (size > 8 and start[8:9] == b"{" and _header_length(start) <= size - 8):
        return _SAFETENSORS
    if path.suffix == ".pb":
        raise ModelError(f"{path}: is a TensorFlow graph, which is not supported: {_KERAS}")
    if path.suffix in _CORE_ML:
        raise ModelError(f"{path}: is a Core ML model, which is not supported: {_SOURCE}")
    if path.suffix == ".onnx" or start[0] == 0x08:
        return _ONNX
    raise ModelError(f"{path}: is of no known format, must be {_FORMATS}")


def _header_length(start: bytes) -> int:
    return int(struct.unpack("<Q", start[:8])[0])


def _format_of_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # zipfile raises many errors on damaged files, none of them documented
        if path.suffix in (".npz", ".npy"):
            return _NUMPY
        raise ModelError(f"{path}: is a damaged zip archive (cut off?)") from None
    if path.suffix == ".pt2" or any(name.endswith(_EXPORTED) for name in names):
        raise ModelError(
            f"{path}: is a program of torch.export (.pt2), which is not supported: save the state_dict() of the module "
            "with torch.save, or export it to ONNX"
        )
    if any(name.endswith("/data.pkl") for name in names):
        return _ARCHIVE
    if "model.weights.h5" in names or "config.json" in names:
        raise ModelError(f"{path}: is a Keras model, which is not supported: {_KERAS}")
    if path.suffix == ".npz" or any(name.endswith(".npy") for name in names):
        return _NUMPY
    raise ModelError(f"{path}: is a zip archive of no known format, must be {_FORMATS}")
