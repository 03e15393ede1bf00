"""A network in floating point and in integers over the same sequences: errors per layer, and all that the layers made.

No hardware is simulated: the integers are the reference's, with which every simulation is compared.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

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

#: Fraction of the steps that the first and the last window of the drift ratio take.
DRIFT_WINDOW = 0.2


@dataclass(frozen=True)
class LayerError:
    """The error of one layer's outputs, integer minus float run through all layers so far, in real units."""

    #: ``layer 0``, ..., ``head``.
    name: str
    rms: float
    #: 99.9th percentile of the magnitude.
    p999: float
    max: float
    #: RMS error of the last window of steps over that of the first; 1 if both are without error.
    drift: float
    #: RMS of the float outputs, to judge the errors by.
    signal_rms: float


def compare_with_float(
    network: Network, quantised: QuantisedModel | QuantisedNetwork, inputs: FloatArray,
    state: Sequence[FloatState] | None = None,
) -> list[LayerError]:
    """Run both on [steps, input_size] from `state` (cleared if None); a LayerError per layer, then the head's."""
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


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


@dataclass(frozen=True, eq=False)
class LayerRun:
    """One layer over all streams. Steps are in the order in which the layer runs: a backward one begins with the last.
    """

    #: Such as ``layer 0``, ``layer 0 forward``, ``head``.
    name: str
    layer: Layer
    quantised: QuantisedLayer
    #: Another layer of the same network multiplies its output.
    feeds: bool
    #: Position in the traces.
    index: int
    member: MemberRun

    @property
    def wanted(self) -> FloatArray:
        """[steps, streams * output_size] in floating point, through all layers so far."""
        return np.concatenate([trace.layer_outputs[self.index] for trace in self.member.exact], axis=1)

    @property
    def codes(self) -> FloatArray:
        """The same in integers, in codes of the output's format."""
        outputs = [(*trace.layer_outputs, trace.outputs)[self.index] for trace in self.member.got]
        return np.concatenate(outputs, axis=1).astype(np.float64)

    @property
    def got(self) -> FloatArray:
        """`codes` in real units."""
        return self.codes * self.quantised.output_scale


@dataclass(frozen=True, eq=False)
class MemberRun:
    """One network; of a bidirectional layer one half. Lists hold an entry for each stream."""

    names: tuple[str, ...]
    network: Network
    quantised: QuantisedNetwork
    #: What the integers are made of, [steps, input_size] in real units.
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
    """All parts of a network; `inputs`, `wanted` and `got` hold [steps, values] in real units for each stream."""

    members: tuple[MemberRun, ...]
    inputs: list[FloatArray]
    #: Outputs of the network in floating point and in integers.
    wanted: list[FloatArray]
    got: list[FloatArray]

    @property
    def layers(self) -> list[LayerRun]:
        """The layers of all parts, in their order."""
        return [layer for member in self.members for layer in member.layers]


def run_both(
    network: Network, quantised: QuantisedModel | QuantisedNetwork, inputs: Sequence[FloatArray],
    state: Sequence[FloatState] | None = None,
) -> NetworkRuns:
    """Run [steps, input_size] of each stream in floating point and in integers, each from `state` (cleared if None).

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
