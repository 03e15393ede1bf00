"""Trained models in the formats that people have them in. Each importer is a module; `load_model` chooses one."""

from __future__ import annotations

from collections import abc
from pathlib import Path

from rnn_mapper.cells.library import BUILT_IN
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.importers.imported import HostStep, Imported, Selection

__all__ = ["HostStep", "Imported", "Selection", "load_model"]


def load_model(
    path: str | Path, selection: Selection | None = None, cells: abc.Mapping[str, Cell] = BUILT_IN
) -> Imported:
    """Read a model file of any format that is known, chosen by its content.

    `selection` says which part of it is meant, where there is a choice; `cells` are those that a file may name.
    Raises ModelError, with the path, for what cannot be read or has no place on a grid. No code of the file is run.
    """
    from rnn_mapper.importers.formats import import_file

    return import_file(Path(path), selection or Selection(), cells)
