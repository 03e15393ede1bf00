"""Costs of making and simulating a grid, and the cycles of a step by hidden size."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hdl.grid.top import Grid
from hdl.output.emit import emit_grid
from hdl.parameters import GridParameters, load_parameters
from rnn_mapper import cells
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.mapping.packets import image_files
from rnn_mapper.mapping.sequences import bus_sequence
from rnn_mapper.network.network import Network
from rnn_mapper.network.random import LayerShape
from rnn_mapper.quantisation.blank import blank_network
from rnn_mapper.quantisation.codes import quantise_inputs
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.quantisation.reference import run_reference
from scripts.deepbench.points import random_model
from sim_tests.host.grid_build import build_grid
from sim_tests.host.run import run_sequences

__all__ = [
    "FIXED_HIDDEN", "GRIDS", "HIDDEN_SIZES", "LANES", "GridCost", "SizeCost", "fitted", "fixed_network",
    "hidden_sizes", "measure_grid",
]

#: Rows and columns of the grids, from one site to the paper's 192, all with 64 lanes.
GRIDS = ((1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4), (8, 8), (16, 8), (16, 12))
LANES = 64
#: Hidden size of the LSTM that every grid runs; input size is the same.
FIXED_HIDDEN = 256
#: Its steps, so many that starting and the first step (whose state is zero) weigh little.
FIXED_STEPS = 40
#: Hidden sizes on the full grid: first, last, step.
HIDDEN_SIZES = (64, 2816, 32)
#: Steps of the sequence whose cycles are predicted; it continues from a kept state.
SIZE_STEPS = 25


@dataclass(frozen=True)
class GridCost:
    """One grid: costs of making and simulating it, and the cycles of the fixed model."""

    rows: int
    cols: int
    sites: int
    generate_seconds: float
    verilog_bytes: int
    modules: int
    build_seconds: float
    steps: int
    cycles_predicted: int
    cycles_simulated: int
    mismatches: int
    cycles_per_step: float
    #: Of the whole run, with start and reading the images.
    simulated_cycles_per_second: float


@dataclass(frozen=True)
class SizeCost:
    """One hidden size on the full grid, predicted."""

    cell: str
    hidden: int
    cycles_per_step: float
    #: All multipliers busy with the model's own multiplications.
    ideal_cycles_per_step: float
    utilisation: float


def fixed_network() -> tuple[Network, np.ndarray]:
    """The LSTM of all grids, and an input to calibrate with."""
    return random_model(cells.lstm, FIXED_HIDDEN, 64)


def fitted(network: QuantisedNetwork, rows: int, cols: int) -> GridParameters:
    """The grid with the smallest memories (powers of two) that hold the network."""
    roomy = GridParameters(
        rows, cols, LANES, weight_depth=1 << 14, vector_depth=1 << 8, units=1 << 9, gate_entries=1 << 12
    )
    demands = map_network(network, roomy).demands
    depths = dict.fromkeys(("weight_depth", "units", "gate_entries"), 4)
    for demand in demands:
        if demand.field in depths:
            depths[demand.field] = max(depths[demand.field], 1 << (demand.needed - 1).bit_length())
    return replace(roomy, **depths)


def measure_grid(rows: int, cols: int) -> GridCost:
    """Generate, build and run one grid."""
    network, inputs = fixed_network()
    quantised = quantise(network, inputs)
    parameters = fitted(quantised, rows, cols)
    started = time.perf_counter()
    generated = emit_grid(Grid(parameters))
    generate_seconds = time.perf_counter() - started
    mapping = map_network(quantised, parameters)
    codes = quantise_inputs(quantised, inputs[:FIXED_STEPS])
    with tempfile.TemporaryDirectory() as cache:
        # A cache of its own: a build that is found there says nothing about building.
        build = build_grid(parameters, "verilator", cache_dir=Path(cache))
        with tempfile.TemporaryDirectory() as folder:
            sequence = bus_sequence(mapping, [codes])
            run = run_sequences(image_files(mapping), parameters, [sequence], build, Path(folder))
    result = run.results[0]
    return GridCost(
        rows, cols, parameters.sites, generate_seconds, sum(len(text.encode()) for text in generated.sources.values()),
        len(generated.sources), build.seconds, FIXED_STEPS, mapping.predict(FIXED_STEPS).cycles, result.cycles,
        int((result.outputs != run_reference(quantised, codes).outputs).sum()), result.cycles / FIXED_STEPS,
        result.cycles / run.seconds,
    )


def hidden_sizes(first: int, last: int, step: int) -> Iterator[SizeCost]:
    """Cycles of LSTM and GRU on the paper's grid, with weight memories that hold the largest."""
    parameters = replace(load_parameters("paper"), weight_depth=1 << 13)
    for cell in (cells.lstm, cells.gru):
        for hidden in range(first, last + 1, step):
            network = blank_network(hidden, [LayerShape(cell, hidden)], None, parameters.arithmetic)
            mapping = map_network(network, parameters, steps=SIZE_STEPS)
            # From a kept state: a cleared one is not multiplied in the first step, which would hide fragmentation.
            cycles = mapping.predict(SIZE_STEPS, cleared=False).cycles / SIZE_STEPS
            ideal = sum(phase.multiplications for phase in mapping.phases) / parameters.multipliers
            yield SizeCost(cell.name, hidden, cycles, ideal, ideal / cycles)
