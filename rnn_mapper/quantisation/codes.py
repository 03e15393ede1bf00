"""A sequence in integers: the operand codes of its inputs, and the 16-bit words of its start state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnn_mapper.errors import ModelError
from rnn_mapper.fixed_point import Codes, operand_type
from rnn_mapper.network.float_reference import FloatState
from rnn_mapper.network.network import turned
from rnn_mapper.network.tensors import FloatArray, check_inputs
from rnn_mapper.quantisation.integer_network import LayerState, QuantisedModel, QuantisedNetwork, QuantisedSegment
from rnn_mapper.summary import counted

__all__ = ["quantise_inputs", "quantise_state", "segment_codes", "unlimited_codes"]

_SMALLEST, _LARGEST = -(1 << 15), (1 << 15) - 1


def quantise_inputs(network: QuantisedNetwork, inputs: FloatArray) -> Codes:
    """The operand codes [steps, input_size] of float inputs: rint(x / input_scale) within -127..127 (int8), or
    -32767..32767 (int16); x is the input after `QuantisedNetwork.coding`."""
    limit = network.arithmetic.operand_limit - 1
    return np.clip(unlimited_codes(network, inputs), -limit, limit).astype(operand_type(network.arithmetic))


def unlimited_codes(network: QuantisedNetwork, inputs: FloatArray) -> FloatArray:
    """The codes of `quantise_inputs` before they are limited to the range of an operand."""
    values = check_inputs(inputs, network.input_size)
    if network.coding is not None:
        values = network.coding.apply(values)
    return np.rint(values / network.input_scale)


def segment_codes(segment: QuantisedSegment, inputs: FloatArray) -> tuple[Codes, ...]:
    """The inputs of each member of a segment as codes [steps, input_size], in the order in which it runs."""
    return tuple(
        np.ascontiguousarray(turned(quantise_inputs(member, inputs), backward))
        for member, backward in zip(segment.members, segment.backward, strict=True)
    )


def quantise_state(
    network: QuantisedModel | QuantisedNetwork, state: Sequence[FloatState]
) -> tuple[LayerState, ...]:
    """The start states of each of `Network.single_layers`, int16 [values], from floats of the same shape.

    States that `state` does not name are cleared. Raises ModelError for a value outside the state's format, for an
    unknown state and for a wrong shape.
    """
    layers = [
        (name, layer)
        for segment in network.segments for member, names in zip(segment.members, segment.layer_names, strict=True)
        for name, layer in zip(names, member.layers, strict=False)
    ]
    if len(state) > len(layers):
        raise ModelError(f"the start state has {counted(len(state), 'layer')}, must have at most {len(layers)}")
    made = []
    cleared: list[FloatState] = [{}] * (len(layers) - len(state))
    for (place, layer), given in zip(layers, [*state, *cleared], strict=True):
        unknown = sorted(set(given) - set(layer.state_sizes))
        if unknown:
            raise ModelError(f"{place}: start state {unknown[0]} is unknown, must be one of {list(layer.state_sizes)}")
        made.append({
            name: _codes(f"{place}: start state {name}", given.get(name, np.zeros(size)), size,
                         layer.state_format(name).fraction)
            for name, size in layer.state_sizes.items()
        })
    return tuple(made)


def _codes(name: str, values: object, size: int, fraction: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (size,):
        raise ModelError(f"{name} has shape {list(array.shape)}, must be [{size}]")
    codes = np.rint(array * (1 << fraction))
    # The limit itself is allowed: 1 becomes the largest code of Q0.15, which is a little less.
    limit = float(1 << (15 - fraction))
    bad = np.flatnonzero(~(np.abs(array) <= limit))
    if bad.size:
        text = f"must be within -{limit:g} to {limit:g}, the range of its 16-bit format"
        raise ModelError(f"{name}[{bad[0]}] is {array[bad[0]]}, {text}")
    return np.clip(codes, _SMALLEST, _LARGEST).astype(np.int16)
