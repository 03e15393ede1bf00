"""A sequence that continues from a state loaded over the bus."""

from pathlib import Path

import numpy as np
import pytest

from hdl.parameters import load_parameters
from rnn_mapper import cells
from rnn_mapper.errors import ModelError
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.mapping.state_images import state_packets
from rnn_mapper.quantisation.codes import quantise_inputs
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.quantisation.reference import run_reference
from sim_tests.host.grid_build import build_grid
from sim_tests.simulator.run import Build
from tests.support.random_networks import random_network
from tests.support.simulated import run_mapping


@pytest.fixture(scope="module")
def grid() -> Build:
    return build_grid(load_parameters("small"), "icarus")


@pytest.mark.parametrize(
    ("cell", "hidden", "ru"),
    [(cells.lstm, (7, 9), 2), (cells.lstm, (17, 6), None), (cells.gru, (17, 6), None), (cells.rnn_relu, (5,), None),
     (cells.gru_reset_before, (6, 5), None), (cells.lstm_projection, (5,), None), (cells.sru, (6,), None)],
)
def test_continues_from_a_loaded_state(
    grid: Build, cell: cells.Cell, hidden: tuple[int, ...], ru: int | None, tmp_path: Path
) -> None:
    parameters = load_parameters("small")
    rng = np.random.default_rng(len(hidden))
    x = rng.normal(size=(14, 5))
    network = quantise(random_network(1, cell, 5, hidden, scale=0.8), x)
    mapping = map_network(network, parameters, ru=ru)
    codes = quantise_inputs(network, x)
    whole = run_reference(network, codes)
    first = run_reference(network, codes[:9])
    run = run_mapping(mapping, codes[9:], grid, tmp_path, first.state)
    np.testing.assert_array_equal(run.outputs, whole.outputs[9:])
    assert run.cycles == mapping.predict(5, cleared=False).cycles


def test_refuses_a_state_of_another_network() -> None:
    x = np.ones((2, 5))
    network = quantise(random_network(1, cells.lstm, 5, (6,)), x)
    mapping = map_network(network, load_parameters("small"))
    good, short = np.zeros(6, dtype=np.int16), np.zeros(5, dtype=np.int16)
    for state, message in (
        ([], "state holds 0 layers, must hold 1"),
        ([{"h": good}], r"state of layer 0: c is nothing, must be int16 \[6\]"),
        ([{"h": short, "c": good}], r"state of layer 0: h is int16 \[5\], must be int16 \[6\]"),
    ):
        with pytest.raises(ModelError, match=message):
            list(state_packets(mapping, state))
