"""Model files and PyTorch modules in; a float `Network`, with an account of how it was read, out."""

from rnn_mapper.importers.formats import load_model
from rnn_mapper.importers.imported import HostStep, Imported, Selection

__all__ = ["HostStep", "Imported", "Selection", "load_model"]
