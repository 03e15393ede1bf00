"""A network placed on a grid: the source of the images, the listing, the prediction and the report."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hdl.layouts import (
    Memory,
    instruction_layout,
    memory_shape,
    schedule_entry_layout,
    schedule_header_layout,
    schedule_width,
)
from rnn_mapper.mapping.images import Image, LayoutPacker, packed_words, table_image
from rnn_mapper.mapping.placement import Placement
from rnn_mapper.mapping.words import PhaseWords
from rnn_mapper.summary import Summarised

__all__ = ["Mapping"]

#: Index of the (first) input vector.
INPUT = 0


@dataclass(frozen=True, eq=False, repr=False)
class Mapping(Summarised, Placement):
    """A placement with its memory images. Lists are indexed by phase."""

    @property
    def summary(self) -> dict[str, str]:
        """The object in a few lines, by heading."""
        p = self.parameters
        return {
            "grid": f"{p.rows} x {p.cols} sites of {p.lanes} lanes", "networks": str(len(self.members)),
            "outputs": str(self.output_size), "phases": str(len(self.phases)), "schedule": self.schedule.value,
        }

    @property
    def models(self) -> tuple[Mapping, ...]:
        """The mapping as the only model: code that takes a `Deployment` takes a single mapping, too."""
        return (self,)

    @cached_property
    def _words(self) -> PhaseWords:
        return PhaseWords(self)

    def site_images(self, row: int, col: int) -> dict[Memory, Image]:
        """Images of the memories of one site; memories that start from zero are left out."""
        p = self.parameters
        weights = np.zeros((self._words.weight_words, p.lanes), dtype=np.int8)
        biases: dict[int, int] = {}
        gates: dict[int, int] = {}
        units: dict[int, int] = {}
        phases = [0] * self.reserved.phases
        for index, timing in enumerate(self.timings):
            chain, member = divmod(col, timing.nest.ru)
            takes_part = chain < timing.nest.chains and timing.nest.units(chain) > 0
            phases.append(self._words.phase_word(index, chain if takes_part else None, member))
            if not takes_part:
                continue
            mine = self._words.weights[index][row, chain, member, : timing.nest.units(chain)].reshape(-1, p.lanes)
            base = self.allocation.weights[index]
            weights[base : base + len(mine)] = mine
            if member == timing.nest.ru - 1:
                biases |= self._words.bias_words(index, row, chain)
                gates |= self._words.gate_words(index, row, chain)
                if not self.phases[index].stores:
                    units |= self._words.unit_words(index, chain)
        return {
            Memory.WEIGHT: Image(8 * p.lanes, packed_words(weights)),
            Memory.PHASE: Image(memory_shape(p, Memory.PHASE)[0], phases),
            Memory.BIAS: _sparse(biases, memory_shape(p, Memory.BIAS)[0]),
            Memory.GATE: _sparse(gates, memory_shape(p, Memory.GATE)[0]),
            Memory.UNIT: _sparse(units, memory_shape(p, Memory.UNIT)[0]),
            Memory.PROGRAM: self.program_image,
            Memory.TABLE: self.table_image,
        } | ({Memory.STATE: self._fixed_words(row, col)} if self._words.has_fixed else {})

    @cached_property
    def table_image(self) -> Image:
        """The activation table, the same in every site."""
        return table_image(self.parameters)

    @cached_property
    def program_image(self) -> Image:
        """The epilogue programs, the same in every site."""
        packer = LayoutPacker(instruction_layout(self.parameters))
        words: dict[int, int] = {}
        for index, phase in enumerate(self.phases):
            if not phase.stores:
                for address, fields in self._words.instructions(index).items():
                    word = packer.pack(fields)
                    if words.setdefault(address, word) != word:
                        raise AssertionError(f"two instructions at address {address} of the program memory")
        return _sparse(words, packer.layout.size)

    @cached_property
    def schedule_image(self) -> Image:
        """The controller's schedule ROM; headers of other models are zero."""
        p = self.parameters
        first = p.models + self.reserved.schedule
        last = next(timing for timing in self.timings if timing.phase.ends_output)
        earlier = sum(
            timing.nest.groups for timing in self.timings if timing.phase.to_host and not timing.phase.ends_output
        )
        header = LayoutPacker(schedule_header_layout(p)).pack({
            "entries": len(self.entries),
            "first": first,
            "max_lag": max(entry.lag for entry in self.entries),
            "input_offset": self.allocation.vector_words[INPUT],
            "input_beats": self.input_beats,
            "output_base": self.first_group(self.vectors.index(self.outputs[0])),
            "output_groups": self.output_groups - 1,
            "output_last": (self.output_size - 1) % p.rows,
            "output_start": earlier + last.output_start,
        })
        packer = LayoutPacker(schedule_entry_layout(p))
        base = self.reserved.phases
        words = {self.reserved.model: header}
        words |= {first + index: packer.pack({
            "phase": base + entry.phase,
            "lag": entry.lag,
            "duration": entry.duration - 1,
            "fresh_duration": entry.fresh_duration - 1,
            "holds_slot": entry.holds_slot,
            "wait": entry.waits_for is not None,
            "wait_phase": base + (entry.waits_for or 0),
            "wait_back": entry.wait_back,
            "needs_input": entry.needs_input,
            "frees_input": entry.frees_input,
            "to_host": entry.to_host,
        }) for index, entry in enumerate(self.entries)}
        return _sparse(words, schedule_width(p))

    def _fixed_words(self, row: int, col: int) -> Image:
        """Trained vectors that units keep among their state words; other words are zero."""
        return _sparse(dict(self._words.fixed_words(row, col)), 16)


def _sparse(words: dict[int, int], width: int) -> Image:
    return Image(width, [words.get(address, 0) for address in range(max(words, default=-1) + 1)])
