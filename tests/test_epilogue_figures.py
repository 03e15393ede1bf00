"""The epilogue's promised rate and latency, from the components' own latencies and the scheduler."""

import numpy as np
import pytest
from random_networks import random_network

from hdl.latencies import GridLatencies
from hdl.parameters import load_parameters, preset_names
from hdl.top import Grid
from rnn_mapper import cells
from rnn_mapper.loop_nest import LoopNest
from rnn_mapper.network import gate_count
from rnn_mapper.phases import phases_of, whole_layers
from rnn_mapper.quantise import quantise
from rnn_mapper.timing import time_phase

LIMIT_INTERVAL, LIMIT_LATENCY = 6, 24


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("cell", [cells.lstm, cells.gru])
def test_one_unit_in_six_cycles(preset: str, cell: cells.Cell) -> None:
    """With one vector word a gate, the multipliers would allow a unit in four (LSTM) or three (GRU) cycles."""
    p = load_parameters(preset)
    network = random_network(0, cell, inputs=p.lanes, hidden=(4 * p.rows,))
    quantised = quantise(network, np.full((1, p.lanes), 0.5))
    h_phase = phases_of(quantised, whole_layers(quantised))[0]
    nest = LoopNest(p.rows, p.lanes, ru=1, chains=1, groups=4, gates=gate_count(cell), words=1)
    timing = time_phase(h_phase, nest, p, GridLatencies.of(p))
    assert timing.interval <= LIMIT_INTERVAL


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("cell", [cells.lstm, cells.gru])
def test_result_within_24_cycles_of_the_last_multiplication(preset: str, cell: cells.Cell) -> None:
    p = load_parameters(preset)
    pcu = Grid(p).site.pcu
    quantised = quantise(random_network(0, cell), np.full((1, 5), 0.5))
    phase = phases_of(quantised, whole_layers(quantised))[0]
    _, trips = phase.program.emitting
    # The last product stands in its register one cycle after its operands.
    assert pcu.result_latency + trips * pcu.ring_latency - 1 <= LIMIT_LATENCY
