"""A network run in floating point and in integers over the same sequences: errors and outputs of each layer.

No hardware is simulated: the integers come from the reference, with which every simulation is compared.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_mapper.network.float_reference import FloatState, FloatTrace, run_float
from rnn_mapper.network.layers import Layer
from rnn_mapper.network.network import Network, turned
from rnn_mapper.network.tensors import FloatArray
from rnn_mapper.quantisation.codes import quantise_state
from rnn_mapper.quantisation.integer_network import QuantisedLayer, QuantisedModel, QuantisedNetwork
from rnn_mapper.quantisation.reference import ModelTrace, ReferenceTrace, run_model

__all__ = [
    "DRIFT_WINDOW", "LayerError", "LayerRun", "MemberRun", "NetworkRuns", "compare_traces", "compare_with_float",
    "measure_error", "run_both",
]

#: Fraction of the steps in the first and in the last window of the drift ratio.
DRIFT_WINDOW = 0.2


@dataclass(frozen=True)
class LayerError:
    """The error of one layer's outputs in real units: integer minus float, both run through all layers up to it."""

    #: ``layer 0``, ..., ``head``.
    name: str
    rms: float
    #: 99.9th percentile of the magnitude.
    p999: float
    max: float
    #: RMS error of the last window of steps divided by the RMS error of the first; 1 if both are zero.
    drift: float
    #: RMS of the float outputs, to compare the errors with.
    signal_rms: float


def compare_with_float(
    network: Network, quantised: QuantisedModel | QuantisedNetwork, inputs: FloatArray,
    state: Sequence[FloatState] | None = None,
) -> list[LayerError]:
    """Run both on [steps, input_size] from `state` (cleared if None): a LayerError per layer, and one for the head."""
    start = None if state is None else quantise_state(quantised, state)
    return compare_traces(network, run_float(network, inputs, state), run_model(quantised, inputs, start))


def compare_traces(network: Network, exact: FloatTrace, trace: ModelTrace) -> list[LayerError]:
    """The errors of two runs over the same inputs; both directions of a layer count as one."""
    return [
        measure_error(network.layer_name(index), wanted, got)
        for index, (wanted, got) in enumerate(zip(exact.layer_outputs, trace.layer_outputs, strict=True))
    ]


def measure_error(name: str, wanted: FloatArray, got: FloatArray) -> LayerError:
    """The error between two arrays [steps, width] in real units."""
    error = np.abs(got - wanted)
    window = max(1, int(len(error) * DRIFT_WINDOW))
    first, last = _rms(error[:window]), _rms(error[-window:])
    drift = last / first if first else (np.inf if last else 1.0)
    return LayerError(name, _rms(error), float(np.quantile(error, 0.999)), float(error.max()), drift, _rms(wanted))


def _together(sequences: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Side by side if they have the same number of steps, else one after the other."""
    return np.concatenate(sequences, axis=1 if len({len(one) for one in sequences}) == 1 else 0)


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


@dataclass(frozen=True, eq=False)
class LayerRun:
    """One layer over all streams.

    Steps are in the order in which the layer runs: a backward layer begins with the last step of the sequence.
    """

    #: Name of the layer, such as ``layer 0``, ``layer 0 forward``, ``head``.
    name: str
    layer: Layer
    quantised: QuantisedLayer
    #: Whether another layer of the same network multiplies its output.
    feeds: bool
    #: Position of the layer in the traces.
    index: int
    member: MemberRun

    @property
    def wanted(self) -> FloatArray:
        """Float outputs, run through all layers up to this one.

        [steps, sequences * output_size]; sequences of different lengths one after the other, [all steps, output_size].
        """
        return _together([trace.layer_outputs[self.index] for trace in self.member.exact])

    @property
    def codes(self) -> FloatArray:
        """Integer outputs of the same shape, in codes of the output's format."""
        outputs = [(*trace.layer_outputs, trace.outputs)[self.index] for trace in self.member.got]
        return _together(outputs).astype(np.float64)

    @property
    def got(self) -> FloatArray:
        """`codes` in real units."""
        return self.codes * self.quantised.output_scale


@dataclass(frozen=True, eq=False)
class MemberRun:
    """The runs of one network, or of one half of a bidirectional layer. Lists have an entry for each stream."""

    names: tuple[str, ...]
    network: Network
    quantised: QuantisedNetwork
    #: The inputs from which the operand codes are made, [steps, input_size] in real units.
    inputs: list[FloatArray]
    exact: list[FloatTrace]
    got: list[ReferenceTrace]

    @property
    def layers(self) -> Iterator[LayerRun]:
        """The layers and the head."""
        pairs = zip(self.names, self.network.stack, self.quantised.all_layers, strict=True)
        for index, (name, layer, quantised) in enumerate(pairs):
            yield LayerRun(name, layer, quantised, index < len(self.names) - 1, index, self)


@dataclass(frozen=True, eq=False)
class NetworkRuns:
    """The runs of all members; `inputs`, `wanted` and `got` have [steps, values] in real units for each stream."""

    members: tuple[MemberRun, ...]
    inputs: list[FloatArray]
    #: Outputs of the network in floating point and in integers.
    wanted: list[FloatArray]
    got: list[FloatArray]

    @property
    def layers(self) -> list[LayerRun]:
        """The layers of all members, in their order."""
        return [layer for member in self.members for layer in member.layers]


def run_both(
    network: Network, quantised: QuantisedModel | QuantisedNetwork, inputs: Sequence[FloatArray],
    state: Sequence[FloatState] | None = None,
) -> NetworkRuns:
    """Run each stream [steps, input_size] in floating point and in integers, each from `state` (cleared if None).

    Raises ModelError if inputs or state do not fit.
    """
    start = None if state is None else quantise_state(quantised, state)
    traces = [run_model(quantised, one, start) for one in inputs]
    members: list[MemberRun] = []
    exact, given = list(inputs), list(inputs)
    starts = iter(state or ())
    for number, segment in enumerate(network.segments):
        ran = [trace.segments[number] for trace in traces]
        runs = []
        for half, (one, backward) in enumerate(zip(segment.networks, segment.backward, strict=True)):
            own = list(itertools.islice(starts, len(one.layers)))
            runs.append(MemberRun(
                segment.layer_names[half], one, ran[0].segment.members[half],
                [turned(values, backward) for values in given],
                [run_float(one, turned(values, backward), own) for values in exact],
                [trace.traces[half] for trace in ran],
            ))
        members += runs
        exact = [
            segment.merged([
                turned(run.exact[stream].outputs, backward)
                for run, backward in zip(runs, segment.backward, strict=True)
            ])
            for stream in range(len(inputs))
        ]
        given = [trace.outputs.astype(np.float64) * trace.segment.output_scale for trace in ran]
    return NetworkRuns(tuple(members), list(inputs), exact, given)
