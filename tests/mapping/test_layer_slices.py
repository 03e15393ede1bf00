"""Layers that the mapper cuts into slices, simulated: image packing, output order and waits of every slice."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hdl.parameters import GridParameters, load_parameters
from rnn_mapper import cells
from rnn_mapper.errors import MappingError
from rnn_mapper.mapping.choices import UnitSlice
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.network.random import LayerShape
from rnn_mapper.quantisation.blank import blank_network
from rnn_mapper.quantisation.codes import quantise_inputs
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.quantisation.reference import run_reference
from rnn_mapper.schedule.phases import PhaseOrder
from sim_tests.host.grid_build import build_grid
from tests.support.random_networks import random_network
from tests.support.simulated import run_mapping


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


def test_layers_stay_whole_where_there_is_no_room_for_their_slices() -> None:
    """The best guess cuts all three layers, and eight phases are not enough if only one layer changes."""
    parameters = GridParameters(
        4, 5, 6, weight_depth=1024, vector_depth=256, units=64, state_words=4, gate_entries=1024, phases=8,
        schedule_depth=64, program_length=64,
    )
    layers = [LayerShape(cells.lstm, size) for size in (29, 45, 50)]
    network = blank_network(68, layers, None, parameters.arithmetic)
    roomy = map_network(network, replace(parameters, phases=16), schedule=PhaseOrder.SEQUENTIAL)
    assert len(roomy.phases) > 8, "the mapper must cut these layers"
    mapping = map_network(network, parameters, schedule=PhaseOrder.SEQUENTIAL)
    assert len(mapping.phases) <= 8
    assert mapping.predict(16).cycles >= roomy.predict(16).cycles
