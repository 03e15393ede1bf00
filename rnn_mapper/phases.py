"""The phases of a network: sets of matrix-vector products with one epilogue, before anything is placed.

A layer may be cut into parts by its hidden units, so that those that do not fill the grid get a split of their own.

An LSTM or GRU layer is two phases a step: X (products of the input, stored) and H (products of the state, added to
the stored parts, then the unit program). A dense head is one phase. X of step t+1 does not depend on H of step t, so
it is issued right behind it and fills its tail; deeper layers run one step behind the layer below for the same reason.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rnn_mapper.programs import CELL_PROGRAMS, DENSE_PROGRAM, ELEMENTWISE_PROGRAMS, PRODUCT_PROGRAMS, Program
from rnn_mapper.quantised import QuantisedNetwork, QuantisedProduct

__all__ = ["INPUT", "Phase", "Schedule", "Vector", "phases_of", "vectors_of", "whole_layers"]

#: Index of the input vector in `vectors_of`.
INPUT = 0


class Schedule(enum.Enum):
    """How the products and the element-wise operations of a step are ordered; all give the same bits."""

    #: H and the element-wise operations in one pass, with X of the next step in its tail.
    FUSED = "fused"
    #: H and the element-wise operations in one pass; a step begins when the one before is done.
    SEQUENTIAL = "sequential"
    #: As with a BLAS library: X, H and the element-wise operations are kernels of their own, each of which writes all
    #: its results to memory before the next begins.
    BLAS = "blas"


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
    #: Phases whose stored parts it adds or reads.
    adds: tuple[int, ...]
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
    #: Stored parts of a unit.
    unit_slots: int
    #: The next phase begins only when everything that this one stores is in the memories.
    barrier: bool = False

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


def phases_of(
    network: QuantisedNetwork, parts: Sequence[Sequence[int]], schedule: Schedule = Schedule.FUSED
) -> list[Phase]:
    """All phases, in the order of issue inside an iteration.

    `parts` gives for each layer (and the head, last) the hidden units of each part: parts run one after the other, each
    with a loop nest of its own. Fused, layer l runs H for step i - l - 1 and X for step i - l in iteration i, and a
    head runs one iteration later still: whatever a phase waits for was issued at least one other phase before it.
    The other schedules run one step an iteration, layer by layer.
    """
    phases: list[Phase] = []
    for index in range(len(network.layers)):
        below = _last_result(phases)
        if schedule is Schedule.FUSED:
            phases += _fused(network, index, parts[index], len(phases), below)
        else:
            phases += _in_order(network, index, parts[index], len(phases), below, schedule)
    if network.head is not None:
        depth = len(network.layers)
        below = _last_result(phases)
        for part, (first, units) in enumerate(_ranges(parts[depth])):
            phases.append(Phase(
                name=_name("head", part, len(parts[depth])), layer=depth, part=part, first_unit=first,
                product=network.head.product.units(first, units), program=DENSE_PROGRAM, operand=depth,
                previous=False, stores=False, adds=(), result=depth + 1, feedback_shift=0, to_host=True,
                lag=depth + 1 if schedule is Schedule.FUSED else 0, waits_for=below, wait_back=0, unit_slots=1,
                last_part=part == len(parts[depth]) - 1,
            ))
    if schedule is not Schedule.FUSED:
        # A step begins when all of the step before is done.
        phases[:] = [
            replace(phase, waits_for=len(phases) - 1, wait_back=1) if phase.needs_input else phase for phase in phases
        ]
    return phases


def _last_result(phases: list[Phase]) -> int | None:
    """The last phase so far that has results."""
    return max((index for index, phase in enumerate(phases) if not phase.stores), default=None)


def _fused(
    network: QuantisedNetwork, index: int, parts: Sequence[int], first_h: int, below: int | None
) -> Iterator[Phase]:
    """H of the step before, then X."""
    count = len(parts)
    # Results of a part arrive after those of the part before, so all of a layer's h waits for its last part's.
    last_h = first_h + count - 1
    for part in range(count):
        yield _h_phase(network, index, parts, part, last_h, (first_h + count + part,), lag=index + 1)
    for part in range(count):
        yield _x_phase(network, index, parts, part, below, lag=index)


def _in_order(
    network: QuantisedNetwork, index: int, parts: Sequence[int], first_x: int, below: int | None, schedule: Schedule
) -> Iterator[Phase]:
    """X and H of one step, and with separate kernels the element-wise part."""
    count, layer = len(parts), network.layers[index]
    kernels = schedule is Schedule.BLAS
    slots = max(ELEMENTWISE_PROGRAMS[layer.cell].slots) + 1 if kernels else len(CELL_PROGRAMS[layer.cell].gates)
    last = first_x + (3 if kernels else 2) * count - 1
    for part in range(count):
        yield replace(_x_phase(network, index, parts, part, below, lag=0), unit_slots=slots, barrier=kernels)
    for part in range(count):
        h = _h_phase(network, index, parts, part, last, (first_x + part,), lag=0)
        yield h if not kernels else replace(
            h, program=PRODUCT_PROGRAMS[layer.cell], unit_slots=slots, stores=True, barrier=True, result=None,
            feedback_shift=0, to_host=False,
        )
    if not kernels:
        return
    for part, (_, units) in enumerate(_ranges(parts)):
        program = ELEMENTWISE_PROGRAMS[layer.cell]
        h = _h_phase(network, index, parts, part, last, (first_x + part, first_x + count + part), lag=0)
        yield replace(
            h, name=_name(f"layer {index} elementwise", part, count), program=program, unit_slots=slots,
            product=QuantisedProduct.nothing(len(program.gates), units),
        )


def _h_phase(
    network: QuantisedNetwork, index: int, parts: Sequence[int], part: int, last_h: int, adds: tuple[int, ...], lag: int
) -> Phase:
    layer, (first, units) = network.layers[index], list(_ranges(parts))[part]
    program = CELL_PROGRAMS[layer.cell]
    return Phase(
        name=_name(f"layer {index} H", part, len(parts)), layer=index, part=part, first_unit=first,
        product=layer.h.units(first, units), program=program, operand=index + 1, previous=True,
        stores=False, adds=adds, result=index + 1, feedback_shift=layer.feedback_shift,
        to_host=index == len(network.layers) - 1 and network.head is None, lag=lag, waits_for=last_h, wait_back=1,
        last_part=part == len(parts) - 1, unit_slots=len(program.gates),
    )


def _x_phase(
    network: QuantisedNetwork, index: int, parts: Sequence[int], part: int, below: int | None, lag: int
) -> Phase:
    layer, (first, units) = network.layers[index], list(_ranges(parts))[part]
    program = CELL_PROGRAMS[layer.cell]
    return Phase(
        name=_name(f"layer {index} X", part, len(parts)), layer=index, part=part, first_unit=first,
        product=layer.x.units(first, units), program=program, operand=index, previous=False,
        stores=True, adds=(), result=None, feedback_shift=0, to_host=False, lag=lag, waits_for=below, wait_back=0,
        last_part=part == len(parts) - 1, unit_slots=len(program.gates),
    )


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
