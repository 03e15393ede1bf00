"""The order of phases inside an iteration, and the phase that each phase waits for.

Products of the input do not depend on the previous step. So the input products of step t+1 are issued right after the
stage of step t that used the stored parts, and fill its tail. Deeper layers run a step behind the layer below for the
same reason. With the order for response it is the other way round: what depends on the states of the previous step
alone is stored behind that step, and the products of the input are added to it. Several networks (streams of one model,
or different models) may share one schedule: their phases alternate, so that each network fills the tails of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rnn_mapper.cells.arithmetic import Operand
from rnn_mapper.cells.stages import Stage
from rnn_mapper.errors import MappingError
from rnn_mapper.quantisation.integer_network import QuantisedLayer, QuantisedNetwork, QuantisedProduct
from rnn_mapper.schedule.phases import Phase, PhaseOrder, member_name, unit_groups, vectors_of

__all__ = ["phases_of"]


def phases_of(
    members: Sequence[QuantisedNetwork], slices: Sequence[Sequence[int]], schedule: PhaseOrder = PhaseOrder.FUSED
) -> list[Phase]:
    """All phases, in the order of issue inside an iteration, without programs.

    For each of `unit_groups`, `slices` gives the number of units in each slice. Slices run one after the other, each
    with its own loop nest. The phases of several networks alternate.
    """
    builders = [_Builder(members, member, slices, schedule) for member in range(len(members))]
    blocks = _aligned([builder.blocks() for builder in builders])
    order: list[tuple[int, Phase]] = []
    for place in range(max(map(len, blocks))):
        for member, own in enumerate(blocks):
            if place < len(own):
                order += [(member, phase) for phase in own[place]]
    # Builders number their own phases; here the phases get their places in the whole list.
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
    if schedule in (PhaseOrder.SEQUENTIAL, PhaseOrder.BLAS):
        # A step begins when the whole previous step is done.
        phases[:] = [
            replace(phase, waits_for=len(phases) - 1, wait_back=1) if phase.needs_input else phase for phase in phases
        ]
    return phases


def _aligned(members: list[list[list[Phase]]]) -> list[list[list[Phase]]]:
    """Delay shallow networks so that all networks of a schedule read the input and give the output of a step together.

    Input and output are double-buffered: a network that is two steps ahead would wait for ever.
    """
    ends = [max(phase.lag for block in blocks for phase in block if phase.to_host) for blocks in members]
    delays = [max(0, max(ends) - end - 1) for end in ends]
    if max(delays) > 1:
        raise MappingError(
            f"networks whose outputs come {min(ends)} and {max(ends)} iterations late cannot share a schedule, the "
            "difference must be at most 2; keep them in the grid as separate models"
        )
    return [
        [[replace(phase, lag=phase.lag + delay) for phase in block] for block in blocks]
        for blocks, delay in zip(members, delays, strict=True)
    ]


def _last(phases: Sequence[Phase], chosen: Sequence[bool]) -> int:
    """The chosen phase that is issued last for a step."""
    indices = [index for index, choice in enumerate(chosen) if choice]
    return max(indices, key=lambda index: (phases[index].lag, index))


@dataclass
class _Builder:
    """Phases of one network."""

    members: Sequence[QuantisedNetwork]
    member: int
    slices: Sequence[Sequence[int]]
    schedule: PhaseOrder

    def __post_init__(self) -> None:
        self.network = self.members[self.member]
        self.groups = unit_groups(self.members)
        self.vectors = vectors_of(self.members)
        self.made: list[Phase] = []
        #: Last phase that makes each vector; and by waiting phase, the vector it waits for and how many steps back.
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
        """The phases in blocks that may alternate with the blocks of other networks."""
        lengths = self._after_states() if self.schedule is PhaseOrder.RESPONSE else self._in_order()
        for waiter, (vector, back) in self.waiting.items():
            self.made[waiter] = replace(self.made[waiter], waits_for=self.makers[vector], wait_back=back)
        blocks, first = [], 0
        for length in lengths:
            blocks.append(self.made[first : first + length])
            first += length
        return blocks

    def _after_states(self) -> list[int]:
        """For response: what needs the input, layer by layer; then what the next step needs of the states.

        Returns the number of phases in each block.
        """
        layers = [(index, layer, layer.response_stages) for index, layer in enumerate(self.network.all_layers)]
        for index, layer, stages in layers:
            for stage in stages:
                if stage.operand.state is None:
                    for part in stage.stored:
                        if part.operand.state is None:
                            self._store(index, layer, stage, part.operand, lag=1)
                    self._unit(index, layer, stage, lag=1)
        needing = len(self.made)
        for index, layer, stages in layers:
            for stage in stages:
                for part in stage.stored:
                    if part.operand.state is not None:
                        self._store(index, layer, stage, part.operand, lag=0)
                if stage.operand.state is not None:
                    self._unit(index, layer, stage, lag=0)
        if needing == len(self.made):
            raise MappingError(
                "the response schedule: no matrix of the network multiplies a state of the previous step, so that "
                "nothing can be computed before the input comes; use the fused schedule"
            )
        return [needing, len(self.made) - needing]

    def _in_order(self) -> list[int]:
        """The phases of all other schedules; returns the number of phases in each block."""
        lengths: list[int] = []
        lag = 0
        for index, layer in enumerate(self.network.all_layers):
            input_stage = next((stage for stage in layer.stages if stage.operand.is_input), None)
            if self.schedule is not PhaseOrder.FUSED:
                lag = 0
            elif index and input_stage is not None:
                # No phase is between the layer below and this layer, so this layer runs an iteration later.
                lag += 1
            for stage in layer.stages:
                if stage is not input_stage or self.schedule is not PhaseOrder.FUSED:
                    self._stage(index, layer, stage, lag, lengths)
            if input_stage is not None and self.schedule is PhaseOrder.FUSED:
                self._unit(index, layer, input_stage, lag)
                lengths.append(len(self.made) - sum(lengths))
            output = next(stage for stage in layer.stages if stage.result is layer.arithmetic.output)
            if self.schedule is PhaseOrder.FUSED and output is not input_stage:
                lag += 1
        return lengths

    def _stage(self, index: int, layer: QuantisedLayer, stage: Stage, lag: int, lengths: list[int]) -> None:
        """A stage and the phases that store for it."""
        fused, kernels = self.schedule is PhaseOrder.FUSED, self.schedule is PhaseOrder.BLAS
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
            # The products of the next step's input follow the stage that uses the products of this step's input.
            for operand in early:
                self._store(index, layer, stage, operand, lag)
            lengths.append(len(self.made) - sum(lengths))

    def _group(self, index: int, stage: Stage) -> int:
        return next(
            number for number, group in enumerate(self.groups)
            if (group.member, group.layer, group.kind) == (self.member, index, stage.unit_set.index)
        )

    def _operand(self, index: int, layer: QuantisedLayer, operand: Operand) -> tuple[int, bool]:
        """Index of the operand's vector, and whether it is the vector of the previous step."""
        if operand.is_input:
            if not index:
                return self.member, False
            below = self.network.all_layers[index - 1]
            return self.vector_of[index - 1][below.arithmetic.output], False
        if operand.state is not None:
            return self.vector_of[index][layer.arithmetic.states[operand.state]], True
        return self.vector_of[index][operand.node], False

    def _product(
        self, layer: QuantisedLayer, stage: Stage, operand: Operand, first: int, units: int
    ) -> QuantisedProduct:
        size = layer.products[operand.name].weights.shape[2]
        rows = [layer.product(row, operand) for row in stage.all_rows]
        count = layer.units(stage)
        whole = [row if row is not None else QuantisedProduct.nothing(1, count, size) for row in rows]
        return QuantisedProduct.stacked(whole).units(first, units)

    def _store(self, index: int, layer: QuantisedLayer, stage: Stage, operand: Operand, lag: int) -> None:
        """The phases, one for each slice, that store the products of an operand for a stage."""
        for place in self._places(index, layer, stage, operand, self._letter(layer, operand)):
            units = place.pop("units")
            self._append(Phase(
                **place, product=self._product(layer, stage, operand, place["first_unit"], units),
                stores=True, result=None, feedback_shift=None, to_host=False, lag=lag,
                needs_input=place["operand"] < len(self.members), barrier=self.schedule is PhaseOrder.BLAS,
            ))

    def _unit(self, index: int, layer: QuantisedLayer, stage: Stage, lag: int, kernels: bool = False) -> None:
        """The phases, one for each slice, that run a stage's unit program; if they are separate `kernels`, without
        products."""
        result = self.vector_of[index][stage.result]
        last = index == len(self.network.all_layers) - 1 and stage.result is layer.arithmetic.output
        letter = "elementwise" if kernels else self._letter(layer, stage.operand)
        for place in self._places(index, layer, stage, stage.operand, letter):
            units = place.pop("units")
            product = (
                QuantisedProduct.nothing(len(stage.all_rows), units) if kernels
                else self._product(layer, stage, stage.operand, place["first_unit"], units)
            )
            self._append(Phase(
                **place, product=product, stores=False, result=result,
                feedback_shift=layer.formats[stage.result].shift, to_host=last, lag=lag,
                needs_input=place["operand"] < len(self.members) and not kernels, separate=kernels,
            ))
            self.makers[result] = len(self.made) - 1

    def _places(
        self, index: int, layer: QuantisedLayer, stage: Stage, operand: Operand, letter: str
    ) -> list[dict[str, Any]]:
        """Fields of the phases of a stage and an operand: a dictionary for each slice, with the units of the slice."""
        vector, previous = self._operand(index, layer, operand)
        group = self._group(index, stage)
        sizes = self.slices[group]
        return [
            {
                "name": member_name(
                    self.member, self.members, self._name(index, layer, stage, letter, number, len(sizes))
                ),
                "network": self.network, "member": self.member, "layer": index, "stage": stage, "group": group,
                "slice": number, "first_unit": sum(sizes[:number]), "last_slice": number == len(sizes) - 1,
                "units": units, "multiplied": operand, "operand": vector, "previous": previous,
            }
            for number, units in enumerate(sizes)
        ]

    def _append(self, phase: Phase) -> None:
        if phase.operand >= len(self.members):
            self.waiting[len(self.made)] = phase.operand, int(phase.previous)
        self.made.append(phase)

    def _letter(self, layer: QuantisedLayer, operand: Operand) -> str:
        return operand.name.upper() if len(operand.name) == 1 else operand.name

    def _name(self, index: int, layer: QuantisedLayer, stage: Stage, letter: str, number: int, count: int) -> str:
        name = self.network.layer_name(index)
        if index < len(self.network.layers):
            name += f" {letter}"
        if len(layer.stages) > 1 and letter != self._letter(layer, stage.operand):
            name += f" for {self._letter(layer, stage.operand)}"
        return name if count == 1 else f"{name} slice {number}"
