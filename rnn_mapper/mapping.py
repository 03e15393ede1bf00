"""A network placed on a grid: everything that the images, the listing, the prediction and the report are made from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hdl.latencies import GridLatencies
from hdl.layouts import (
    Activation,
    Memory,
    bias_layout,
    gate_entry_layout,
    instruction_layout,
    memory_shape,
    phase_layout,
    schedule_entry_layout,
    schedule_header_layout,
    schedule_width,
    unit_entry_layout,
)
from hdl.parameters import GridParameters
from rnn_mapper.allocation import Allocation, Demand
from rnn_mapper.images import Image, LayoutPacker, table_image, weight_words
from rnn_mapper.loop_nest import ceil_div
from rnn_mapper.phases import INPUT, Phase, Schedule, Vector
from rnn_mapper.predict import Prediction, SequencePlan, predict
from rnn_mapper.quantised import QuantisedNetwork
from rnn_mapper.schedule import ScheduleEntry
from rnn_mapper.timing import PhaseTiming

__all__ = ["Mapping"]


@dataclass(frozen=True, eq=False)
class Mapping:
    """A quantised network on a grid. Lists are indexed by phase."""

    network: QuantisedNetwork
    parameters: GridParameters
    latencies: GridLatencies
    schedule: Schedule
    vectors: list[Vector]
    phases: list[Phase]
    timings: list[PhaseTiming]
    entries: list[ScheduleEntry]
    allocation: Allocation
    #: What it takes of every memory.
    demands: list[Demand]

    # What the host sees

    @property
    def output(self) -> Vector:
        """The vector that goes to the host."""
        return self.vectors[-1]

    @property
    def input_beats(self) -> int:
        """Write-stream beats of an input vector."""
        return ceil_div(self.vectors[INPUT].size, self.parameters.beat_bytes)

    @property
    def output_groups(self) -> int:
        """Output beats of a step."""
        return ceil_div(self.output.size, self.parameters.rows)

    @cached_property
    def plan(self) -> SequencePlan:
        """What decides the cycle count."""
        return SequencePlan(
            self.timings, self.entries, self.input_beats, self.output_groups, self.parameters.multipliers
        )

    def predict(self, steps: int, cleared: bool = True) -> Prediction:
        """Exact cycle counts of a sequence of `steps` steps, from a cleared state or from a kept one."""
        return predict(self.plan, steps, cleared)

    # Images

    def site_images(self, row: int, col: int) -> dict[Memory, Image]:
        """Images of the memories of one site; those that start from zero are left out."""
        p = self.parameters
        weights = np.zeros((self._weight_words, p.lanes), dtype=np.int8)
        biases: dict[int, int] = {}
        gates: dict[int, int] = {}
        units: dict[int, int] = {}
        phases: list[int] = []
        for index, timing in enumerate(self.timings):
            chain, member = divmod(col, timing.nest.ru)
            takes_part = chain < timing.nest.chains and timing.nest.units(chain) > 0
            phases.append(self._phase_word(index, chain if takes_part else None, member))
            if not takes_part:
                continue
            mine = self._weights[index][row, chain, member, : timing.nest.units(chain)].reshape(-1, p.lanes)
            base = self.allocation.weights[index]
            weights[base : base + len(mine)] = mine
            if member == timing.nest.ru - 1:
                biases |= self._bias_words(index, row, chain)
                gates |= self._gate_words(index, row, chain)
                if not self.phases[index].stores:
                    units |= self._unit_words(index, chain)
        return {
            Memory.WEIGHT: Image(8 * p.lanes, weight_words(weights)),
            Memory.PHASE: Image(memory_shape(p, Memory.PHASE)[0], phases),
            Memory.BIAS: _sparse(biases, memory_shape(p, Memory.BIAS)[0]),
            Memory.GATE: _sparse(gates, memory_shape(p, Memory.GATE)[0]),
            Memory.UNIT: _sparse(units, memory_shape(p, Memory.UNIT)[0]),
            Memory.PROGRAM: self.program_image,
            Memory.TABLE: self.table_image,
        }

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
                for address, fields in self._instructions(index).items():
                    word = packer.pack(fields)
                    if words.setdefault(address, word) != word:
                        raise AssertionError(f"two instructions at address {address} of the program memory")
        return _sparse(words, packer.layout.size)

    @cached_property
    def schedule_image(self) -> Image:
        """The controller's schedule ROM: the network is model 0, there are no others."""
        p = self.parameters
        output_base = 0
        if self.output.in_vector_memory:
            output_base = self._first_group(len(self.vectors) - 1)
        last = next(timing for timing in self.timings if timing.phase.to_host and timing.phase.last_part)
        header = LayoutPacker(schedule_header_layout(p)).pack({
            "entries": len(self.entries),
            "first": p.models,
            "max_lag": max(entry.lag for entry in self.entries),
            "input_offset": self.allocation.vector_words[INPUT],
            "input_beats": self.input_beats,
            "output_base": output_base,
            "output_groups": self.output_groups - 1,
            "output_last": (self.output.size - 1) % p.rows,
            "output_start": last.phase.first_unit // p.rows + last.output_start,
        })
        packer = LayoutPacker(schedule_entry_layout(p))
        words = [packer.pack({
            "phase": entry.phase,
            "lag": entry.lag,
            "duration": entry.duration - 1,
            "fresh_duration": entry.fresh_duration - 1,
            "holds_slot": entry.holds_slot,
            "wait": entry.waits_for is not None,
            "wait_phase": entry.waits_for or 0,
            "wait_back": entry.wait_back,
            "needs_input": entry.needs_input,
            "frees_input": entry.frees_input,
            "to_host": entry.to_host,
        }) for entry in self.entries]
        return Image(schedule_width(p), [header, *[0] * (p.models - 1), *words])

    @cached_property
    def _weights(self) -> list[np.ndarray]:
        """Weights of every phase as `LoopNest.arrange_weights`, gates in the order of the program."""
        return [
            timing.nest.arrange_weights(phase.product.weights[[gate.gate for gate in phase.program.gates]])
            for timing, phase in zip(self.timings, self.phases, strict=True)
        ]

    @property
    def _weight_words(self) -> int:
        last = self.timings[-1].nest
        return self.allocation.weights[-1] + last.max_units * last.gates * last.words

    def _first_group(self, vector: int) -> int:
        return self.allocation.vector_words[vector] * self.parameters.lanes // self.parameters.rows

    def _phase_word(self, index: int, chain: int | None, member: int) -> int:
        """A site without units in a phase gets a word that says so."""
        packer = LayoutPacker(phase_layout(self.parameters))
        fields = dict.fromkeys(packer.fields, 0)
        if chain is not None:
            phase, timing = self.phases[index], self.timings[index]
            nest = timing.nest
            base = self.allocation.vector_words[phase.operand] + member * nest.words
            fields |= {
                "units": nest.units(chain),
                "gates": nest.gates - 1,
                "words": nest.words - 1,
                "pad": timing.pad,
                "delay": timing.delays[chain],
                "fresh_words": timing.fresh.nest.words - 1,
                "fresh_pad": timing.fresh.pad,
                "fresh_delay": timing.fresh.delays[chain],
                "weight_base": self.allocation.weights[index],
                # A chain's last members may lie beyond the vector; their weights are zero and the address wraps.
                "vector_base": base % self.parameters.vector_words,
                "previous": phase.previous,
                "entry_base": self.allocation.entries[index],
                "head": member == 0,
                "tail": member == nest.ru - 1,
            }
        return packer.pack(fields)

    @cached_property
    def _rows_of_phase(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Bias, multiplier and shift of every phase, each [rows, chains, units, G]."""
        return [
            (t.nest.arrange(p.product.bias), t.nest.arrange(p.product.multiplier), t.nest.arrange(p.product.shift))
            for t, p in zip(self.timings, self.phases, strict=True)
        ]

    def _gate_words(self, index: int, row: int, chain: int) -> dict[int, int]:
        phase, nest = self.phases[index], self.timings[index].nest
        _, multiplier, shift = (values[row, chain] for values in self._rows_of_phase[index])
        packer = LayoutPacker(gate_entry_layout(self.parameters))
        addresses, slots = self.allocation.programs[index], phase.program.slots
        words: dict[int, int] = {}
        for unit in range(nest.units(chain)):
            for position, step in enumerate(phase.program.gates):
                words[self.allocation.entries[index] + unit * nest.gates + position] = packer.pack({
                    "shift": shift[unit, step.gate],
                    "multiplier": multiplier[unit, step.gate],
                    "add_stored": step.add_stored and bool(phase.adds),
                    "store": phase.stores,
                    "stored": self.allocation.stored[index] + unit * phase.unit_slots + slots[position],
                    "activation": (Activation.IDENTITY if phase.stores else step.activation).value,
                    "hold": 0 if phase.stores else step.hold.value,
                    "run": bool(step.instructions) and not phase.stores,
                    "instruction": addresses[position][0] if step.instructions and not phase.stores else 0,
                    "unit": 0 if phase.stores else self.allocation.units[index] + unit,
                })
        return words

    def _bias_words(self, index: int, row: int, chain: int) -> dict[int, int]:
        phase, nest = self.phases[index], self.timings[index].nest
        bias = self._rows_of_phase[index][0][row, chain]
        packer = LayoutPacker(bias_layout(self.parameters))
        return {
            self.allocation.entries[index] + unit * nest.gates + position: packer.pack({"bias": bias[unit, step.gate]})
            for unit in range(nest.units(chain)) for position, step in enumerate(phase.program.gates)
        }

    def _unit_words(self, index: int, chain: int) -> dict[int, int]:
        phase, timing = self.phases[index], self.timings[index]
        nest = timing.nest
        assert phase.result is not None
        first = phase.first_unit // nest.rows
        if self.vectors[phase.result].in_vector_memory:
            first += self._first_group(phase.result)
        final = timing.arrivals[-1][1]
        packer = LayoutPacker(unit_entry_layout(self.parameters))
        return {
            self.allocation.units[index] + unit: packer.pack({
                "group": first + nest.group(chain, unit),
                "phase": index,
                "final": nest.group(chain, unit) == final,
                "to_vector": phase.feeds_back,
                "to_host": phase.to_host,
                "feedback_shift": phase.feedback_shift,
            })
            for unit in range(nest.units(chain))
        }

    def _instructions(self, index: int) -> dict[int, dict[str, int]]:
        """Fields of the instructions of a phase, by address."""
        words: dict[int, dict[str, int]] = {}
        addresses = self.allocation.programs[index]
        for chain, gate in zip(addresses, self.phases[index].program.gates, strict=True):
            for number, op in enumerate(gate.instructions):
                words[chain[number]] = {
                    "x": op.x.value, "y": op.y.value, "subtract": op.subtract.value, "addend": op.addend.value,
                    "keep": op.keep.value, "carried": op.carried, "write_state": op.write_state,
                    "write_slot": op.write_slot, "emit": op.emit,
                    "destination": self.allocation.destinations[index], "proceed": op.proceed is not None,
                    "hold": op.hold.value, "activation": op.function.value,
                    "next": chain[number + 1] if op.proceed is not None else 0,
                }
        return words


def _sparse(words: dict[int, int], width: int) -> Image:
    return Image(width, [words.get(address, 0) for address in range(max(words, default=-1) + 1)])
