"""Trained networks in floating point, and the segments in which a grid runs them.

A layer that runs from the last step to the first needs the whole sequence, so the layer above it can only begin when
the sequence is over. A network is therefore a list of segments that run one after the other. Every bidirectional or
reversed layer is a segment of its own; in a bidirectional segment two networks run step by step side by side. The
layers between two such layers form a segment too, together with the head if they are the last. A network whose layers
all run forward is one segment.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rnn_mapper.errors import ModelError
from rnn_mapper.network.input_coding import InputCoding
from rnn_mapper.network.layers import Block, Dense, Layer
from rnn_mapper.network.tensors import FloatArray
from rnn_mapper.summary import Summarised, counted

__all__ = ["Network", "Segment", "single_segment", "turned"]


@dataclass(frozen=True, eq=False)
class Segment:
    """Layers that run as one model of the grid: one network, or both directions of a layer with their merge mode."""

    name: str
    networks: tuple[Network, ...]
    #: For each network: the names of its layers and its head in the whole network, such as ``layer 1 backward``.
    layer_names: tuple[tuple[str, ...], ...]
    merge: str | None = None
    #: For each network: whether it runs from the last step to the first.
    backward: tuple[bool, ...] = (False,)

    def merged(self, outputs: Sequence[FloatArray]) -> FloatArray:
        """The merged output [steps, output_size] of the networks' outputs, all in the order of the sequence."""
        return outputs[0] + outputs[1] if self.merge == "sum" else np.concatenate(outputs, axis=1)


@dataclass(frozen=True, eq=False, repr=False)
class Network(Summarised):
    """Stacked layers, each fed by the output of the one before it, and an optional dense head.

    `coding` is what the host does with the inputs before the first layer; every function that takes inputs of the
    network applies it. Raises ModelError if there is no layer or the sizes do not follow one another.
    """

    layers: tuple[Block, ...]
    head: Dense | None = None
    coding: InputCoding | None = None

    @property
    def summary(self) -> dict[str, str]:
        """The object in a few lines, by heading."""
        sizes = " -> ".join(str(size) for size in (self.input_size, *(layer.output_size for layer in self.layers)))
        head = "" if self.head is None else f", head to {self.output_size}"
        weights = sum(tensor.size for layer in self.stack for tensor in layer.tensors.values())
        return {"layers": f"{' '.join(layer.kind for layer in self.layers)} {sizes}{head}", "numbers": f"{weights:,}"}

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise ModelError("the network has no layer, must have at least one")
        for index, (below, layer) in enumerate(itertools.pairwise(self.layers), start=1):
            if layer.input_size != below.output_size:
                raise ModelError(
                    f"layer {index} ({layer.kind}) takes {counted(layer.input_size, 'value')}, "
                    f"must take {below.output_size}, the output of layer {index - 1}"
                )
        if self.head is not None and self.head.input_size != self.hidden_size:
            raise ModelError(
                f"head.weight has {self.head.input_size} columns, must have {self.hidden_size}, the last hidden size"
            )
        if self.coding is not None and len(self.coding.scale) != self.input_size:
            raise ModelError(
                f"input.scale has {counted(len(self.coding.scale), 'value')}, must have {self.input_size}, one "
                "for each feature"
            )

    @property
    def all_layers(self) -> tuple[Block, ...]:
        """The layers, and the head if there is one."""
        return self.layers if self.head is None else (*self.layers, self.head)

    @property
    def single_layers(self) -> tuple[Layer, ...]:
        """The layers, with both directions of a bidirectional one listed (forward first): each has its own state."""
        return tuple(layer for block in self.layers for layer, _ in block.directions)

    @property
    def stack(self) -> tuple[Layer, ...]:
        """`single_layers`, and the head if there is one."""
        return self.single_layers if self.head is None else (*self.single_layers, self.head)

    @property
    def input_size(self) -> int:
        """Features per input step."""
        return self.layers[0].input_size

    @property
    def hidden_size(self) -> int:
        """Number of output values of the last layer before the head."""
        return self.layers[-1].output_size

    @property
    def output_size(self) -> int:
        """Values per output step."""
        return self.all_layers[-1].output_size

    def coded(self, inputs: FloatArray) -> FloatArray:
        """The values that the first layer takes, for inputs [steps, input_size]."""
        return inputs if self.coding is None else self.coding.apply(inputs)

    def layer_name(self, index: int) -> str:
        """``layer 0``, ..., ``head``."""
        return f"layer {index}" if index < len(self.layers) else "head"

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The segments in running order; a head above a bidirectional or reversed layer is a segment of its own."""
        return tuple(self._segments())

    def _segments(self) -> Iterator[Segment]:
        groups = itertools.groupby(enumerate(self.all_layers), key=lambda item: _runs_forward(item[1]))
        coding = self.coding
        for forward, group in groups:
            members = list(group)
            names = tuple(self.layer_name(index) for index, _ in members)
            if not forward:
                for name, (_, block) in zip(names, members, strict=True):
                    networks = tuple(Network((layer,), coding=coding) for layer, _ in block.directions)
                    coding = None
                    backward = tuple(turns for _, turns in block.directions)
                    halves = (name,) if block.merge is None else (f"{name} forward", f"{name} backward")
                    yield Segment(name, networks, tuple((half,) for half in halves), block.merge, backward)
            elif len(members) == len(self.all_layers):
                yield Segment(_span(names), (self,), (names,))
            else:
                blocks = [block for _, block in members]
                with_head = self.head is not None and names[-1] == "head" and len(blocks) > 1
                kept, head = (blocks[:-1], self.head) if with_head else (blocks, None)
                network, coding = Network(tuple(kept), head, coding), None
                yield Segment(_span(names), (network,), (names,))


def _runs_forward(block: Block) -> bool:
    return not any(backward for _, backward in block.directions)


def _span(names: Sequence[str]) -> str:
    """The name of a segment, such as ``layers 1 to 2 and head``."""
    layers = [name for name in names if name != "head"]
    span = layers[:1] if len(layers) < 2 else [f"layers {layers[0].split()[1]} to {layers[-1].split()[1]}"]
    return " and ".join([*span, *names[len(layers) :]])


def single_segment(network: Network, what: str) -> Network:
    """The network itself if all its layers run forward, as `what` needs; raises ModelError with `what` otherwise."""
    if network.segments[0].networks[0] is not network:
        raise ModelError(f"bidirectional layers are not supported by {what}: `map` and `simulate` take them")
    return network


def turned(values: Any, backward: bool) -> Any:
    """[steps, values] from the order of the sequence to the order in which a network runs, or back."""
    return values[::-1] if backward else values
