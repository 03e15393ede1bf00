"""Trained networks of PyPI packages, end to end: real input, the end task, and a part of it in the grid's Verilog."""

from __future__ import annotations

from rnn_mapper.real_models.catalogue import MODELS, load
from rnn_mapper.real_models.model import RealModel, measure
from rnn_mapper.real_models.outcome import Accuracy, Facts, Outcome, Simulated, Task

__all__ = ["MODELS", "Accuracy", "Facts", "Outcome", "RealModel", "Simulated", "Task", "load", "measure"]
