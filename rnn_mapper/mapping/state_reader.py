"""A small model that sends the state words of another to the host: how a state is saved over the bus.

It lies in the grid beside the model (`deployment`) and shares the memory of its states. Started by its number
in MODEL for one step, without input, it sends every state of every layer as an output: one phase without products for
each, whose unit program reads the state word and emits it. The state stays as it is, so the model can go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from hdl.layouts import Activation, Addend, FactorY
from rnn_mapper.cells.program import GateStep, Instruction, Program
from rnn_mapper.cells.unit_sets import StateWord
from rnn_mapper.errors import MappingError
from rnn_mapper.mapping.allocation import Reserved, allocate, shortages
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.quantisation.integer_network import LayerState, QuantisedProduct
from rnn_mapper.schedule.clock import time_phase
from rnn_mapper.schedule.durations import build_schedule
from rnn_mapper.schedule.phases import Phase, Vector

__all__ = ["map_state_reader", "states_read"]


def map_state_reader(model: Mapping, reserved: Reserved) -> Mapping:
    """The model that reads the state of `model`, placed behind what is reserved.

    Its output is one vector for each state, in the order of `states_read`. Raises `MappingError` where it does not fit.
    """
    p = model.parameters
    vectors: list[Vector] = []
    phases: list[Phase] = []
    nests = []
    bases: dict[object, int] = {
        phase.state_key: base for phase, base in zip(model.phases, model.allocation.states, strict=True)
        if not phase.stores
    }
    for first, word, size in _words(model):
        owner = model.phases[first]
        vectors.append(Vector(f"{word.name} of {owner.name}", size, len(vectors), False, True))
        for index, phase in enumerate(model.phases):
            if phase.stores or phase.group != owner.group or phase.stage is not owner.stage:
                continue
            phases.append(replace(
                phase, name=f"read {word.name} of {phase.name}", member=len(vectors) - 1, operand=0, previous=False,
                product=QuantisedProduct.nothing(1, phase.units), result=len(vectors) - 1, feedback_shift=None,
                to_host=True, lag=0, needs_input=False, frees_input=False, ends_output=False, waits_for=None,
                wait_back=0, barrier=False, program=_reading(word), unit_slots=0,
            ))
            nests.append(replace(model.timings[index].nest, gates=1, words=1))
    if not phases:
        raise MappingError("the model has no state to read")
    phases[-1] = replace(phases[-1], ends_output=True)
    allocation, demands = allocate(phases, nests, vectors, p, reserved, bases)
    if short := shortages(demands):
        text = "; ".join(f"{one.what}: {one.needed} needed, {one.available} available ({one.field})" for one in short)
        raise MappingError(f"no room to read the model's state: {text}")
    first_groups = [base * p.lanes // p.rows for base in allocation.vector_words]
    timings = [
        time_phase(phase, nest, p, model.latencies, first_groups[phase.member] - first_groups[0])
        for phase, nest in zip(phases, nests, strict=True)
    ]
    return Mapping(
        (), p, model.latencies, model.schedule, vectors, phases, timings, build_schedule(timings), allocation, demands,
        reserved,
    )


def states_read(model: Mapping, outputs: npt.NDArray[np.int16], reader: Mapping) -> list[list[LayerState]]:
    """For each network of `model` the state of its layers, from the one output step [1, width] of its reader."""
    states: list[list[dict[str, npt.NDArray[np.int16]]]] = [
        [{} for _ in network.layers] for network in model.members
    ]
    for (first, word, _), values in zip(_words(model), reader.unpack_outputs(outputs), strict=True):
        phase = model.phases[first]
        states[phase.member][phase.layer][word.name] = values[0].copy()
    return [list(layers) for layers in states]


def _words(model: Mapping) -> Iterator[tuple[int, StateWord, int]]:
    """For each state of each unit group: its first phase, the word, and the number of units."""
    seen: set[int] = set()
    for index, phase in enumerate(model.phases):
        if phase.stores or phase.group in seen or phase.layer >= len(phase.network.layers):
            continue
        seen.add(phase.group)
        size = phase.network.layers[phase.layer].units(phase.stage)
        for word in phase.stage.unit_set.words:
            if word.carried:
                yield index, word, size


def _reading(word: StateWord) -> Program:
    # Not `carried`: the word is read as it is, although the reader begins without a state of its own.
    read = Instruction(f"output = {word.name}", y=FactorY.ZERO, addend=Addend.STATE, read_slot=word.slot, emit=True)
    return Program(f"read {word.name}", (GateStep(0, Activation.IDENTITY, (read,), add_stored=False),))
