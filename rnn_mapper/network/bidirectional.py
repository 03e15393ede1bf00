"""Networks with bidirectional layers, in floating point, and the segments in which a grid runs them.

A step of the backward half needs the whole sequence, so the layer above begins when both halves are done. Every
bidirectional layer is a segment of its own (two networks that run step by step side by side), and the layers between
two of them, and the head, are one, too. A layer that runs from the last step to the first alone is a segment of one
network.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from rnn_mapper.errors import ModelError
from rnn_mapper.network.network import Dense, Layer, Network

__all__ = ["MERGES", "Bidirectional", "BidirectionalNetwork", "Reversed", "Segment"]

#: How the outputs of both directions become one vector: side by side, forward first, or added.
MERGES = ("concat", "sum")


@dataclass(frozen=True, eq=False)
class Bidirectional:
    """Two layers over one input: `forward` from the first step to the last, `backward` from the last to the first.

    Raises ModelError for an unknown merge mode and for sizes that do not go together.
    """

    forward: Layer
    backward: Layer
    merge: str = "concat"

    def __post_init__(self) -> None:
        if self.merge not in MERGES:
            raise ModelError(f"merge '{self.merge}' is not supported: choose {', '.join(MERGES)}")
        if self.forward.input_size != self.backward.input_size:
            raise ModelError(
                f"the backward layer takes {self.backward.input_size} values, must take {self.forward.input_size}, "
                "as the forward layer"
            )
        if self.merge == "sum" and self.forward.output_size != self.backward.output_size:
            raise ModelError(
                f"the backward layer gives {self.backward.output_size} values, must give {self.forward.output_size}, "
                "as the forward layer, to be added"
            )

    @property
    def input_size(self) -> int:
        """Values of the input."""
        return self.forward.input_size

    @property
    def output_size(self) -> int:
        """Values of the merged output."""
        return self.forward.output_size + (self.backward.output_size if self.merge == "concat" else 0)

    @property
    def hidden_size(self) -> int:
        """Values of the merged output."""
        return self.output_size

    @property
    def kind(self) -> str:
        """Such as ``bidirectional lstm``."""
        cells = dict.fromkeys((self.forward.cell.name, self.backward.cell.name))
        return f"bidirectional {'/'.join(cells)}"


@dataclass(frozen=True, eq=False)
class Reversed:
    """A layer that runs from the last step of its input to the first (ONNX ``direction = reverse``).

    Its output of a step is at that step's place, as that of the backward half of a bidirectional layer.
    """

    layer: Layer

    @property
    def input_size(self) -> int:
        """Values of the input."""
        return self.layer.input_size

    @property
    def output_size(self) -> int:
        """Values of the output."""
        return self.layer.output_size

    @property
    def hidden_size(self) -> int:
        """Values of the output."""
        return self.output_size

    @property
    def kind(self) -> str:
        """Such as ``reversed lstm``."""
        return f"reversed {self.layer.cell.name}"


@dataclass(frozen=True, eq=False)
class Segment:
    """What runs as one model of the grid: one network, or the two directions of a layer with their merge mode."""

    name: str
    networks: tuple[Network, ...]
    merge: str | None = None
    #: Of each network: it runs from the last step to the first.
    backward: tuple[bool, ...] = (False,)


@dataclass(frozen=True, eq=False)
class BidirectionalNetwork:
    """Stacked layers of which at least one is bidirectional or reversed, and an optional dense head.

    Raises ModelError if the sizes do not follow one another, or all layers run forward.
    """

    layers: tuple[Layer | Bidirectional | Reversed, ...]
    head: Dense | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if all(isinstance(layer, Layer) for layer in self.layers):
            raise ModelError("no layer is bidirectional: make a Network of them")
        for index, (below, layer) in enumerate(itertools.pairwise(self.layers), start=1):
            if layer.input_size != below.output_size:
                raise ModelError(
                    f"layer {index} takes {layer.input_size} values, must take {below.output_size}, "
                    f"what layer {index - 1} gives"
                )
        if self.head is not None and self.head.input_size != self.hidden_size:
            raise ModelError(
                f"head.weight has {self.head.input_size} columns, must have {self.hidden_size}, the last hidden size"
            )

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
        return self.hidden_size if self.head is None else self.head.output_size

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The segments in their order; a head after a bidirectional or reversed layer is one of its own."""
        segments: list[Segment] = []
        index = 0
        for plainly, group in itertools.groupby(self.layers, key=lambda layer: isinstance(layer, Layer)):
            layers = list(group)
            if not plainly:
                for number, layer in enumerate(layers, start=index):
                    if isinstance(layer, Reversed):
                        segments.append(Segment(f"layer {number}", (Network((layer.layer,)),), None, (True,)))
                        continue
                    assert isinstance(layer, Bidirectional)
                    pair = Network((layer.forward,)), Network((layer.backward,))
                    segments.append(Segment(f"layer {number}", pair, layer.merge, (False, True)))
            else:
                plain = tuple(layer for layer in layers if isinstance(layer, Layer))
                last = index + len(layers) - 1
                at_top = last == len(self.layers) - 1 and self.head is not None
                name = f"layer {index}" if last == index else f"layers {index} to {last}"
                segments.append(Segment(
                    name + (" and head" if at_top else ""), (Network(plain, self.head if at_top else None),)
                ))
            index += len(layers)
        if self.head is not None and not isinstance(self.layers[-1], Layer):
            segments.append(Segment("head", (Network((self.head,)),)))
        return tuple(segments)
