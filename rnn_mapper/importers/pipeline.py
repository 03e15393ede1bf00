"""Layers, functions and host steps in the order of the data, put together as a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.imported import HostStep, Imported
from rnn_mapper.importers.layout import Layout
from rnn_mapper.importers.recurrent import dense_layer
from rnn_mapper.importers.tensor import FileTensor
from rnn_mapper.network.layers import Block, Dense
from rnn_mapper.network.network import Network
from rnn_mapper.network.tensors import FloatArray

__all__ = ["FUNCTIONS", "HOST_FUNCTIONS", "Pipeline", "network_of"]

#: Functions that the grid computes after a linear layer.
FUNCTIONS = ("identity", "sigmoid", "tanh", "relu")


def _softmax(outputs: FloatArray) -> FloatArray:
    powers = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _log_softmax(outputs: FloatArray) -> FloatArray:
    shifted = outputs - outputs.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


#: Functions over all outputs of a step, which are left to the host, at the end alone.
HOST_FUNCTIONS: dict[str, Callable[[FloatArray], FloatArray]] = {"softmax": _softmax, "log_softmax": _log_softmax}


@dataclass
class _Linear:
    name: str
    weight: FileTensor
    bias: FileTensor | None
    #: None until a function follows.
    function: str | None = None
    #: The note of the account if no function follows.
    note: str = ""


@dataclass
class Pipeline:
    """The layers found so far, in order. Every addition raises ModelError if it cannot follow."""

    _items: list[_Linear | Block] = field(default_factory=list)
    _lines: list[str | _Linear] = field(default_factory=list)
    _host: list[HostStep] = field(default_factory=list)
    _layout: Layout | None = None

    def recurrent(self, text: str, layers: Sequence[Block], layout: Layout | None = None) -> None:
        """Recurrent layers; `text` is for the account, such as ``LSTM 'encoder'``, `layout` that of their input.

        The layout of the first of them is that of the model's input.
        """
        self._check_open(text)
        if not any(isinstance(item, Block) for item in self._items):
            self._layout = layout
        first, last = len(self._items), len(self._items) + len(layers) - 1
        sizes = " -> ".join(str(size) for size in (layers[0].input_size, *(layer.output_size for layer in layers)))
        both = ", bidirectional" if any(layer.merge for layer in layers) else ""
        place = f"layer {first}" if first == last else f"layers {first} to {last}"
        self._items += layers
        self._lines.append(f"{text}, {sizes}{both}: {place}")

    def linear(self, name: str, weight: FileTensor, bias: FileTensor | None, note: str = "") -> None:
        """A linear layer, [outputs, inputs] and [outputs] or None; `note` is for the account if no function follows."""
        self._check_open(f"Linear '{name}'")
        made = _Linear(name, weight, bias, None, note)
        self._items.append(made)
        self._lines.append(made)

    def function(self, name: str, text: str) -> None:
        """A function of FUNCTIONS or HOST_FUNCTIONS; `text` is where it comes from, such as ``Sigmoid 'net.1'``."""
        if name in HOST_FUNCTIONS:
            if not self._items:
                raise ModelError(f"{text} comes before every layer; apply it to the inputs instead")
            self._check_open(text)
            self._host.append(HostStep(f"{name} ({text})", HOST_FUNCTIONS[name]))
            self._lines.append(f"{text}: left to the host")
            return
        if name not in FUNCTIONS:
            raise ModelError(f"{text}: function '{name}' is not supported: choose {', '.join(known_functions())}")
        self._check_open(text)
        last = self._items[-1] if self._items else None
        if not isinstance(last, _Linear):
            where = "follows a recurrent layer" if last else "comes before every layer"
            raise ModelError(f"{text} {where}: the grid has functions after linear layers only")
        if last.function is not None:
            raise ModelError(
                f"{text} follows {last.function} of '{last.name}': a linear layer has at most one function"
            )
        last.function = name

    def remark(self, line: str) -> None:
        """A line of the account for something without effect, such as dropout in inference."""
        self._lines.append(line)

    def _check_open(self, text: str) -> None:
        if self._host:
            raise ModelError(f"{text} follows {self._host[-1].name}, which is left to the host and must come last")

    def imported(self) -> Imported:
        """The network with its account. Raises ModelError if the sizes do not follow one another."""
        places: dict[int, str] = {}
        layers: list[Block] = []
        for item in self._items:
            if isinstance(item, _Linear):
                dense = dense_layer(item.weight, item.bias, item.function or "identity", item.name or "linear")
                places[id(item)] = f"layer {len(layers)}"
                layers.append(dense)
            else:
                layers.append(item)
        if not layers:
            raise ModelError("there is no layer with weights, must be at least one")
        network = network_of(layers)
        if network.head is not None:
            places[id(self._items[-1])] = "head"
        account = []
        for line in self._lines:
            if isinstance(line, _Linear):
                sizes = f"{line.weight.shape[1]} -> {line.weight.shape[0]}"
                function = f", {line.function}" if line.function is not None else line.note
                bias = "" if line.bias is not None else ", without bias"
                account.append(f"Linear '{line.name}', {sizes}{bias}{function}: {places[id(line)]}")
            else:
                account.append(line)
        return Imported(network, tuple(account), host=tuple(self._host), layout=self._layout)


def known_functions() -> tuple[str, ...]:
    """Everything that `Pipeline.function` takes."""
    return (*FUNCTIONS, *HOST_FUNCTIONS)


def network_of(layers: Sequence[Block], head: Dense | None = None) -> Network:
    """Stacked layers as a network; without `head` a dense layer at the end, of several, becomes it."""
    last = layers[-1]
    if head is None and len(layers) > 1 and isinstance(last, Dense):
        head, layers = last, layers[:-1]
    return Network(tuple(layers), head)
