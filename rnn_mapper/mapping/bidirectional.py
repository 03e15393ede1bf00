"""Networks with bidirectional layers: in floating point, in integers, and on a grid.

The segments of the network (`rnn_mapper.network.bidirectional`) are resident models of one grid, MODEL is the number of
the segment. The host runs one after the other over the whole sequence: it sends the backward half its input from the
last step on, turns its outputs round, merges the 16-bit outputs of both halves, and makes the operand codes of the next
segment of them, with a scale that is calibrated as that of a first layer's input. It does so in float64, in which
every sum and every scale of the merge is exact, and with one division and one rounding that IEEE 754 prescribes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hdl.numerics import DEFAULT_ARITHMETIC, Arithmetic
from hdl.parameters import GridParameters
from rnn_mapper.errors import SpatialRnnError
from rnn_mapper.fixed_point import Codes, IntArray
from rnn_mapper.mapping.deployment import Resident, map_resident
from rnn_mapper.mapping.mapper import TYPICAL_STEPS
from rnn_mapper.network.bidirectional import BidirectionalNetwork, Segment
from rnn_mapper.network.float_reference import run_float
from rnn_mapper.network.network import FloatArray, check_inputs
from rnn_mapper.quantisation.calibration import DEFAULT_RULE, ScaleRule
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.quantisation.layer_error import LayerError, measure_error
from rnn_mapper.quantisation.quantise import quantise, quantise_inputs
from rnn_mapper.quantisation.reference import Int16Array, Reference
from rnn_mapper.schedule.phases import PhaseOrder

__all__ = [
    "BidirectionalTrace", "QuantisedBidirectional", "QuantisedSegment", "compare_bidirectional", "map_bidirectional",
    "merged_float", "predict_bidirectional", "quantise_bidirectional", "run_bidirectional", "run_bidirectional_float",
    "turned",
]


@dataclass(frozen=True, eq=False)
class QuantisedSegment:
    """A segment in integers: one network, or the forward and the backward half of a layer."""

    name: str
    members: tuple[QuantisedNetwork, ...]
    merge: str | None
    #: Of each member: it runs from the last step to the first.
    backward: tuple[bool, ...] = (False,)

    @property
    def output_scale(self) -> float:
        """Real value of one code of the merged output: the finer scale of both halves."""
        return min(member.output_scale for member in self.members)

    def inputs(self, values: FloatArray) -> tuple[Codes, ...]:
        """What each member is sent [steps, input_size]; the backward half gets the last step first."""
        return tuple(
            np.ascontiguousarray(turned(quantise_inputs(member, values), backward))
            for backward, member in zip(self.backward, self.members, strict=True)
        )

    def merged(self, outputs: Sequence[Int16Array]) -> IntArray:
        """[steps, output_size] in units of `output_scale`, from the outputs of each member as the grid gave them."""
        aligned = [
            turned(values, backward).astype(np.int64) * round(member.output_scale / self.output_scale)
            for backward, member, values in zip(self.backward, self.members, outputs, strict=True)
        ]
        if self.merge is None:
            return aligned[0]
        return np.concatenate(aligned, axis=1) if self.merge == "concat" else aligned[0] + aligned[1]


@dataclass(frozen=True, eq=False)
class QuantisedBidirectional:
    """A network with bidirectional layers in integers."""

    segments: tuple[QuantisedSegment, ...]

    @property
    def output_scale(self) -> float:
        """Real value of one output code."""
        return self.segments[-1].output_scale


@dataclass(frozen=True, eq=False)
class BidirectionalTrace:
    """A run of the reference, or of a grid, over a whole sequence. Lists are indexed by segment."""

    #: What each member of a segment is sent and gives, in the order of the grid's steps.
    codes: list[tuple[Codes, ...]]
    member_outputs: list[tuple[Int16Array, ...]]
    #: [steps, values], merged; the last is the network's output.
    segment_outputs: list[IntArray]

    @property
    def outputs(self) -> IntArray:
        """[steps, output_size] in units of `QuantisedBidirectional.output_scale`."""
        return self.segment_outputs[-1]


def turned(values: Any, backward: bool) -> Any:
    """[steps, values] in the order of the network's steps, or, of a network's results, of the sequence's."""
    return values[::-1] if backward else values


def merged_float(segment: Segment, outputs: Sequence[FloatArray]) -> FloatArray:
    """[steps, output_size] of the outputs of each network of a segment, in the order of the sequence."""
    return outputs[0] + outputs[1] if segment.merge == "sum" else np.concatenate(outputs, axis=1)


def run_bidirectional_float(network: BidirectionalNetwork, inputs: FloatArray) -> list[FloatArray]:
    """Merged outputs [steps, values] of every segment in float64; the last are the network's.

    Raises ModelError if the inputs [steps, input_size] do not fit.
    """
    values = check_inputs(inputs, network.input_size)
    found = []
    for segment in network.segments:
        outputs = [
            turned(run_float(one, turned(values, backward)).outputs, backward)
            for backward, one in zip(segment.backward, segment.networks, strict=True)
        ]
        values = merged_float(segment, outputs)
        found.append(values)
    return found


def quantise_bidirectional(
    network: BidirectionalNetwork, calibration: FloatArray, arithmetic: Arithmetic = DEFAULT_ARITHMETIC,
    rule: ScaleRule = DEFAULT_RULE,
) -> QuantisedBidirectional:
    """As `quantisation.quantise`, segment by segment; the calibration of a segment is what the floats below give.

    Raises the errors of `rnn_mapper.quantisation.quantise`, with the segment's name.
    """
    values = check_inputs(calibration, network.input_size, "calibration")
    segments = []
    for segment, outputs in zip(network.segments, run_bidirectional_float(network, values), strict=True):
        members = []
        for backward, one in zip(segment.backward, segment.networks, strict=True):
            try:
                members.append(quantise(one, turned(values, backward), arithmetic, rule=rule))
            except SpatialRnnError as error:
                half = "" if segment.merge is None else " backward" if backward else " forward"
                raise type(error)(f"{segment.name}{half}: {error}") from None
        segments.append(QuantisedSegment(segment.name, tuple(members), segment.merge, segment.backward))
        values = outputs
    return QuantisedBidirectional(tuple(segments))


def run_bidirectional(network: QuantisedBidirectional, inputs: FloatArray) -> BidirectionalTrace:
    """The reference, bit for bit, of float inputs [steps, input_size]."""
    trace = BidirectionalTrace([], [], [])
    values = inputs
    for segment in network.segments:
        codes = segment.inputs(values)
        outputs = tuple(Reference(one).run(part).outputs for one, part in zip(segment.members, codes, strict=True))
        trace.codes.append(codes)
        trace.member_outputs.append(outputs)
        trace.segment_outputs.append(segment.merged(outputs))
        values = trace.outputs.astype(np.float64) * segment.output_scale
    return trace


def compare_bidirectional(
    network: BidirectionalNetwork, quantised: QuantisedBidirectional, inputs: FloatArray
) -> list[LayerError]:
    """Merged outputs of every segment, integers against float64 run through all segments so far."""
    exact, trace = run_bidirectional_float(network, inputs), run_bidirectional(quantised, inputs)
    return [
        measure_error(segment.name, wanted, codes.astype(np.float64) * segment.output_scale)
        for segment, wanted, codes in zip(quantised.segments, exact, trace.segment_outputs, strict=True)
    ]


def map_bidirectional(
    network: QuantisedBidirectional, parameters: GridParameters, ru: int | None = None, hu: int | None = None,
    steps: int = TYPICAL_STEPS, schedule: PhaseOrder = PhaseOrder.FUSED,
) -> Resident:
    """Place every segment as a resident model of one grid; arguments as `map_network`. Raises `MappingError`."""
    return map_resident([segment.members for segment in network.segments], parameters, steps, ru, hu, schedule)


def predict_bidirectional(resident: Resident, steps: int) -> list[int]:
    """Exact cycles of every segment for a sequence of `steps` steps; their sum is all but the host's work."""
    return [model.predict(steps).cycles for model in resident.models]
