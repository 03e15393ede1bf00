"""The specified rate and latency of the epilogue, from the latencies of the components and the scheduler."""

import numpy as np
import pytest

from hdl.grid.top import Grid
from hdl.latencies import GridLatencies
from hdl.parameters import load_parameters, preset_names
from rnn_mapper import cells
from rnn_mapper.network.layers import gate_count
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.schedule.clock import time_phase
from rnn_mapper.schedule.loop_nest import LoopNest
from rnn_mapper.schedule.order import phases_of
from rnn_mapper.schedule.phases import Phase, unit_groups
from rnn_mapper.schedule.programs import choose_programs
from tests.support.random_networks import random_network

LIMIT_INTERVAL, LIMIT_LATENCY = 6, 24


def h_phase(network: QuantisedNetwork, latencies: GridLatencies) -> tuple[Phase, int]:
    """The phase of a layer that runs the unit program, and the words of its rows (one is enough)."""
    phases = phases_of([network], [[group.units] for group in unit_groups([network])])
    phases, words = choose_programs(phases, [1] * len(phases), latencies)
    (index,) = [index for index, phase in enumerate(phases) if not phase.stores]
    return phases[index], words[index]


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("cell", [cells.lstm, cells.gru])
def test_one_unit_in_six_cycles(preset: str, cell: cells.Cell) -> None:
    """With one vector word a gate, the multipliers would allow a unit in four (LSTM) or three (GRU) cycles."""
    p = load_parameters(preset)
    network = random_network(0, cell, inputs=p.lanes, hidden=(4 * p.rows,))
    quantised = quantise(network, np.full((1, p.lanes), 0.5))
    latencies = GridLatencies.of(p)
    phase, words = h_phase(quantised, latencies)
    assert words == 1
    nest = LoopNest(p.rows, p.lanes, ru=1, chains=1, groups=4, gates=gate_count(cell), words=1)
    timing = time_phase(phase, nest, p, latencies)
    assert timing.interval <= LIMIT_INTERVAL


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("cell", [cells.lstm, cells.gru])
def test_result_within_24_cycles_of_the_last_multiplication(preset: str, cell: cells.Cell) -> None:
    p = load_parameters(preset)
    pcu = Grid(p).site.pcu
    quantised = quantise(random_network(0, cell), np.full((1, 5), 0.5))
    phase, _ = h_phase(quantised, GridLatencies.of(p))
    _, trips = phase.steps.emitting
    # The last product is in its register one cycle after its operands.
    assert pcu.result_latency + trips * pcu.ring_latency - 1 <= LIMIT_LATENCY
