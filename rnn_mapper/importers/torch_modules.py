"""Networks from PyTorch modules."""

from __future__ import annotations

from typing import Any

from rnn_mapper.importers.imported import Imported, Selection

__all__ = ["import_module"]


def import_module(module: Any, selection: Selection | None = None) -> Imported:
    """The network of a module. Raises ModelError, by name, for what it has no place for."""
    from rnn_mapper.model_files import network_from_torch

    return Imported(network_from_torch(module))
