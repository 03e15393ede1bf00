"""Python files of the user. They are run, and can do all that Python can do: load only files that you trust."""

from __future__ import annotations

import contextlib
import runpy
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rnn_mapper.errors import SpatialRnnError

__all__ = ["run_file", "user_code"]


@contextlib.contextmanager
def user_code(file: Path, kind: type[SpatialRnnError]) -> Iterator[None]:
    """Run code of `file`: its output goes to standard error, its errors become one line with file and line number.

    That line is an error of type `kind`. The project's own errors are raised unchanged.
    """
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except SpatialRnnError:
        raise
    except SyntaxError as error:
        raise kind(f"{Path(error.filename or file).name}:{error.lineno}: {error.msg}") from None
    except (Exception, SystemExit) as error:
        raise kind(f"{_place(error, file)}: {type(error).__name__}: {error}") from None
    finally:
        sys.path.remove(folder)


def run_file(file: Path, package: str, kind: type[SpatialRnnError]) -> dict[str, Any]:
    """The names that a Python file defines, as a module of `package`. Raises `kind` if it is missing or fails."""
    if not file.is_file():
        raise kind(f"{file}: {'is a directory' if file.is_dir() else 'no such file'}, must be a Python file")
    with user_code(file, kind):
        return runpy.run_path(str(file), run_name=f"{package}.{file.stem}")


def _place(error: BaseException, file: Path) -> str:
    """File and line number of the error: the innermost line of the file in the traceback."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return f"{file.name}:{lines[-1]}" if lines else file.name
