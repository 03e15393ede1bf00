"""The placement of one or several networks on a grid: addresses, timings, the host's view and the prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters
from rnn_mapper.fixed_point import Codes, operand_type
from rnn_mapper.mapping.allocation import Allocation, Demand, Reserved
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.schedule.entries import ScheduleEntry
from rnn_mapper.schedule.loop_nest import ceil_div
from rnn_mapper.schedule.phases import Phase, PhaseOrder, Vector
from rnn_mapper.schedule.prediction import Prediction, SequencePlan, predict
from rnn_mapper.schedule.response import Response, response_of
from rnn_mapper.schedule.timing import PhaseTiming

__all__ = ["Placement"]


@dataclass(frozen=True, eq=False)
class Placement:
    """One or several quantised networks that share a schedule on a grid. Lists are indexed by phase."""

    #: Networks that run step by step at once: different networks, or one network once for each stream.
    members: tuple[QuantisedNetwork, ...]
    parameters: GridParameters
    latencies: GridLatencies
    schedule: PhaseOrder
    vectors: list[Vector]
    phases: list[Phase]
    timings: list[PhaseTiming]
    entries: list[ScheduleEntry]
    allocation: Allocation
    #: The words that the mapping takes of every memory.
    demands: list[Demand]

    #: The memory that other resident models take.
    reserved: Reserved = field(default_factory=Reserved)

    @property
    def network(self) -> QuantisedNetwork:
        """The (first) network."""
        return self.members[0]

    @property
    def outputs(self) -> list[Vector]:
        """The vectors that go to the host, one for each network."""
        return [vector for vector in self.vectors if vector.is_output]

    @cached_property
    def input_slices(self) -> list[tuple[int, int]]:
        """(first value, number of values) of each network's input in the input of a step."""
        lanes = self.parameters.lanes
        bases = self.allocation.vector_words
        return [
            ((bases[index] - bases[0]) * lanes, network.input_size) for index, network in enumerate(self.members)
        ]

    @cached_property
    def output_slices(self) -> list[tuple[int, int]]:
        """(first value, number of values) of each network's output in the output of a step."""
        first = self.first_group(self.vectors.index(self.outputs[0]))
        return [
            ((self.first_group(self.vectors.index(vector)) - first) * self.parameters.rows, vector.size)
            for vector in self.outputs
        ]

    @property
    def input_size(self) -> int:
        """Number of values in the input of a step, with the gaps between the networks' inputs."""
        return sum(self.input_slices[-1]) if self.members else 0

    @property
    def output_size(self) -> int:
        """Number of values in the output of a step, with the gaps between the networks' outputs."""
        return sum(self.output_slices[-1])

    def pack_inputs(self, inputs: Sequence[Codes]) -> Codes:
        """The input [steps, input_size] of all networks from the input of each, [steps, its input_size]."""
        packed = np.zeros((len(inputs[0]), self.input_size), dtype=operand_type(self.parameters.arithmetic))
        for (first, size), values in zip(self.input_slices, inputs, strict=True):
            packed[:, first : first + size] = values
        return packed

    def unpack_outputs(self, outputs: npt.NDArray[np.int16]) -> list[npt.NDArray[np.int16]]:
        """The output of each network, [steps, its output_size], from the output of all, [steps, output_size]."""
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
        """Everything that determines the cycle count."""
        return SequencePlan(
            self.timings, self.entries, self.input_beats, self.output_groups, self.parameters.multipliers
        )

    def predict(self, steps: int, cleared: bool = True, arrivals: Sequence[int] | None = None) -> Prediction:
        """Exact cycle counts of a sequence of `steps` steps, starting from a cleared or a kept state.

        `arrivals` are the cycles from which the first beat of each step's input is offered; by default the input is
        never idle.
        """
        return predict(self.plan, steps, cleared, arrivals)

    @cached_property
    def response(self) -> Response | None:
        """The response to inputs that come one at a time; None if an output waits for the inputs of later steps."""
        return response_of(self.plan)

    def first_group(self, vector: int) -> int:
        """Number of the first group of a vector in the vector memory."""
        return self.allocation.vector_words[vector] * self.parameters.lanes // self.parameters.rows
