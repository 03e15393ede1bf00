"""A small model for the testbench that `spatial-rnn generate` writes beside a grid."""

from __future__ import annotations

import numpy as np

from hdl.output.example import Example
from hdl.parameters import GridParameters
from rnn_mapper.bus import input_packet
from rnn_mapper.cells.library import BUILT_IN
from rnn_mapper.errors import MappingError
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.mapping.packets import load_packets
from rnn_mapper.mapping.sequences import bus_sequence
from rnn_mapper.network.random import LayerShape, random_network
from rnn_mapper.quantisation.codes import quantise_inputs
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.quantisation.reference import run_reference
from rnn_mapper.summary import counted

__all__ = ["example_for"]

#: Hidden units (and inputs) of the LSTM, the first that fits.
_SIZES = (8, 4, 2, 1)
_STEPS = 6


def example_for(parameters: GridParameters) -> Example | None:
    """A sequence of an LSTM with weights at random on a grid; None if even one hidden unit does not fit."""
    for size in _SIZES:
        rng = np.random.default_rng(size)
        network = random_network(rng, size, [LayerShape(BUILT_IN["lstm"], size)])
        inputs = rng.normal(size=(_STEPS, size))
        quantised = quantise(network, inputs, parameters.arithmetic)
        try:
            mapping = map_network(quantised, parameters, steps=_STEPS)
        except MappingError:
            continue
        codes = quantise_inputs(quantised, inputs)
        return Example(
            f"{counted(_STEPS, 'step')} of an LSTM with {counted(size, 'hidden unit')} and "
            f"{counted(size, 'input')}, weights at random",
            list(load_packets(mapping)),
            input_packet(bus_sequence(mapping, [codes]).inputs, parameters.beat_bytes),
            run_reference(quantised, codes).outputs,
            mapping.predict(_STEPS).cycles,
        )
    return None
