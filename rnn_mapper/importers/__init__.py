"""Trained models in the formats that people have them in. Each importer is a module; `load_model` chooses one."""

from __future__ import annotations

from rnn_mapper.importers.imported import HostStep, Imported, Selection

__all__ = ["HostStep", "Imported", "Selection"]
