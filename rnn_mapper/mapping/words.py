"""The words of the memories, phase by phase, packed by the layouts of `hdl.layouts`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from hdl.layouts import (
    Activation,
    bias_layout,
    gate_entry_layout,
    phase_layout,
    unit_entry_layout,
)
from rnn_mapper.mapping.images import LayoutPacker
from rnn_mapper.mapping.placement import Placement

__all__ = ["PhaseWords"]


class PhaseWords:
    """Words of every phase of a placement; `index` is the number of the phase."""

    def __init__(self, placed: Placement) -> None:
        self.placed = placed

    @cached_property
    def weights(self) -> list[np.ndarray]:
        """Weights of every phase, arranged by `LoopNest.arrange_weights`, with gates in the order of the program."""
        return [
            timing.nest.arrange_weights(phase.product.weights[[gate.gate for gate in phase.steps.gates]])
            for timing, phase in zip(self.placed.timings, self.placed.phases, strict=True)
        ]

    @property
    def weight_words(self) -> int:
        """Number of used words in the weight memory."""
        return max(
            base + timing.nest.max_units * timing.nest.gates * timing.nest.words
            for base, timing in zip(self.placed.allocation.weights, self.placed.timings, strict=True)
        )

    def phase_word(self, index: int, chain: int | None, member: int) -> int:
        """The phase word of a site; a site without units in the phase gets a word with zero units."""
        packer = LayoutPacker(phase_layout(self.placed.parameters))
        fields = dict.fromkeys(packer.fields, 0)
        if chain is not None:
            phase, timing = self.placed.phases[index], self.placed.timings[index]
            nest = timing.nest
            base = self.placed.allocation.vector_words[phase.operand] + member * nest.words
            fields |= {
                "units": nest.units(chain),
                "gates": nest.gates - 1,
                "words": nest.words - 1,
                "pad": timing.pad,
                "delay": timing.delays[chain],
                "fresh_words": timing.fresh.nest.words - 1,
                "fresh_pad": timing.fresh.pad,
                "fresh_delay": timing.fresh.delays[chain],
                "weight_base": self.placed.allocation.weights[index],
                # A chain's last members may be beyond the vector; their weights are zero and the address wraps.
                "vector_base": base % self.placed.parameters.vector_words,
                "previous": phase.previous,
                "entry_base": self.placed.allocation.entries[index],
                "head": member == 0,
                "tail": member == nest.ru - 1,
            }
        return packer.pack(fields)

    @cached_property
    def _rows_of_phase(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Bias, multiplier and shift of every phase, each [rows, chains, units, G]."""
        return [
            (t.nest.arrange(p.product.bias), t.nest.arrange(p.product.multiplier), t.nest.arrange(p.product.shift))
            for t, p in zip(self.placed.timings, self.placed.phases, strict=True)
        ]

    def gate_words(self, index: int, row: int, chain: int) -> dict[int, int]:
        """Gate entries of a phase in the tail site of a chain, by address."""
        phase, nest = self.placed.phases[index], self.placed.timings[index].nest
        _, multiplier, shift = (values[row, chain] for values in self._rows_of_phase[index])
        packer = LayoutPacker(gate_entry_layout(self.placed.parameters))
        addresses, slots = self.placed.allocation.programs[index], phase.steps.slots
        words: dict[int, int] = {}
        for unit in range(nest.units(chain)):
            for position, step in enumerate(phase.steps.gates):
                words[self.placed.allocation.entries[index] + unit * nest.gates + position] = packer.pack({
                    "shift": shift[unit, step.gate],
                    "multiplier": multiplier[unit, step.gate],
                    "add_stored": step.add_stored,
                    "store": phase.stores,
                    "stored": self.placed.allocation.stored[index] + unit * phase.unit_slots + slots[position],
                    "activation": (Activation.IDENTITY if phase.stores else step.activation).value,
                    "hold": 0 if phase.stores else step.hold.value,
                    "run": bool(step.instructions) and not phase.stores,
                    "instruction": addresses[position][0] if step.instructions and not phase.stores else 0,
                    "unit": 0 if phase.stores else self.placed.allocation.states[index] + unit,
                })
        return words

    def bias_words(self, index: int, row: int, chain: int) -> dict[int, int]:
        """Biases of a phase in the tail site of a chain, by address."""
        phase, nest = self.placed.phases[index], self.placed.timings[index].nest
        bias = self._rows_of_phase[index][0][row, chain]
        packer = LayoutPacker(bias_layout(self.placed.parameters))
        base = self.placed.allocation.entries[index]
        return {
            base + unit * nest.gates + position: packer.pack({"bias": bias[unit, step.gate]})
            for unit in range(nest.units(chain)) for position, step in enumerate(phase.steps.gates)
        }

    def unit_words(self, index: int, chain: int) -> dict[int, int]:
        """Unit entries of a phase in the tail site of a chain, by address."""
        phase, timing = self.placed.phases[index], self.placed.timings[index]
        nest = timing.nest
        assert phase.result is not None
        first = phase.first_unit // nest.rows + self.placed.first_group(phase.result)
        final = timing.arrivals[-1][1]
        packer = LayoutPacker(unit_entry_layout(self.placed.parameters))
        return {
            self.placed.allocation.units[index] + unit: packer.pack({
                "group": first + nest.group(chain, unit),
                "phase": self.placed.reserved.phases + index,
                "final": nest.group(chain, unit) == final,
                "to_vector": phase.feeds_back,
                "to_host": phase.to_host,
                **({"feedback_shift": phase.feedback_shift or 0} if "feedback_shift" in packer.fields else {}),
            })
            for unit in range(nest.units(chain))
        }

    @property
    def has_fixed(self) -> bool:
        """Whether units keep trained vectors among their state words."""
        return any(word.fixed for phase in self.placed.phases for word in phase.stage.unit_set.words)

    def fixed_words(self, row: int, col: int) -> Iterator[tuple[int, int]]:
        """(address in the state memory, value) of the trained vectors in one site."""
        slots = self.placed.parameters.state_words
        for index, (phase, timing) in enumerate(zip(self.placed.phases, self.placed.timings, strict=True)):
            chain, member = divmod(col, timing.nest.ru)
            if phase.stores or member != timing.nest.ru - 1 or chain >= timing.nest.chains:
                continue
            layer = phase.network.all_layers[phase.layer]
            for word in phase.stage.unit_set.words:
                if not word.fixed:
                    continue
                mine = layer.fixed[word.name][phase.first_unit : phase.first_unit + phase.units]
                values = timing.nest.arrange(mine[None])[row, chain, : timing.nest.units(chain), 0]
                for unit, value in enumerate(values):
                    address = (self.placed.allocation.states[index] + unit) * slots + word.slot
                    yield address, int(value) & 0xFFFF

    def instructions(self, index: int) -> dict[int, dict[str, int]]:
        """Fields of the instructions of a phase, by address."""
        words: dict[int, dict[str, int]] = {}
        addresses = self.placed.allocation.programs[index]
        for chain, gate in zip(addresses, self.placed.phases[index].steps.gates, strict=True):
            for number, op in enumerate(gate.instructions):
                words[chain[number]] = {
                    "x": op.x.value, "y": op.y.value, "subtract": op.subtract.value, "addend": op.addend.value,
                    "keep": op.keep.value, "carried": op.carried, "write_state": op.write_state,
                    "write_slot": op.write_slot, "emit": op.emit,
                    "destination": self.placed.allocation.destinations[index], "proceed": op.proceed is not None,
                    "hold": op.hold.value, "activation": op.function.value,
                    "next": chain[number + 1] if op.proceed is not None else 0,
                }
        return words
