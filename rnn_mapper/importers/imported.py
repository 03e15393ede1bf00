"""The result of an importer, whatever the format of the trained model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rnn_mapper.importers.layout import Layout
from rnn_mapper.network.float_reference import FloatState
from rnn_mapper.network.network import Network
from rnn_mapper.network.tensors import FloatArray
from rnn_mapper.summary import Summarised

__all__ = ["HostStep", "Imported", "Selection"]


@dataclass(frozen=True)
class Selection:
    """Which part of a model the user wants, where the file leaves a choice."""

    #: The cell, where the file does not name it (``--cell``).
    cell: str | None = None
    #: ONNX: the tensor that the network begins with, and the one that it ends with (``--from``, ``--to``); None is the
    #: graph's own.
    start: str | None = None
    stop: str | None = None
    #: PyTorch: names of modules in the order of the data, such as ``lstm`` and ``fc`` or, with the function that
    #: follows a linear layer, ``fc:sigmoid`` (``--part``); empty takes the only one there is.
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class HostStep:
    """A step that the host takes with the outputs of the grid, such as a softmax or the choice of the last step."""

    #: Where it comes from, such as ``Softmax '/Softmax'``.
    name: str
    #: From [steps, values] to the input of the next step.
    function: Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, eq=False, repr=False)
class Imported(Summarised):
    """A network that computes what the source computes, and an account of how it was read.

    Every attribute of the source is honoured, in the network, in `state` or in `host`; an importer rejects with
    ModelError, by name, any that it cannot honour.
    """

    network: Network
    #: One line for each node or module of the source: its name, what it is and what became of it.
    account: tuple[str, ...] = ()
    #: State of every layer that a sequence starts from; None is the cleared state.
    state: tuple[FloatState, ...] | None = None
    #: The steps left to the host, in order.
    host: tuple[HostStep, ...] = ()
    #: Layout of the source's input: a module's ``batch_first``, the axes of a graph's input. None if the source does
    #: not say, as a file of tensors.
    layout: Layout | None = None

    @property
    def summary(self) -> dict[str, str]:
        """The object in a few lines, by heading."""
        return {
            **self.network.summary,
            **({"host": ", ".join(step.name for step in self.host)} if self.host else {}),
            **({"layout": str(self.layout)} if self.layout is not None else {}),
        }

    def finish(self, outputs: FloatArray) -> FloatArray:
        """The outputs of the source: those [steps, output_size] of the network after the host's steps."""
        for step in self.host:
            outputs = step.function(outputs)
        return outputs
