"""Layers that the mapper cuts into slices, simulated: image packing, output order and waits of every slice."""

import re
from pathlib import Path

import numpy as np
import pytest

from hdl.parameters import load_parameters
from rnn_mapper import cells
from rnn_mapper.errors import MappingError
from rnn_mapper.mapping.choices import UnitSlice
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.quantisation.quantise import quantise, quantise_inputs
from rnn_mapper.quantisation.reference import run_reference
from sim_tests.host.grid_runs import build_grid, run_mapping
from tests.support.random_networks import random_network


def test_slices_give_the_same_bits_in_the_predicted_cycles(tmp_path: Path) -> None:
    parameters = load_parameters("small")
    inputs = np.random.default_rng(1).normal(size=(5, 32))
    quantised = quantise(random_network(3, cells.lstm, inputs=32, hidden=(22,)), inputs)
    mapping = map_network(quantised, parameters, steps=5)
    assert len([phase for phase in mapping.phases if phase.to_host]) == 2, "the mapper must cut this layer"
    codes = quantise_inputs(quantised, inputs)
    result = run_mapping(mapping, codes, build_grid(parameters, "icarus"), tmp_path)
    np.testing.assert_array_equal(result.outputs, run_reference(quantised, codes).outputs)
    assert result.cycles == mapping.predict(5).cycles


@pytest.mark.parametrize(("slices", "text"), [
    ([UnitSlice(6, 1, 2), UnitSlice(6, 2, 1)], "units are 11 groups"),
    ([UnitSlice(5, 1, 2), UnitSlice(6, 3, 1)], "ru * chains at most cols = 2"),
    ([UnitSlice(11, 0, 1)], "all must be 1 or more"),
])
def test_slices_that_cannot_be(slices: list[UnitSlice], text: str) -> None:
    quantised = quantise(random_network(3, cells.lstm, inputs=32, hidden=(22,)), np.ones((1, 32)))
    with pytest.raises(MappingError, match=re.escape(text)):
        map_network(quantised, load_parameters("small"), splits=[slices])


def test_named_slices_are_taken() -> None:
    quantised = quantise(random_network(3, cells.lstm, inputs=32, hidden=(22,)), np.ones((1, 32)))
    mapping = map_network(quantised, load_parameters("small"), splits=[[UnitSlice(4, 2, 1), UnitSlice(7, 1, 2)]])
    assert [(t.nest.groups, t.nest.ru, t.nest.chains) for t in mapping.timings] == [(4, 2, 1), (7, 1, 2)] * 2
