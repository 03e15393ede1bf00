"""Cells from a user's Python file. The file is run, with all that Python can do: load only what you trust."""

from __future__ import annotations

from pathlib import Path

from rnn_mapper.cells.errors import CellError
from rnn_mapper.cells.library import BUILT_IN
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.user_code import run_file

__all__ = ["load_cells", "with_cells"]


def load_cells(path: str | Path) -> dict[str, Cell]:
    """The cells that a Python file defines with `@cell`, by name.

    Runs the file; what it prints goes to standard error. Raises CellError, with file and line, if the file cannot be
    run, defines no cell, or gives one the name of a built-in cell.
    """
    file = Path(path)
    found = run_file(file, "spatial_rnn_cells", CellError)
    cells = {
        value.name: value for value in found.values()
        if isinstance(value, Cell) and value.function.__code__.co_filename == str(file)
    }
    if not cells:
        raise CellError(f"{path}: defines no cell; a cell is a function with @cell before it")
    for name, made in cells.items():
        if name in BUILT_IN:
            raise CellError(f"{made.line}: cell {name} is built in; give this one another name")
    return cells


def with_cells(path: str | Path | None) -> dict[str, Cell]:
    """The built-in cells and the cells of a file, if one is given."""
    return dict(BUILT_IN) if path is None else BUILT_IN | load_cells(path)
