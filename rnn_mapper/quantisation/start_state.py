"""The state that a sequence starts from, from floating point to the 16-bit words of the grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnn_mapper.errors import ModelError
from rnn_mapper.network.float_reference import FloatState
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.quantisation.reference import LayerState

__all__ = ["quantise_state"]

_SMALLEST, _LARGEST = -(1 << 15), (1 << 15) - 1


def quantise_state(network: QuantisedNetwork, state: Sequence[FloatState]) -> tuple[LayerState, ...]:
    """int16 [values] of every state of every layer, from `state` [values]; what it does not name is cleared.

    Raises ModelError for a value that the format of the state does not hold, and for a state of another shape.
    """
    if len(state) > len(network.layers):
        raise ModelError(f"the start state is of {len(state)} layers, must be of {len(network.layers)} at most")
    made = []
    for index, layer in enumerate(network.layers):
        given = state[index] if index < len(state) else {}
        unknown = sorted(set(given) - set(layer.state_sizes))
        if unknown:
            raise ModelError(f"layer {index}: start state {unknown[0]} is unknown; there are {list(layer.state_sizes)}")
        made.append({
            name: _codes(f"layer {index}: start state {name}", given.get(name, np.zeros(size)), size,
                         layer.state_format(name).fraction)
            for name, size in layer.state_sizes.items()
        })
    return tuple(made)


def _codes(name: str, values: object, size: int, fraction: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (size,):
        raise ModelError(f"{name} has shape {list(array.shape)}, must be [{size}]")
    codes = np.rint(array * (1 << fraction))
    # The limits themselves are meant: 1 is the largest code of Q0.15, which is a little less.
    limit = float(1 << (15 - fraction))
    bad = np.flatnonzero(~(np.abs(array) <= limit))
    if bad.size:
        text = f"must be within -{limit:g} to {limit:g}, its 16-bit format"
        raise ModelError(f"{name}[{bad[0]}] is {array[bad[0]]}, {text}")
    return np.clip(codes, _SMALLEST, _LARGEST).astype(np.int16)
