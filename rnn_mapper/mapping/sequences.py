"""Sequences of a mapped model in the form in which the host puts them on the buses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnn_mapper.bus import BusSequence
from rnn_mapper.fixed_point import Codes
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.mapping.state_images import state_packets
from rnn_mapper.quantisation.integer_network import LayerState
from rnn_mapper.quantisation.reference import Reference

__all__ = ["State", "bus_sequence", "load_states", "read_sequence"]

#: The state of a network, by layer; None is the cleared state.
State = Sequence[LayerState] | None


def load_states(model: Mapping, states: Sequence[State]) -> tuple[bytes, ...]:
    """Load packets for the states of all streams (or networks) of a model; the next sequence keeps these states."""
    packets: list[bytes] = []
    for member, (network, state) in enumerate(zip(model.members, states, strict=True)):
        packets += state_packets(model, Reference(network).cleared_state() if state is None else state, member)
    return tuple(packets)


def bus_sequence(
    model: Mapping, inputs: Sequence[Codes], states: Sequence[State] | None = None, keep_state: bool = False
) -> BusSequence:
    """A sequence of the operand codes [steps, input_size] of every stream (or network) of a model.

    The sequence starts from cleared states, from `states` (one for each stream), or with `keep_state` from the states
    in the grid.
    """
    # Cleared states need no load packets.
    packets = () if states is None or all(state is None for state in states) else load_states(model, states)
    return BusSequence(
        model.pack_inputs(inputs), model.output_size, packets, keep_state or bool(packets), model.reserved.model
    )


def read_sequence(reader: Mapping) -> BusSequence:
    """The single step in which a state reader sends the states of its model (`states_read` separates them)."""
    return BusSequence(np.zeros((1, 0), dtype=np.int8), reader.output_size, model=reader.reserved.model)
