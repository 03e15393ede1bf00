"""The phases of a network: sets of matrix-vector products with one epilogue, before anything is placed.

A layer may be cut into parts by its hidden units, so that those that do not fill the grid get a split of their own.

An LSTM or GRU layer is two phases a step: X (products of the input, stored) and H (products of the state, added to
the stored parts, then the unit program). A dense head is one phase. X of step t+1 does not depend on H of step t, so
it is issued right behind it and fills its tail; deeper layers run one step behind the layer below for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rnn_mapper.programs import CELL_PROGRAMS, DENSE_PROGRAM, Program
from rnn_mapper.quantised import QuantisedNetwork, QuantisedProduct

__all__ = ["INPUT", "Phase", "Vector", "phases_of", "vectors_of", "whole_layers"]

#: Index of the input vector in `vectors_of`.
INPUT = 0


@dataclass(frozen=True)
class Vector:
    """A double-buffered vector in every vector memory (or, for a head's output, in the output buffer alone)."""

    name: str
    size: int
    in_vector_memory: bool = True


@dataclass(frozen=True, eq=False)
class Phase:
    """One phase. Indices refer to `phases_of` and `vectors_of`."""

    name: str
    layer: int
    #: Number of the part of the layer that it computes, the first of its units, and whether no part follows.
    part: int
    first_unit: int
    last_part: bool
    product: QuantisedProduct
    program: Program
    #: Vector that it multiplies, and whether that is the one of the step before.
    operand: int
    previous: bool
    #: Products are stored for another phase; no unit program runs.
    stores: bool
    #: Phase whose stored parts it adds.
    adds: int | None
    #: Vector that its results make; None for a phase that stores.
    result: int | None
    feedback_shift: int
    #: Results go to the host.
    to_host: bool
    #: Iteration i runs this phase for step i - lag.
    lag: int
    #: Phase whose results it waits for, and how many steps back.
    waits_for: int | None
    wait_back: int

    @property
    def gates(self) -> int:
        """Matrix rows of a unit."""
        return int(self.product.weights.shape[0])

    @property
    def units(self) -> int:
        """Hidden units (outputs of a dense layer)."""
        return int(self.product.weights.shape[1])

    @property
    def operand_size(self) -> int:
        """Values of its operand."""
        return int(self.product.weights.shape[2])

    @property
    def multiplications(self) -> int:
        """Multiplications of one step."""
        return self.gates * self.units * self.operand_size

    @property
    def needs_input(self) -> bool:
        """Multiplies the input vector of the sequence."""
        return self.operand == INPUT

    @property
    def frees_input(self) -> bool:
        """It is the last to multiply the input vector."""
        return self.needs_input and self.last_part

    @property
    def feeds_back(self) -> bool:
        """Its results are operands of some phase."""
        return self.result is not None and self.feedback_shift > 0


def vectors_of(network: QuantisedNetwork) -> list[Vector]:
    """The input vector, the h of every layer, and the output of the head."""
    vectors = [Vector("input", network.input_size)]
    vectors += [Vector(f"h of layer {index}", layer.hidden_size) for index, layer in enumerate(network.layers)]
    if network.head is not None:
        vectors.append(Vector("output", network.head.output_size, in_vector_memory=False))
    return vectors


def phases_of(network: QuantisedNetwork, parts: Sequence[Sequence[int]]) -> list[Phase]:
    """All phases, in the order of issue inside an iteration.

    `parts` gives for each layer (and the head, last) the hidden units of each part: parts run one after the other, each
    with a loop nest of its own. Layer l runs H for step i - l - 1 and X for step i - l in iteration i, and a head runs
    one iteration later still: whatever a phase waits for was issued at least one other phase before it.
    """
    phases: list[Phase] = []
    below: int | None = None
    for index, layer in enumerate(network.layers):
        program = CELL_PROGRAMS[layer.cell]
        top = index == len(network.layers) - 1 and network.head is None
        count = len(parts[index])
        first_h = len(phases)
        # Results of a part arrive after those of the part before, so all of a layer's h waits for its last part's.
        last_h = first_h + count - 1
        for part, (first, units) in enumerate(_ranges(parts[index])):
            phases.append(Phase(
                name=_name(f"layer {index} H", part, count), layer=index, part=part, first_unit=first,
                product=layer.h.units(first, units), program=program, operand=index + 1, previous=True, stores=False,
                adds=first_h + count + part, result=index + 1, feedback_shift=layer.feedback_shift, to_host=top,
                lag=index + 1, waits_for=last_h, wait_back=1, last_part=part == count - 1,
            ))
        for part, (first, units) in enumerate(_ranges(parts[index])):
            phases.append(Phase(
                name=_name(f"layer {index} X", part, count), layer=index, part=part, first_unit=first,
                product=layer.x.units(first, units), program=program, operand=index, previous=False, stores=True,
                adds=None, result=None, feedback_shift=0, to_host=False, lag=index, waits_for=below, wait_back=0,
                last_part=part == count - 1,
            ))
        below = last_h
    if network.head is not None:
        depth = len(network.layers)
        for part, (first, units) in enumerate(_ranges(parts[depth])):
            phases.append(Phase(
                name=_name("head", part, len(parts[depth])), layer=depth, part=part, first_unit=first,
                product=network.head.product.units(first, units), program=DENSE_PROGRAM, operand=depth,
                previous=False, stores=False, adds=None, result=depth + 1, feedback_shift=0, to_host=True,
                lag=depth + 1, waits_for=below, wait_back=0, last_part=part == len(parts[depth]) - 1,
            ))
    return phases


def whole_layers(network: QuantisedNetwork) -> list[list[int]]:
    """Every layer, and the head, in one part."""
    sizes = [[layer.hidden_size] for layer in network.layers]
    return sizes if network.head is None else [*sizes, [network.head.output_size]]


def _ranges(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    first = 0
    for size in sizes:
        yield first, size
        first += size


def _name(name: str, part: int, count: int) -> str:
    return name if count == 1 else f"{name} part {part}"
