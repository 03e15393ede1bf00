"""Networks in floating point, as trained, and the segments in which a grid runs them.

A layer that runs from the last step to the first needs the whole sequence, so the layer above it begins when the
sequence is over. A network is therefore a list of segments that run one after the other: every bidirectional or
reversed layer is a segment of its own (of a bidirectional one, two networks run step by step side by side), and so are
the layers between two of them, with the head if they are the last. A network whose layers all run forward is one
segment.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rnn_mapper.errors import ModelError
from rnn_mapper.network.layers import Block, Dense, Layer
from rnn_mapper.network.tensors import FloatArray

__all__ = ["Network", "Segment", "single_segment", "turned"]


@dataclass(frozen=True, eq=False)
class Segment:
    """What runs as one model of the grid: one network, or the two directions of a layer with their merge mode."""

    name: str
    networks: tuple[Network, ...]
    #: Of each network, the names of its layers and its head in the whole network, such as ``layer 1 backward``.
    layer_names: tuple[tuple[str, ...], ...]
    merge: str | None = None
    #: Of each network: it runs from the last step to the first.
    backward: tuple[bool, ...] = (False,)

    def merged(self, outputs: Sequence[FloatArray]) -> FloatArray:
        """[steps, output_size] of the outputs of each network, all in the order of the sequence."""
        return outputs[0] + outputs[1] if self.merge == "sum" else np.concatenate(outputs, axis=1)


@dataclass(frozen=True, eq=False)
class Network:
    """Stacked layers, each fed by the output of the one before it, and an optional dense head.

    Raises ModelError if there is no layer or the sizes do not follow one another.
    """

    layers: tuple[Block, ...]
    head: Dense | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise ModelError("the network has no layer, must have at least one")
        for index, (below, layer) in enumerate(itertools.pairwise(self.layers), start=1):
            if layer.input_size != below.output_size:
                raise ModelError(
                    f"layer {index} ({layer.kind}) takes {layer.input_size} values, "
                    f"must take {below.output_size}, what layer {index - 1} gives"
                )
        if self.head is not None and self.head.input_size != self.hidden_size:
            raise ModelError(
                f"head.weight has {self.head.input_size} columns, must have {self.hidden_size}, the last hidden size"
            )

    @property
    def all_layers(self) -> tuple[Block, ...]:
        """The layers, and the head if there is one."""
        return self.layers if self.head is None else (*self.layers, self.head)

    @property
    def single_layers(self) -> tuple[Layer, ...]:
        """The layers, with each direction of a bidirectional one by itself, forward first: each has a state."""
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
        """Values of the last layer before the head."""
        return self.layers[-1].output_size

    @property
    def output_size(self) -> int:
        """Values per output step."""
        return self.all_layers[-1].output_size

    def layer_name(self, index: int) -> str:
        """``layer 0``, ..., ``head``."""
        return f"layer {index}" if index < len(self.layers) else "head"

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The segments in their order; a head above a bidirectional or reversed layer is one of its own."""
        return tuple(self._segments())

    def _segments(self) -> Iterator[Segment]:
        groups = itertools.groupby(enumerate(self.all_layers), key=lambda item: _runs_forward(item[1]))
        for forward, group in groups:
            members = list(group)
            names = tuple(self.layer_name(index) for index, _ in members)
            if not forward:
                for name, (_, block) in zip(names, members, strict=True):
                    networks = tuple(Network((layer,)) for layer, _ in block.directions)
                    backward = tuple(turns for _, turns in block.directions)
                    halves = (name,) if block.merge is None else (f"{name} forward", f"{name} backward")
                    yield Segment(name, networks, tuple((half,) for half in halves), block.merge, backward)
            elif len(members) == len(self.all_layers):
                yield Segment(_span(names), (self,), (names,))
            else:
                blocks = [block for _, block in members]
                with_head = self.head is not None and names[-1] == "head" and len(blocks) > 1
                network = Network(tuple(blocks[:-1]), self.head) if with_head else Network(tuple(blocks))
                yield Segment(_span(names), (network,), (names,))


def _runs_forward(block: Block) -> bool:
    return not any(backward for _, backward in block.directions)


def _span(names: Sequence[str]) -> str:
    """Such as ``layers 1 to 2 and head``."""
    layers = [name for name in names if name != "head"]
    span = layers[:1] if len(layers) < 2 else [f"layers {layers[0].split()[1]} to {layers[-1].split()[1]}"]
    return " and ".join([*span, *names[len(layers) :]])


def single_segment(network: Network, what: str) -> Network:
    """The network, all of whose layers run forward; raises ModelError if one does not, for `what` needs that."""
    if network.segments[0].networks[0] is not network:
        raise ModelError(f"bidirectional layers are not supported by {what}: `map` and `simulate` take them")
    return network


def turned(values: Any, backward: bool) -> Any:
    """[steps, values] in the order in which a network runs, or, of its outputs, in the order of the sequence."""
    return values[::-1] if backward else values
