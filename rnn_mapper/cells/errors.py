"""Errors of cells."""

from rnn_mapper.errors import ModelError

__all__ = ["CellError"]


class CellError(ModelError):
    """A cell that cannot be traced, bound to its parameters or mapped. Names the line of the cell and the rule."""
