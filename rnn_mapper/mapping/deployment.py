"""Several models in one grid at once: each has a schedule of its own; START runs the model that MODEL names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest

from hdl.layouts import Memory
from hdl.parameters import GridParameters
from rnn_mapper.cells.unit_program import Preference
from rnn_mapper.mapping.allocation import Reserved, vector_words
from rnn_mapper.mapping.images import Image
from rnn_mapper.mapping.mapper import TYPICAL_STEPS, map_network
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.schedule.phases import PhaseOrder
from rnn_mapper.summary import Summarised

__all__ = ["Deployment", "deploy", "reserved_after"]


@dataclass(frozen=True, eq=False, repr=False)
class Deployment(Summarised):
    """Models that are resident in the memories of one grid side by side; MODEL is the position in `models`."""

    models: tuple[Mapping, ...]

    @property
    def summary(self) -> dict[str, str]:
        """The object in a few lines, by heading."""
        p = self.parameters
        return {"grid": f"{p.rows} x {p.cols} sites of {p.lanes} lanes", "models": str(len(self.models))}

    @property
    def parameters(self) -> GridParameters:
        """The grid."""
        return self.models[0].parameters

    def site_images(self, row: int, col: int) -> dict[Memory, Image]:
        """Images of the memories of one site, with all models together."""
        merged: dict[Memory, Image] = {}
        for model in self.models:
            for memory, image in model.site_images(row, col).items():
                merged[memory] = _merge(merged[memory], image) if memory in merged else image
        return merged | {Memory.TABLE: self.table_image}

    @property
    def table_image(self) -> Image:
        """The activation table, the same for all models."""
        return self.models[0].table_image

    @cached_property
    def program_image(self) -> Image:
        """The epilogue programs of all models."""
        image = self.models[0].program_image
        for model in self.models[1:]:
            image = _merge(image, model.program_image)
        return image

    @cached_property
    def schedule_image(self) -> Image:
        """The controller's schedule ROM: a header for each model, then the entries of all models."""
        image = self.models[0].schedule_image
        for model in self.models[1:]:
            image = _merge(image, model.schedule_image)
        return image


def deploy(
    models: Sequence[QuantisedNetwork | Sequence[QuantisedNetwork]], parameters: GridParameters,
    steps: int = TYPICAL_STEPS, ru: int | None = None, hu: int | None = None, schedule: PhaseOrder = PhaseOrder.FUSED,
    programs: Preference | None = None,
) -> Deployment:
    """Place models one behind the other, each as `map_network` does with these arguments.

    Raises `MappingError` for the first model that does not fit beside the models before it.
    """
    placed: list[Mapping] = []
    for model in models:
        reserved = reserved_after(placed[-1]) if placed else Reserved()
        placed.append(
            map_network(model, parameters, ru, hu, steps, schedule, reserved=reserved, programs=programs)
        )
    return Deployment(tuple(placed))


def reserved_after(mapping: Mapping) -> Reserved:
    """The memory that a mapping and the models before it take."""
    p, allocation, nests = mapping.parameters, mapping.allocation, [timing.nest for timing in mapping.timings]
    words, units, states, stored = 0, 0, 0, 0
    for index, (phase, nest) in enumerate(zip(mapping.phases, nests, strict=True)):
        words = max(words, allocation.weights[index] + nest.max_units * nest.gates * nest.words)
        stored = max(stored, allocation.stored[index] + nest.max_units * phase.unit_slots)
        if not phase.stores:
            units = max(units, allocation.units[index] + nest.max_units)
            states = max(states, allocation.states[index] + nest.max_units)
    instructions = [address for place in allocation.programs for chain in place for address in chain]
    before = mapping.reserved
    # Each mapping begins behind all before it, so the end of its memory is the end of theirs, too.
    return Reserved(
        model=before.model + 1,
        vector_words=max((before.vector_words, *(
            base + vector_words(vector, p)
            for base, vector in zip(allocation.vector_words, mapping.vectors, strict=True)
        ))),
        weights=max(before.weights, words),
        entries=max((before.entries, *(
            base + nest.max_units * nest.gates for base, nest in zip(allocation.entries, nests, strict=True)
        ))),
        units=max(before.units, units),
        states=max(before.states, states),
        stored=max(before.stored, stored),
        phases=before.phases + len(mapping.phases),
        schedule=before.schedule + len(mapping.entries),
        instructions=max(before.instructions, 1 + max(instructions, default=-1)),
    )


def _merge(one: Image, other: Image) -> Image:
    """The words of both images, which do not overlap."""
    words = [a | b for a, b in zip_longest(one.words, other.words, fillvalue=0)]
    return replace(one, words=words)
