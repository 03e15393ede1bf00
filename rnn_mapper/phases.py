"""The phases of networks: sets of matrix-vector products with one epilogue, before anything is placed.

Every stage of a cell (see `rnn_mapper.cells.stages`) is a phase that runs the stage's unit program, and for each other
vector that its rows multiply a phase before it that stores products. An LSTM layer is two phases a step: X (products
of the input, stored) and H (products of the state, added to the stored parts, then the unit program).
A stage may be cut into parts by its units, so that those that do not fill the grid get a split of their own.

Products of the input do not depend on the step before, so those of step t+1 are issued right behind the stage of step t
that used the stored parts, and fill its tail; deeper layers run a step behind the layer below for the same reason.
Several networks (streams of one model, or different models) may share one schedule: their phases alternate, so that each
fills the other's tails.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rnn_mapper.cells.arithmetic import Operand
from rnn_mapper.cells.stages import Stage
from rnn_mapper.errors import MappingError
from rnn_mapper.programs import Program
from rnn_mapper.quantised import QuantisedLayer, QuantisedNetwork, QuantisedProduct

__all__ = ["Phase", "Schedule", "UnitGroup", "Vector", "phases_of", "unit_groups", "vectors_of"]


class Schedule(enum.Enum):
    """How the products and the element-wise operations of a step are ordered; all give the same bits."""

    #: A stage in one pass, with products of the next step's input in its tail.
    FUSED = "fused"
    #: A stage in one pass; a step begins when the one before is done.
    SEQUENTIAL = "sequential"
    #: As with a BLAS library: products and element-wise operations are kernels of their own, each of which writes all
    #: its results to memory before the next begins.
    BLAS = "blas"


@dataclass(frozen=True)
class Vector:
    """A double-buffered vector in every vector memory (or, if nothing multiplies it, in the output buffer alone)."""

    name: str
    size: int
    #: Network that it belongs to, by its position.
    member: int
    in_vector_memory: bool = True
    is_output: bool = False


@dataclass(frozen=True)
class UnitGroup:
    """Units that are split in the same way over the grid: those of the stages of a layer that share state words."""

    name: str
    member: int
    layer: int
    kind: int
    units: int


@dataclass(frozen=True, eq=False)
class Phase:
    """One phase. Indices refer to `phases_of` and `vectors_of`."""

    name: str
    #: The network, and its position among those that share the schedule.
    network: QuantisedNetwork
    member: int
    layer: int
    stage: Stage
    #: Index in `unit_groups`.
    group: int
    #: Number of the part of the group that it computes, the first of its units, and whether no part follows.
    part: int
    first_unit: int
    last_part: bool
    #: Gates are numbered as `Stage.all_rows`; rows without a product have weights of zero.
    product: QuantisedProduct
    #: Vector that it multiplies, by its role in the cell and by its index, and whether it is that of the step before.
    multiplied: Operand
    operand: int
    previous: bool
    #: Products are stored for another phase; no unit program runs.
    stores: bool
    #: Vector that its results make; None for a phase that stores.
    result: int | None
    feedback_shift: int
    #: Results go to the host; with the last of them the output of a step is complete.
    to_host: bool
    #: Iteration i runs this phase for step i - lag.
    lag: int
    #: Multiplies the input vector of the sequence.
    needs_input: bool
    #: It is the last to multiply the input vector.
    frees_input: bool = False
    #: It is the last whose results go to the host.
    ends_output: bool = False
    #: Phase whose results it waits for, and how many steps back.
    waits_for: int | None = None
    wait_back: int = 0
    #: The next phase begins only when everything that this one stores is in the memories.
    barrier: bool = False
    #: All products of the stage were stored, and this phase has none of its own.
    separate: bool = False
    #: The rows in their order of computation; see `rnn_mapper.phase_programs`.
    program: Program | None = None
    #: Stored parts of a unit.
    unit_slots: int = 0

    @property
    def steps(self) -> Program:
        """The program, once it is chosen."""
        assert self.program is not None, f"{self.name} has no program yet"
        return self.program

    @property
    def gates(self) -> int:
        """Matrix rows of a unit."""
        return len(self.steps.gates)

    @property
    def rows(self) -> int:
        """Rows of a unit that have a product with the operand: gates, but for rows without weights."""
        rows = [*self.stage.rows, *self.stage.foreign]
        return sum(any(product.operand is self.multiplied for product in row.products) for row in rows)

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
        """Multiplications of one step; rows that have no product with this operand do not count."""
        return self.rows * self.units * self.operand_size

    @property
    def feeds_back(self) -> bool:
        """Its results are operands of some phase."""
        return self.result is not None and self.feedback_shift > 0

    @property
    def stored_key(self) -> tuple[int, int, int, int]:
        """What phases have in common that store and read the same parts."""
        return self.member, self.layer, self.stage.index, self.part

    @property
    def weights_key(self) -> tuple[object, ...]:
        """What phases have in common that multiply the same weights: streams of one model share them."""
        return self.network, self.layer, self.stage.index, self.multiplied.name, self.stores, self.part

    @property
    def state_key(self) -> tuple[int, int]:
        """What phases have in common whose units have the same state words."""
        return self.group, self.part


def unit_groups(members: Sequence[QuantisedNetwork]) -> list[UnitGroup]:
    """The unit groups of all networks, in the order of their layers."""
    groups: list[UnitGroup] = []
    for member, network in enumerate(members):
        for index, layer in enumerate(network.all_layers):
            kinds: dict[int, int] = {}
            for stage in layer.stages:
                kinds.setdefault(stage.kind.index, layer.units(stage))
            for number, (kind, units) in enumerate(kinds.items()):
                name = network.layer_name(index) + (f" vector {number + 1}" if len(kinds) > 1 else "")
                groups.append(UnitGroup(_of(member, members, name), member, index, kind, units))
    return groups


def vectors_of(members: Sequence[QuantisedNetwork]) -> list[Vector]:
    """The input vectors of all networks, then for each the vectors its layers make; its output is its last."""
    vectors = [
        Vector(_of(member, members, "input"), network.input_size, member) for member, network in enumerate(members)
    ]
    for member, network in enumerate(members):
        for index, layer in enumerate(network.all_layers):
            output = next(stage for stage in layer.stages if stage.result is layer.arithmetic.output)
            # The output last, so that the last vector of a network is what the host gets.
            for stage in sorted(layer.stages, key=lambda stage: stage is output):
                form = layer.formats[stage.result]
                name = f"output of {network.layer_name(index)}" if stage is output else (
                    f"{network.layer_name(index)} vector {stage.index + 1}")
                vectors.append(Vector(
                    _of(member, members, name), layer.units(stage), member, form.shift > 0, stage is output and index == len(network.all_layers) - 1,
                ))
    return vectors


def phases_of(
    members: Sequence[QuantisedNetwork], parts: Sequence[Sequence[int]], schedule: Schedule = Schedule.FUSED
) -> list[Phase]:
    """All phases, in the order of issue inside an iteration, without programs.

    `parts` gives for each of `unit_groups` the units of each part: parts run one after the other, each with a loop nest
    of its own. The phases of several networks alternate.
    """
    builders = [_Builder(members, member, parts, schedule) for member in range(len(members))]
    blocks = _aligned([builder.blocks() for builder in builders])
    order: list[tuple[int, Phase]] = []
    for place in range(max(map(len, blocks))):
        for member, own in enumerate(blocks):
            if place < len(own):
                order += [(member, phase) for phase in own[place]]
    # Builders number their own phases; here they get their places in the whole list.
    places: list[dict[int, int]] = [{} for _ in members]
    for index, (member, _) in enumerate(order):
        places[member][len(places[member])] = index
    phases = [
        replace(
            phase, waits_for=None if phase.waits_for is None else places[member][phase.waits_for],
        )
        for member, phase in order
    ]
    last = _last(phases, [phase.needs_input for phase in phases])
    phases[last] = replace(phases[last], frees_input=True)
    last = _last(phases, [phase.to_host for phase in phases])
    phases[last] = replace(phases[last], ends_output=True)
    if schedule is not Schedule.FUSED:
        # A step begins when all of the step before is done.
        phases[:] = [
            replace(phase, waits_for=len(phases) - 1, wait_back=1) if phase.needs_input else phase for phase in phases
        ]
    return phases


def _aligned(members: list[list[list[Phase]]]) -> list[list[list[Phase]]]:
    """Delay shallow networks, so that those of one schedule read the input and give the output of a step together.

    Input and output are double-buffered: whoever is two steps ahead there would wait for ever.
    """
    ends = [max(phase.lag for block in blocks for phase in block if phase.to_host) for blocks in members]
    delays = [max(0, max(ends) - end - 1) for end in ends]
    if max(delays) > 1:
        raise MappingError(
            f"networks whose outputs come {min(ends)} and {max(ends)} iterations late cannot share a schedule, the "
            "difference must be at most 2; keep them in the grid as models of their own"
        )
    return [
        [[replace(phase, lag=phase.lag + delay) for phase in block] for block in blocks]
        for blocks, delay in zip(members, delays, strict=True)
    ]


def _last(phases: Sequence[Phase], chosen: Sequence[bool]) -> int:
    """The last of the chosen phases that is issued for a step."""
    indices = [index for index, choice in enumerate(chosen) if choice]
    return max(indices, key=lambda index: (phases[index].lag, index))


@dataclass
class _Builder:
    """Phases of one network."""

    members: Sequence[QuantisedNetwork]
    member: int
    parts: Sequence[Sequence[int]]
    schedule: Schedule

    def __post_init__(self) -> None:
        self.network = self.members[self.member]
        self.groups = unit_groups(self.members)
        self.vectors = vectors_of(self.members)
        self.made: list[Phase] = []
        #: Last phase that makes each vector, and what waits for which vector.
        self.makers: dict[int, int] = {}
        self.waiting: dict[int, tuple[int, int]] = {}
        first = len(self.members) + sum(
            len(layer.stages) for network in self.members[: self.member] for layer in network.all_layers
        )
        self.vector_of: list[dict[object, int]] = []
        for layer in self.network.all_layers:
            ordered = sorted(layer.stages, key=lambda stage: stage.result is layer.arithmetic.output)
            self.vector_of.append({stage.result: first + place for place, stage in enumerate(ordered)})
            first += len(layer.stages)

    def blocks(self) -> list[list[Phase]]:
        """The phases in blocks that may alternate with those of other networks."""
        lengths: list[int] = []
        lag = 0
        for index, layer in enumerate(self.network.all_layers):
            input_stage = next((stage for stage in layer.stages if stage.operand.is_input), None)
            if self.schedule is not Schedule.FUSED:
                lag = 0
            elif index and input_stage is not None:
                # Nothing lies between the layer below and this one, so it runs an iteration later.
                lag += 1
            for stage in layer.stages:
                if stage is not input_stage or self.schedule is not Schedule.FUSED:
                    self._stage(index, layer, stage, lag, lengths)
            if input_stage is not None and self.schedule is Schedule.FUSED:
                self._unit(index, layer, input_stage, lag)
                lengths.append(len(self.made) - sum(lengths))
            output = next(stage for stage in layer.stages if stage.result is layer.arithmetic.output)
            if self.schedule is Schedule.FUSED and output is not input_stage:
                lag += 1
        for waiter, (vector, back) in self.waiting.items():
            self.made[waiter] = replace(self.made[waiter], waits_for=self.makers[vector], wait_back=back)
        blocks, first = [], 0
        for length in lengths:
            blocks.append(self.made[first : first + length])
            first += length
        return blocks

    def _stage(self, index: int, layer: QuantisedLayer, stage: Stage, lag: int, lengths: list[int]) -> None:
        """A stage and the phases that store for it."""
        fused, kernels = self.schedule is Schedule.FUSED, self.schedule is Schedule.BLAS
        later = lag + 1 if fused else lag
        early = [part.operand for part in stage.stored if part.operand.is_input]
        late = [part.operand for part in stage.stored if not part.operand.is_input]
        if kernels:
            late.append(stage.operand)
        for operand in late if fused else early + late:
            self._store(index, layer, stage, operand, lag if operand.is_input else later)
        self._unit(index, layer, stage, later, kernels)
        lengths.append(len(self.made) - sum(lengths))
        if fused:
            # The products of the next step's input follow the stage that uses those of this one.
            for operand in early:
                self._store(index, layer, stage, operand, lag)
            lengths.append(len(self.made) - sum(lengths))

    def _group(self, index: int, stage: Stage) -> int:
        return next(
            number for number, group in enumerate(self.groups)
            if (group.member, group.layer, group.kind) == (self.member, index, stage.kind.index)
        )

    def _ranges(self, index: int, stage: Stage) -> list[tuple[int, int, int, int]]:
        """Part, first unit, units and number of parts."""
        sizes = self.parts[self._group(index, stage)]
        return [(part, sum(sizes[:part]), size, len(sizes)) for part, size in enumerate(sizes)]

    def _operand(self, index: int, layer: QuantisedLayer, operand: Operand) -> tuple[int, bool]:
        """Vector, and whether it is that of the step before."""
        if operand.is_input:
            if not index:
                return self.member, False
            below = self.network.all_layers[index - 1]
            return self.vector_of[index - 1][below.arithmetic.output], False
        if operand.state is not None:
            return self.vector_of[index][layer.arithmetic.states[operand.state]], True
        return self.vector_of[index][operand.node], False

    def _product(self, layer: QuantisedLayer, stage: Stage, operand: Operand, first: int, units: int) -> QuantisedProduct:
        size = layer.products[operand.name].weights.shape[2]
        rows = [layer.product(row, operand) for row in stage.all_rows]
        count = layer.units(stage)
        whole = [row if row is not None else QuantisedProduct.nothing(1, count, size) for row in rows]
        return QuantisedProduct.stacked(whole).units(first, units)

    def _store(self, index: int, layer: QuantisedLayer, stage: Stage, operand: Operand, lag: int) -> None:
        vector, previous = self._operand(index, layer, operand)
        for part, first, units, count in self._ranges(index, stage):
            self._append(Phase(
                name=_of(self.member, self.members, self._name(index, layer, stage, self._letter(layer, operand), part,
                                                               count)),
                network=self.network, member=self.member, layer=index, stage=stage, group=self._group(index, stage), part=part,
                first_unit=first, last_part=part == count - 1,
                product=self._product(layer, stage, operand, first, units), multiplied=operand, operand=vector, previous=previous,
                stores=True, result=None, feedback_shift=0, to_host=False, lag=lag,
                needs_input=vector < len(self.members), barrier=self.schedule is Schedule.BLAS,
            ), vector, previous)

    def _unit(self, index: int, layer: QuantisedLayer, stage: Stage, lag: int, kernels: bool = False) -> None:
        vector, previous = self._operand(index, layer, stage.operand)
        result = self.vector_of[index][stage.result]
        network = self.network
        last = index == len(network.all_layers) - 1 and stage.result is layer.arithmetic.output
        for part, first, units, count in self._ranges(index, stage):
            letter = "elementwise" if kernels else self._letter(layer, stage.operand)
            product = (
                QuantisedProduct.nothing(len(stage.all_rows), units) if kernels
                else self._product(layer, stage, stage.operand, first, units)
            )
            self._append(Phase(
                name=_of(self.member, self.members, self._name(index, layer, stage, letter, part, count)),
                network=self.network, member=self.member, layer=index, stage=stage, group=self._group(index, stage), part=part,
                first_unit=first, last_part=part == count - 1, product=product,
                multiplied=stage.operand, operand=vector, previous=previous,
                stores=False, result=result,
                feedback_shift=layer.formats[stage.result].shift, to_host=last, lag=lag,
                needs_input=vector < len(self.members) and not kernels, separate=kernels,
            ), vector, previous)
            self.makers[result] = len(self.made) - 1

    def _append(self, phase: Phase, vector: int, previous: bool) -> None:
        if vector >= len(self.members):
            self.waiting[len(self.made)] = vector, int(previous)
        self.made.append(phase)

    def _letter(self, layer: QuantisedLayer, operand: Operand) -> str:
        return operand.name.upper() if len(operand.name) == 1 else operand.name

    def _name(self, index: int, layer: QuantisedLayer, stage: Stage, letter: str, part: int, count: int) -> str:
        name = self.network.layer_name(index)
        if index < len(self.network.layers):
            name += f" {letter}"
        if len(layer.stages) > 1 and letter != self._letter(layer, stage.operand):
            name += f" for {self._letter(layer, stage.operand)}"
        return name if count == 1 else f"{name} part {part}"


def _of(member: int, members: Sequence[object], name: str) -> str:
    return name if len(members) == 1 else f"network {member} {name}"
