"""Load packets that put a state into a grid, so that a sequence can continue from it (`KEEP_STATE`).

A packet resets the grid's parity, so the first step after it reads "the step before" from half 1 of every vector
memory. The 16-bit states lie in the tail site of the unit's chain, each in a state word of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from hdl.layouts import Memory
from rnn_mapper.fixed_point import operand_type, round_shift, saturate
from rnn_mapper.mapping.images import Image, packed_words
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.mapping.packets import load_packet
from rnn_mapper.quantisation.integer_network import LayerState
from rnn_mapper.quantisation.reference import Reference, check_state
from rnn_mapper.schedule.phases import Phase

__all__ = ["state_packets"]

_PREVIOUS_HALF = 1


def state_packets(mapping: Mapping, state: Sequence[LayerState], member: int = 0) -> Iterator[bytes]:
    """Load packets (data of `tdest` 1) for the state of every layer; the sequence after them must keep the state.

    `member` is the network (or stream) whose state it is. Raises `ModelError` if the state is not of that network.
    """
    network = mapping.members[member]
    check_state(state, Reference(network).cleared_state())
    for index, phase in enumerate(mapping.phases):
        if phase.member != member or phase.stores or phase.layer >= len(network.layers):
            continue
        layer, given = network.layers[phase.layer], state[phase.layer]
        names = [name for name, node in layer.arithmetic.states.items() if node is phase.stage.result]
        if names and phase.feeds_back and not phase.slice:
            yield _vector_packet(mapping, phase, given[names[0]])
        if _is_first(mapping, index) and any(word.carried for word in phase.stage.unit_set.words):
            yield from _unit_packets(mapping, index, given)


def _is_first(mapping: Mapping, index: int) -> bool:
    """The first phase with its units' state words."""
    key = mapping.phases[index].state_key
    return index == next(
        number for number, phase in enumerate(mapping.phases) if not phase.stores and phase.state_key == key
    )


def _vector_packet(mapping: Mapping, phase: Phase, h: npt.NDArray[np.int16]) -> bytes:
    """The operands in every vector memory, where the first step looks for that of the step before."""
    p = mapping.parameters
    assert phase.result is not None
    fed_back = saturate(round_shift(h, phase.feedback_shift), p.operand_bits)
    words = -(-len(fed_back) // p.lanes)
    padded = np.zeros((words, p.lanes), dtype=operand_type(p.arithmetic))
    padded.reshape(-1)[: len(fed_back)] = fed_back
    first = mapping.allocation.vector_words[phase.result] + (_PREVIOUS_HALF << p.vector_offset_bits)
    image = Image(p.operand_bits * p.lanes, packed_words(padded))
    return load_packet(p, Memory.VECTOR, image, row=None, col=None, word=first)


def _unit_packets(mapping: Mapping, index: int, given: LayerState) -> Iterator[bytes]:
    """The state words of every unit of a phase, in the tail site of its chain, with the trained vectors among them."""
    phase, nest, slots = mapping.phases[index], mapping.timings[index].nest, mapping.parameters.state_words
    layer = phase.network.all_layers[phase.layer]
    part = slice(phase.first_unit, phase.first_unit + phase.units)
    first = mapping.allocation.states[index] * slots
    values: dict[int, npt.NDArray[np.int16]] = {}
    for word in phase.stage.unit_set.words:
        if word.carried or word.fixed:
            whole = layer.fixed[word.name] if word.fixed else given[word.name]
            values[word.slot] = nest.arrange(whole[part][None].astype(np.int16))[..., 0].astype(np.int16)
    for row in range(nest.rows):
        for chain in range(nest.chains):
            words = [0] * (nest.units(chain) * slots)
            for slot, arranged in values.items():
                words[slot::slots] = [int(value) & 0xFFFF for value in arranged[row, chain, : nest.units(chain)]]
            if words:
                yield load_packet(mapping.parameters, Memory.STATE, Image(16, words), row, nest.tail(chain), first)
