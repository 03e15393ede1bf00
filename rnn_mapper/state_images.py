"""Load packets that put a state into a grid, so that a sequence can continue from it (`KEEP_STATE`).

A packet resets the grid's parity, so the first step after it reads "the step before" from half 1 of every vector
memory. The 16-bit state (c of an LSTM, h of a GRU) lies in the tail site of the unit's chain, in the state word that
the cell's program reads; the unit's other words become zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from hdl.layouts import Memory
from rnn_mapper.errors import ModelError
from rnn_mapper.fixed_point import round_shift, saturate
from rnn_mapper.image_files import load_packet
from rnn_mapper.images import Image, weight_words
from rnn_mapper.mapping import Mapping
from rnn_mapper.network import Cell
from rnn_mapper.phases import Phase
from rnn_mapper.reference import LayerState

__all__ = ["state_packets"]

_PREVIOUS_HALF = 1


def state_packets(mapping: Mapping, state: Sequence[LayerState]) -> Iterator[bytes]:
    """Load packets (data of `tdest` 1) for the state of every layer; the sequence after them must keep the state.

    Raises `ModelError` if the state is not that of the mapped network.
    """
    _check(mapping, state)
    for index, phase in enumerate(mapping.phases):
        if not phase.previous or phase.stores:
            continue
        layer = mapping.network.layers[phase.layer]
        given = state[phase.layer]
        if not phase.part:
            yield _vector_packet(mapping, phase, given.h, layer.feedback_shift)
        if phase.program.uses_state:
            held = given.c if layer.cell is Cell.LSTM else given.h
            assert held is not None
            yield from _unit_packets(mapping, index, held[phase.first_unit : phase.first_unit + phase.units])


def _check(mapping: Mapping, state: Sequence[LayerState]) -> None:
    layers = mapping.network.layers
    if len(state) != len(layers):
        raise ModelError(f"state holds {len(state)} layers, must hold {len(layers)}")
    for index, (layer, given) in enumerate(zip(layers, state, strict=True)):
        wanted = {"h": given.h} | ({"c": given.c} if layer.cell is Cell.LSTM else {})
        for name, value in wanted.items():
            if value is None or value.dtype != np.int16 or value.shape != (layer.hidden_size,):
                have = "nothing" if value is None else f"{value.dtype} {list(value.shape)}"
                raise ModelError(f"state of layer {index}: {name} is {have}, must be int16 [{layer.hidden_size}]")


def _vector_packet(mapping: Mapping, phase: Phase, h: npt.NDArray[np.int16], shift: int) -> bytes:
    """The int8 h in every vector memory, where the first step looks for that of the step before."""
    p = mapping.parameters
    assert phase.result is not None
    fed_back = saturate(round_shift(h, shift), 8).astype(np.int8)
    words = -(-len(fed_back) // p.lanes)
    padded = np.zeros((words, p.lanes), dtype=np.int8)
    padded.reshape(-1)[: len(fed_back)] = fed_back
    first = mapping.allocation.vector_words[phase.result] + (_PREVIOUS_HALF << p.vector_offset_bits)
    return load_packet(p, Memory.VECTOR, Image(8 * p.lanes, weight_words(padded)), row=None, col=None, word=first)


def _unit_packets(mapping: Mapping, index: int, held: npt.NDArray[np.int16]) -> Iterator[bytes]:
    """The 16-bit state of every unit of a phase, in the tail site of its chain."""
    nest, slots = mapping.timings[index].nest, mapping.parameters.state_words
    (slot,) = {op.read_slot for chain in mapping.phases[index].program.chains for op in chain if op.reads_state}
    arranged = nest.arrange(held[None])[..., 0].astype(np.int16)
    for row in range(nest.rows):
        for chain in range(nest.chains):
            words = [0] * (nest.units(chain) * slots)
            words[slot::slots] = [int(value) & 0xFFFF for value in arranged[row, chain, : nest.units(chain)]]
            if words:
                image, first = Image(16, words), mapping.allocation.units[index] * slots
                yield load_packet(mapping.parameters, Memory.STATE, image, row, nest.tail(chain), first)
