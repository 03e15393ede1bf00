"""A network in floating point and in integers over the same sequences, with all that its layers made of them.

No hardware is simulated: the integers are the reference's, with which every simulation is compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rnn_mapper.errors import ConfigurationError
from rnn_mapper.mapping.bidirectional import QuantisedBidirectional, merged_float, turned
from rnn_mapper.network.bidirectional import BidirectionalNetwork, Segment
from rnn_mapper.network.float_reference import FloatState, FloatTrace, run_float
from rnn_mapper.network.network import FloatArray, Layer, Network
from rnn_mapper.quantisation.integer_network import QuantisedLayer, QuantisedNetwork
from rnn_mapper.quantisation.quantise import quantise_inputs
from rnn_mapper.quantisation.reference import Reference, ReferenceTrace
from rnn_mapper.quantisation.start_state import quantise_state

__all__ = ["LayerRun", "MemberRun", "NetworkRuns", "run_both"]


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
        pairs = zip(self.names, self.network.all_layers, self.quantised.all_layers, strict=True)
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
    network: Network | BidirectionalNetwork,
    quantised: QuantisedNetwork | QuantisedBidirectional,
    inputs: Sequence[FloatArray],
    state: Sequence[FloatState] | None = None,
) -> NetworkRuns:
    """Run [steps, input_size] of each stream in floating point and in integers, each from `state` (cleared if None).

    Raises ModelError if the inputs do not fit, ConfigurationError for several streams or a start state of a network
    with bidirectional layers.
    """
    streams = list(inputs)
    if isinstance(network, BidirectionalNetwork) and isinstance(quantised, QuantisedBidirectional):
        if len(streams) > 1 or state is not None:
            raise ConfigurationError("a network with bidirectional layers takes one stream, and no start state")
        return _run_segments(network, quantised, streams[0])
    assert isinstance(network, Network)
    assert isinstance(quantised, QuantisedNetwork)
    names = tuple(quantised.layer_name(index) for index in range(len(network.all_layers)))
    member = _run_member(names, network, quantised, streams, streams, state)
    got = [trace.outputs.astype(np.float64) * quantised.output_scale for trace in member.got]
    return NetworkRuns((member,), streams, [trace.outputs for trace in member.exact], got)


def _run_member(
    names: tuple[str, ...], network: Network, quantised: QuantisedNetwork, exact: list[FloatArray],
    inputs: list[FloatArray], state: Sequence[FloatState] | None = None,
) -> MemberRun:
    start = None if state is None else quantise_state(quantised, state)
    reference = Reference(quantised)
    return MemberRun(
        names, network, quantised, inputs, [run_float(network, one, state) for one in exact],
        [reference.run(quantise_inputs(quantised, one), start) for one in inputs],
    )


def _run_segments(network: BidirectionalNetwork, quantised: QuantisedBidirectional, inputs: FloatArray) -> NetworkRuns:
    members: list[MemberRun] = []
    exact, given, first = inputs, inputs, 0
    for segment, integers in zip(network.segments, quantised.segments, strict=True):
        runs = [
            _run_member(
                _names(segment, first, half), one, made, [turned(exact, backward)], [turned(given, backward)]
            )
            for half, (backward, one, made) in enumerate(
                zip(segment.backward, segment.networks, integers.members, strict=True)
            )
        ]
        exact = merged_float(
            segment, [turned(run.exact[0].outputs, back) for run, back in zip(runs, segment.backward, strict=True)]
        )
        given = integers.merged([run.got[0].outputs for run in runs]).astype(np.float64) * integers.output_scale
        members += runs
        first += len(segment.networks[0].layers)
    return NetworkRuns(tuple(members), [inputs], [exact], [given])


def _names(segment: Segment, first: int, half: int) -> tuple[str, ...]:
    """Names of the layers of one network of a segment whose first layer has the number `first`."""
    network = segment.networks[half]
    if segment.merge is not None:
        return (f"{segment.name} {'backward' if segment.backward[half] else 'forward'}",)
    if segment.name == "head":
        return ("head",)
    names = tuple(f"layer {first + index}" for index in range(len(network.layers)))
    return names if network.head is None else (*names, "head")
