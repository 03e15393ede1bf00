"""Layers that the mapper cuts into parts, simulated: image packing, output order and waits of every part."""

from pathlib import Path

import numpy as np
from random_networks import random_network

from hdl.parameters import load_parameters
from rnn_mapper.mapper import map_network
from rnn_mapper.network import Cell
from rnn_mapper.quantise import quantise, quantise_inputs
from rnn_mapper.reference import run_reference
from sim_tests.grid_runs import build_grid, run_mapping


def test_parts_give_the_same_bits_in_the_predicted_cycles(tmp_path: Path) -> None:
    parameters = load_parameters("small")
    inputs = np.random.default_rng(1).normal(size=(5, 32))
    quantised = quantise(random_network(3, Cell.LSTM, inputs=32, hidden=(22,)), inputs)
    mapping = map_network(quantised, parameters, steps=5)
    assert len([phase for phase in mapping.phases if phase.to_host]) == 2, "the mapper must cut this layer"
    codes = quantise_inputs(quantised, inputs)
    result = run_mapping(mapping, codes, build_grid(parameters, "icarus"), tmp_path)
    np.testing.assert_array_equal(result.outputs, run_reference(quantised, codes).outputs)
    assert result.cycles == mapping.predict(5).cycles
