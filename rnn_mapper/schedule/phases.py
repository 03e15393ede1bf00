"""The phases of networks: sets of matrix-vector products with one epilogue, before placement on a grid.

Every stage of a cell (see `rnn_mapper.cells.stages`) becomes a phase that runs the stage's unit program, preceded by
one phase that stores products for each other vector that the stage's rows multiply. An LSTM layer is two phases a step:
X (products of the input, stored) and H (products of the state, added to the stored parts, then the unit program).
A stage may be cut into slices of its units, so that units that do not fill the grid get their own loop nest.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from rnn_mapper.cells.arithmetic import Operand
from rnn_mapper.cells.program import Program
from rnn_mapper.cells.stages import Stage
from rnn_mapper.quantisation.integer_network import QuantisedNetwork, QuantisedProduct

__all__ = ["Phase", "PhaseOrder", "UnitGroup", "Vector", "member_name", "unit_groups", "vectors_of"]


class PhaseOrder(enum.Enum):
    """How the products and the element-wise operations of a step are ordered; all give the same bits."""

    #: A stage in one pass, with products of the next step's input in its tail.
    FUSED = "fused"
    #: A stage in one pass, behind products of the states that were stored before the input came: for inputs that come
    #: one at a time.
    RESPONSE = "response"
    #: A stage in one pass; a step begins when the previous step is done.
    SEQUENTIAL = "sequential"
    #: As with a BLAS library: products and element-wise operations are separate kernels, and each kernel writes all its
    #: results to memory before the next begins.
    BLAS = "blas"


@dataclass(frozen=True)
class Vector:
    """A double-buffered vector in every vector memory (or, if nothing multiplies it, in the output buffer alone)."""

    name: str
    size: int
    #: Position of the network that the vector belongs to.
    member: int
    in_vector_memory: bool = True
    is_output: bool = False


@dataclass(frozen=True)
class UnitGroup:
    """Units laid over the grid in the same way: the units of the stages of a layer that share state words."""

    name: str
    member: int
    layer: int
    kind: int
    units: int


@dataclass(frozen=True, eq=False)
class Phase:
    """One phase. Indices refer to the lists of `phases_of` and `vectors_of`."""

    name: str
    #: The network, and its position among the networks that share the schedule.
    network: QuantisedNetwork
    member: int
    layer: int
    stage: Stage
    #: Index in `unit_groups`.
    group: int
    #: Number of the group's slice that the phase computes, first unit of the slice, and whether it is the last slice.
    slice: int
    first_unit: int
    last_slice: bool
    #: Gates are numbered like `Stage.all_rows`; rows without a product have zero weights.
    product: QuantisedProduct
    #: Multiplied vector, as its role in the cell and as its index, and whether it is the vector of the previous step.
    multiplied: Operand
    operand: int
    previous: bool
    #: Products are stored for another phase; no unit program runs.
    stores: bool
    #: Vector that the results of the phase make; None for a phase that stores.
    result: int | None
    #: `VectorFormat.shift` of the result's format; None for a phase that stores, and if no phase multiplies the result.
    feedback_shift: int | None
    #: Results go to the host; the output of a step is complete with its last result.
    to_host: bool
    #: Iteration i runs this phase for step i - lag.
    lag: int
    #: Multiplies the input vector of the sequence.
    needs_input: bool
    #: The last phase that multiplies the input vector.
    frees_input: bool = False
    #: The last phase whose results go to the host.
    ends_output: bool = False
    #: Phase whose results this phase waits for, and how many steps back.
    waits_for: int | None = None
    wait_back: int = 0
    #: The next phase begins only when everything that this phase stores is in the memories.
    barrier: bool = False
    #: All products of the stage were stored; this phase has no products.
    separate: bool = False
    #: The rows in their order of computation; see `rnn_mapper.schedule.programs`.
    program: Program | None = None
    #: Number of stored parts of a unit.
    unit_slots: int = 0

    @property
    def steps(self) -> Program:
        """The chosen program."""
        assert self.program is not None, f"{self.name} has no program yet"
        return self.program

    @property
    def gates(self) -> int:
        """Matrix rows of a unit."""
        return len(self.steps.gates)

    @property
    def rows(self) -> int:
        """Rows of a unit that have a product with the operand: all gates except rows without weights."""
        rows = [*self.stage.rows, *self.stage.foreign]
        return sum(any(product.operand is self.multiplied for product in row.products) for row in rows)

    @property
    def units(self) -> int:
        """Hidden units (outputs of a dense layer)."""
        return int(self.product.weights.shape[1])

    @property
    def operand_size(self) -> int:
        """Number of values in the operand."""
        return int(self.product.weights.shape[2])

    @property
    def multiplications(self) -> int:
        """Multiplications in one step; rows without a product with this operand do not count."""
        return self.rows * self.units * self.operand_size

    @property
    def feeds_back(self) -> bool:
        """Whether the results are operands of some phase."""
        return self.result is not None and self.feedback_shift is not None

    @property
    def stored_key(self) -> tuple[int, int, int, int]:
        """Key shared by phases that store and read the same parts."""
        return self.member, self.layer, self.stage.index, self.slice

    @property
    def weights_key(self) -> tuple[object, ...]:
        """Key shared by phases that multiply the same weights: streams of one model share them."""
        return self.network, self.layer, self.stage.index, self.multiplied.name, self.stores, self.slice

    @property
    def state_key(self) -> tuple[int, int]:
        """Key shared by phases whose units have the same state words."""
        return self.group, self.slice


def unit_groups(members: Sequence[QuantisedNetwork]) -> list[UnitGroup]:
    """The unit groups of all networks, in the order of their layers."""
    groups: list[UnitGroup] = []
    for member, network in enumerate(members):
        for index, layer in enumerate(network.all_layers):
            kinds: dict[int, int] = {}
            for stage in layer.stages:
                kinds.setdefault(stage.unit_set.index, layer.units(stage))
            for number, (kind, units) in enumerate(kinds.items()):
                name = network.layer_name(index) + (f" vector {number + 1}" if len(kinds) > 1 else "")
                groups.append(UnitGroup(member_name(member, members, name), member, index, kind, units))
    return groups


def vectors_of(members: Sequence[QuantisedNetwork]) -> list[Vector]:
    """The input vectors of all networks, then for each network the vectors its layers make, the output last."""
    vectors = [
        Vector(member_name(member, members, "input"), network.input_size, member)
        for member, network in enumerate(members)
    ]
    for member, network in enumerate(members):
        for index, layer in enumerate(network.all_layers):
            output = next(stage for stage in layer.stages if stage.result is layer.arithmetic.output)
            # The output last, so that the host gets the last vector of a network.
            for stage in sorted(layer.stages, key=lambda stage: stage is output):
                form = layer.formats[stage.result]
                name = f"output of {network.layer_name(index)}" if stage is output else (
                    f"{network.layer_name(index)} vector {stage.index + 1}")
                last = index == len(network.all_layers) - 1
                vectors.append(Vector(
                    member_name(member, members, name), layer.units(stage), member, form.shift is not None,
                    stage is output and last,
                ))
    return vectors


def member_name(member: int, members: Sequence[object], name: str) -> str:
    return name if len(members) == 1 else f"network {member} {name}"
