"""A network placed on a grid: everything that the images, the listing, the prediction and the report are made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

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
from rnn_mapper.fixed_point import Codes, operand_type
from rnn_mapper.mapping.allocation import Allocation, Demand, Reserved
from rnn_mapper.mapping.images import Image, LayoutPacker, packed_words, table_image
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.schedule.entries import ScheduleEntry
from rnn_mapper.schedule.loop_nest import ceil_div
from rnn_mapper.schedule.phases import Phase, PhaseOrder, Vector
from rnn_mapper.schedule.prediction import Prediction, SequencePlan, predict
from rnn_mapper.schedule.timing import PhaseTiming

__all__ = ["Mapping"]

#: Index of the (first) input vector.
INPUT = 0


@dataclass(frozen=True, eq=False)
class Mapping:
    """One or several quantised networks that share a schedule on a grid. Lists are indexed by phase."""

    #: Networks that run step by step at once: different ones, or one several times for as many streams.
    members: tuple[QuantisedNetwork, ...]
    parameters: GridParameters
    latencies: GridLatencies
    schedule: PhaseOrder
    vectors: list[Vector]
    phases: list[Phase]
    timings: list[PhaseTiming]
    entries: list[ScheduleEntry]
    allocation: Allocation
    #: What it takes of every memory.
    demands: list[Demand]

    #: What other models that are resident take.
    reserved: Reserved = field(default_factory=Reserved)

    @property
    def network(self) -> QuantisedNetwork:
        """The (first) network."""
        return self.members[0]

    @property
    def models(self) -> tuple[Mapping, ...]:
        """Itself: whatever takes a `Deployment` takes the mapping of one model, too."""
        return (self,)

    # What the host sees

    @property
    def outputs(self) -> list[Vector]:
        """The vectors that go to the host, one for each network."""
        return [vector for vector in self.vectors if vector.is_output]

    @cached_property
    def input_slices(self) -> list[tuple[int, int]]:
        """(first value, values) of each network's input in the input of a step."""
        lanes = self.parameters.lanes
        bases = self.allocation.vector_words
        return [
            ((bases[index] - bases[0]) * lanes, network.input_size) for index, network in enumerate(self.members)
        ]

    @cached_property
    def output_slices(self) -> list[tuple[int, int]]:
        """(first value, values) of each network's output in the output of a step."""
        first = self._first_group(self.vectors.index(self.outputs[0]))
        return [
            ((self._first_group(self.vectors.index(vector)) - first) * self.parameters.rows, vector.size)
            for vector in self.outputs
        ]

    @property
    def input_size(self) -> int:
        """Values of the input of a step, with what lies between the networks' inputs."""
        return sum(self.input_slices[-1]) if self.members else 0

    @property
    def output_size(self) -> int:
        """Values of the output of a step, with what lies between the networks' outputs."""
        return sum(self.output_slices[-1])

    def pack_inputs(self, inputs: Sequence[Codes]) -> Codes:
        """The input [steps, input_size] of all networks from those of each, [steps, its input_size]."""
        packed = np.zeros((len(inputs[0]), self.input_size), dtype=operand_type(self.parameters.arithmetic))
        for (first, size), values in zip(self.input_slices, inputs, strict=True):
            packed[:, first : first + size] = values
        return packed

    def unpack_outputs(self, outputs: npt.NDArray[np.int16]) -> list[npt.NDArray[np.int16]]:
        """The output of each network, [steps, its output_size], from that of all, [steps, output_size]."""
        return [outputs[:, first : first + size] for first, size in self.output_slices]

    @property
    def input_beats(self) -> int:
        """Write-stream beats of an input vector."""
        return ceil_div(self.input_size, self.parameters.beat_values)

    @property
    def output_groups(self) -> int:
        """Output beats of a step."""
        return ceil_div(self.output_size, self.parameters.rows)

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
        phases = [0] * self.reserved.phases
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
            Memory.WEIGHT: Image(8 * p.lanes, packed_words(weights)),
            Memory.PHASE: Image(memory_shape(p, Memory.PHASE)[0], phases),
            Memory.BIAS: _sparse(biases, memory_shape(p, Memory.BIAS)[0]),
            Memory.GATE: _sparse(gates, memory_shape(p, Memory.GATE)[0]),
            Memory.UNIT: _sparse(units, memory_shape(p, Memory.UNIT)[0]),
            Memory.PROGRAM: self.program_image,
            Memory.TABLE: self.table_image,
        } | ({Memory.STATE: self._fixed_words(row, col)} if self._has_fixed else {})

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
            "output_base": self._first_group(self.vectors.index(self.outputs[0])),
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

    @cached_property
    def _weights(self) -> list[np.ndarray]:
        """Weights of every phase as `LoopNest.arrange_weights`, gates in the order of the program."""
        return [
            timing.nest.arrange_weights(phase.product.weights[[gate.gate for gate in phase.steps.gates]])
            for timing, phase in zip(self.timings, self.phases, strict=True)
        ]

    @property
    def _weight_words(self) -> int:
        return max(
            base + timing.nest.max_units * timing.nest.gates * timing.nest.words
            for base, timing in zip(self.allocation.weights, self.timings, strict=True)
        )

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
        addresses, slots = self.allocation.programs[index], phase.steps.slots
        words: dict[int, int] = {}
        for unit in range(nest.units(chain)):
            for position, step in enumerate(phase.steps.gates):
                words[self.allocation.entries[index] + unit * nest.gates + position] = packer.pack({
                    "shift": shift[unit, step.gate],
                    "multiplier": multiplier[unit, step.gate],
                    "add_stored": step.add_stored,
                    "store": phase.stores,
                    "stored": self.allocation.stored[index] + unit * phase.unit_slots + slots[position],
                    "activation": (Activation.IDENTITY if phase.stores else step.activation).value,
                    "hold": 0 if phase.stores else step.hold.value,
                    "run": bool(step.instructions) and not phase.stores,
                    "instruction": addresses[position][0] if step.instructions and not phase.stores else 0,
                    "unit": 0 if phase.stores else self.allocation.states[index] + unit,
                })
        return words

    def _bias_words(self, index: int, row: int, chain: int) -> dict[int, int]:
        phase, nest = self.phases[index], self.timings[index].nest
        bias = self._rows_of_phase[index][0][row, chain]
        packer = LayoutPacker(bias_layout(self.parameters))
        return {
            self.allocation.entries[index] + unit * nest.gates + position: packer.pack({"bias": bias[unit, step.gate]})
            for unit in range(nest.units(chain)) for position, step in enumerate(phase.steps.gates)
        }

    def _unit_words(self, index: int, chain: int) -> dict[int, int]:
        phase, timing = self.phases[index], self.timings[index]
        nest = timing.nest
        assert phase.result is not None
        first = phase.first_unit // nest.rows + self._first_group(phase.result)
        final = timing.arrivals[-1][1]
        packer = LayoutPacker(unit_entry_layout(self.parameters))
        return {
            self.allocation.units[index] + unit: packer.pack({
                "group": first + nest.group(chain, unit),
                "phase": self.reserved.phases + index,
                "final": nest.group(chain, unit) == final,
                "to_vector": phase.feeds_back,
                "to_host": phase.to_host,
                **({"feedback_shift": phase.feedback_shift or 0} if "feedback_shift" in packer.fields else {}),
            })
            for unit in range(nest.units(chain))
        }

    @property
    def _has_fixed(self) -> bool:
        return any(word.fixed for phase in self.phases for word in phase.stage.unit_set.words)

    def _fixed_words(self, row: int, col: int) -> Image:
        """Trained vectors that units keep among their state words; other words are zero."""
        return _sparse(dict(self.fixed_words(row, col)), 16)

    def fixed_words(self, row: int, col: int) -> Iterator[tuple[int, int]]:
        """(address in the state memory, value) of the trained vectors in one site."""
        slots = self.parameters.state_words
        for index, (phase, timing) in enumerate(zip(self.phases, self.timings, strict=True)):
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
                    address = (self.allocation.states[index] + unit) * slots + word.slot
                    yield address, int(value) & 0xFFFF

    def _instructions(self, index: int) -> dict[int, dict[str, int]]:
        """Fields of the instructions of a phase, by address."""
        words: dict[int, dict[str, int]] = {}
        addresses = self.allocation.programs[index]
        for chain, gate in zip(addresses, self.phases[index].steps.gates, strict=True):
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
