"""Parts of messages: text of a file that is safe to print, and the source in front of an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from rnn_mapper.errors import ModelError

__all__ = ["QUANTISED", "one_line", "printable", "quoted", "with_source"]

Made = TypeVar("Made")

#: What to do about weights that PyTorch has quantised.
QUANTISED = (
    "weights that PyTorch has quantised (quantize_dynamic and the like), which are not read: give the model, or its "
    "state_dict(), from before that; the grid has a quantisation of its own"
)


def with_source(source: object, build: Callable[[], Made]) -> Made:
    """The result of `build`; its ModelError then begins with the source."""
    try:
        return build()
    except ModelError as error:
        raise ModelError(f"{source}: {error}") from None


def printable(text: str, longest: int = 60) -> str:
    """Text of a file for a message: cut, and without characters that a terminal would obey."""
    shown = "".join(character if character.isprintable() else "?" for character in text[:longest])
    return shown + "..." * (len(text) > longest)


def one_line(error: Exception) -> str:
    """The text of another package's error for a message."""
    return printable(" ".join(str(error).split()), 240)


def quoted(name: str) -> str:
    """A name of the file for a message: on one line, and not longer than is readable."""
    return repr(name if len(name) <= 80 else name[:77] + "...")
