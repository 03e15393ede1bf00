"""Which importer a file is for, by its content."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rnn_mapper.cells.tracing import Cell
from rnn_mapper.importers.imported import Imported, Selection

__all__ = ["import_file"]


def import_file(path: Path, selection: Selection, cells: Mapping[str, Cell]) -> Imported:
    """As `rnn_mapper.importers.load_model`."""
    from rnn_mapper.model_files import load_network

    if path.suffix == ".onnx":
        from rnn_mapper.importers.onnx_files import load_onnx

        return load_onnx(path, selection)
    return Imported(load_network(path, selection.cell, cells))
