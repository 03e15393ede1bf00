"""Files and directories of results: written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from hdl.errors import OutputError
from rnn_mapper.cli.interruption import unfinished

__all__ = ["check_writable", "output_directory", "replace_file"]


def check_writable(path: Path) -> None:
    """Raise `OutputError` when the file `path` cannot be written. Nothing is created."""
    if path.is_dir():
        raise OutputError(f"{path}: is a directory; name a file")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: cannot be written ({path.parent} is not a directory); create it or name another")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise OutputError(f"{path}: cannot be written (permission denied); name another file")


def replace_file(path: Path, content: bytes) -> None:
    """Write a file; on an error the old content stays. Raises `OutputError`."""
    check_writable(path)
    if path.exists() and not path.is_file():
        # A device or a pipe cannot be replaced.
        path.write_bytes(content)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); name another file") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def output_directory(path: Path, force: bool) -> Iterator[Path]:
    """A new, empty directory; if the block succeeds its contents are moved to `path`, else they are deleted.

    Raises `OutputError`, before the block runs, if `path` has files and `force` is not set, or cannot be written. With
    `force` the files and directories of the same name in `path` are replaced, others stay.
    """
    target = path.absolute()
    if target.exists() and not target.is_dir():
        raise OutputError(f"{path}: exists and is not a directory; choose another directory")
    try:
        if not force and target.is_dir() and any(target.iterdir()):
            raise OutputError(f"{path}: exists and holds files; choose another directory or add --force")
        existing = target if target.is_dir() else next(parent for parent in target.parents if parent.exists())
        if not os.access(existing, os.W_OK):
            raise OutputError(f"{path}: cannot be written (permission denied); choose another directory")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another directory") from error
    # Its name is known before it is made, so that an interruption at any time finds it.
    work = existing / f".spatial-rnn-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        new, old = work / "new", work / "old"
        try:
            work.mkdir(mode=0o700)
            new.mkdir()
            old.mkdir()
        except OSError as error:
            raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another directory") from error
        with unfinished(work):
            yield new
        try:
            target.mkdir(parents=True, exist_ok=True)
            for entry in sorted(new.iterdir()):
                if os.path.lexists(target / entry.name):
                    (target / entry.name).rename(old / entry.name)
                entry.rename(target / entry.name)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another directory") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
