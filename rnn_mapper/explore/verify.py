"""Simulates the Verilog of what a search found and compares it with the search's own figures."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hdl.parameters import GridParameters
from rnn_mapper.cells.arithmetic import arithmetic_of
from rnn_mapper.cells.library import dense
from rnn_mapper.cells.unit_program import Preference
from rnn_mapper.explore.requests import Model
from rnn_mapper.explore.search import Design
from rnn_mapper.explore.shapes import Shape, cells_of, known_cells
from rnn_mapper.importers import load_model
from rnn_mapper.importers.native import plain_network
from rnn_mapper.mapping.choices import Choice
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.network.network import Dense, Layer, Network
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.quantisation.quantise import quantise, quantise_inputs
from rnn_mapper.run.prepare import default_calibration
from rnn_mapper.run.result import IntSequence
from rnn_mapper.run.simulate import choose_simulator, verify
from rnn_mapper.schedule.phases import PhaseOrder
from sim_tests.simulator.run import logs_kept

__all__ = ["Verified", "mapping_of", "random_network", "verify_design"]


@dataclass(frozen=True)
class Verified:
    """One model on one grid, simulated."""

    model: str
    grid: str
    steps: int
    predicted: int
    simulated: int
    #: Outputs that differ from the reference.
    mismatches: int
    #: Cycles of the whole sequence: those of the search, and those that the mapper predicts.
    searched: int
    mapped: int

    @property
    def exact(self) -> bool:
        """Everything agrees."""
        return self.predicted == self.simulated and not self.mismatches and self.searched == self.mapped


def verify_design(
    design: Design, models: tuple[Model, ...], steps: int, progress: Callable[[str], None]
) -> list[Verified]:
    """Simulate up to `steps` steps of every model on a grid, with the weights of its file or random ones."""
    p = design.parameters
    done = []
    for model, found in zip(models, design.found, strict=True):
        network = random_network(model.shape)
        if model.file is not None:
            known = known_cells((model.shape.cells_file, model.shape.cells_digest))
            network = plain_network(load_model(model.file, model.selection, known).network)
        quantised = quantise(network, default_calibration(network), p.arithmetic)
        mapping = mapping_of(quantised, p, found.choice, model.steps)
        count = min(steps, model.steps)
        inputs = np.random.default_rng(1).standard_normal((count, network.input_size))
        with tempfile.TemporaryDirectory(prefix="srnn_explore_") as folder, logs_kept():
            sequence = IntSequence(quantise_inputs(quantised, inputs))
            result = verify(mapping, [sequence], choose_simulator(mapping, count), Path(folder), progress=progress)[0]
        done.append(Verified(
            model.name, f"{p.rows} x {p.cols} x {p.lanes}", count, result.prediction.cycles, result.cycles_simulated,
            int((result.outputs != result.expected).sum()), found.cycles, mapping.predict(model.steps).cycles,
        ))
    return done


def mapping_of(network: QuantisedNetwork, parameters: GridParameters, choice: Choice, steps: int) -> Mapping:
    """A quantised network mapped as chosen. Raises `MappingError`."""
    return map_network(
        network, parameters, steps=steps, schedule=PhaseOrder(choice.schedule), splits=choice.ways,
        programs=Preference(choice.programs))


def random_network(shape: Shape, seed: int = 0) -> Network:
    """A network in floating point with weights as PyTorch would initialise them."""
    rng = np.random.default_rng(seed)
    layers, inputs = [], shape.inputs
    for cell, units in zip(cells_of(shape), shape.sizes, strict=True):
        bound, arithmetic = units**-0.5, arithmetic_of(cell)
        sizes = {
            product.matrix: inputs if product.operand.is_input else units
            for row in arithmetic.rows for product in row.products
        }
        tensors = {name: rng.uniform(-bound, bound, (units, size)) for name, size in sizes.items()}
        tensors |= {name: rng.uniform(-bound, bound, units) for name in cell.trace.vectors}
        layers.append(Layer(cell, tensors) if cell is not dense else Dense(tensors["W"], tensors["b"]))
        inputs = units
    if shape.head is None:
        return Network(tuple(layers))
    head = layers.pop()
    assert isinstance(head, Dense)
    return Network(tuple(layers), head)
