"""Cells from a user's Python file. The file is run, with all that Python can do: load only what you trust."""

from __future__ import annotations

import contextlib
import runpy
import sys
import traceback
from pathlib import Path

from rnn_mapper.cells.errors import CellError
from rnn_mapper.cells.library import BOX
from rnn_mapper.cells.tracing import Cell

__all__ = ["load_cells", "with_cells"]


def load_cells(path: str | Path) -> dict[str, Cell]:
    """The cells that a Python file defines with `@cell`, by name.

    Runs the file; what it prints goes to standard error. Raises CellError, with file and line, if the file cannot be
    run, defines no cell, or names one as a cell in the box is named.
    """
    file = Path(path)
    if not file.is_file():
        raise CellError(f"{path}: {'is a directory' if file.is_dir() else 'no such file'}, must be a Python file")
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            found = runpy.run_path(str(file), run_name=f"spatial_rnn_cells.{file.stem}")
    except CellError:
        raise
    except SyntaxError as error:
        raise CellError(f"{Path(error.filename or file).name}:{error.lineno}: {error.msg}") from None
    except (Exception, SystemExit) as error:
        raise CellError(f"{_place(error, file)}: {type(error).__name__}: {error}") from None
    finally:
        sys.path.remove(folder)
    cells = {
        value.name: value for value in found.values()
        if isinstance(value, Cell) and value.function.__code__.co_filename == str(file)
    }
    if not cells:
        raise CellError(f"{path}: defines no cell; a cell is a function with @cell before it")
    for name, made in cells.items():
        if name in BOX:
            raise CellError(f"{made.line}: a cell {name} is in the box already; give this one another name")
    return cells


def with_cells(path: str | Path | None) -> dict[str, Cell]:
    """The cells in the box and those of a file, if one is given."""
    return dict(BOX) if path is None else BOX | load_cells(path)


def _place(error: BaseException, file: Path) -> str:
    """The deepest line of the file that the error passed."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return f"{file.name}:{lines[-1]}" if lines else file.name
