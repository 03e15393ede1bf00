"""Simulates the Verilog of the grids that a search found and compares the results with the figures of the search."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hdl.output.package import make_package
from hdl.parameters import GridParameters
from hdl.synthesis.place_and_route import place_and_route
from rnn_mapper.cells.unit_program import Preference
from rnn_mapper.explore.devices import Device
from rnn_mapper.explore.requests import Model
from rnn_mapper.explore.search import Design, Request
from rnn_mapper.explore.shapes import known_cells, layer_shapes
from rnn_mapper.importers import load_model
from rnn_mapper.mapping.choices import Choice
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.network.random import random_network
from rnn_mapper.quantisation.codes import quantise_inputs
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.run.prepare import default_calibration
from rnn_mapper.run.result import IntSequence
from rnn_mapper.run.simulate import choose_simulator, verify
from rnn_mapper.schedule.phases import PhaseOrder
from sim_tests.simulator.run import logs_kept

__all__ = ["Routed", "Verified", "mapping_of", "route_design", "verify_design"]


@dataclass(frozen=True)
class Verified:
    """The simulation of one model on one grid."""

    model: str
    grid: str
    steps: int
    predicted: int
    simulated: int
    #: Outputs that differ from the reference.
    mismatches: int
    #: Cycles of the whole sequence: found by the search, and predicted by the mapper.
    searched: int
    mapped: int

    @property
    def exact(self) -> bool:
        """Whether everything agrees."""
        return self.predicted == self.simulated and not self.mismatches and self.searched == self.mapped


@dataclass(frozen=True)
class Routed:
    """A grid placed and routed on the device of the budget."""

    grid: str
    device: str
    estimated_mhz: float | None
    routed_mhz: float
    #: Used resources, as `hdl.synthesis.place_and_route.PlacedGrid` names them.
    used: dict[str, int]
    #: Time of a step of every model at the clock that was reached, in microseconds.
    microseconds: dict[str, float]


def route_design(design: Design, device: Device, request: Request, progress: Callable[[str], None]) -> Routed:
    """Place and route a grid with one seed, with the multipliers that the device has no blocks for in its logic.

    `device.route` must not be empty. Raises `ConfigurationError` for a grid that the device does not hold.
    """
    p = design.parameters
    name = f"{p.rows} x {p.cols} x {p.lanes}"
    with tempfile.TemporaryDirectory(prefix="srnn_route_") as temporary:
        grid, work = Path(temporary) / "grid", Path(temporary) / "work"
        make_package(p).write(grid)
        work.mkdir()
        placed = place_and_route(
            grid, device.route, [1], lambda what, done, total: progress(f"{name}: {what}"), folder=work,
            multipliers="mixed",
        )[0]
    return Routed(name, placed.device, design.clock_mhz, placed.fmax_mhz, placed.used, {
        model.name: found.cycles / request.steps_of(model) / placed.fmax_mhz
        for model, found in zip(request.models, design.found, strict=True)
    })


def verify_design(
    design: Design, models: tuple[Model, ...], steps: int, progress: Callable[[str], None], response: bool = False
) -> list[Verified]:
    """Simulate up to `steps` steps of every model on a grid, with the weights of its file or random ones.

    With `response` the cycles of the search are those of a response.
    """
    p = design.parameters
    done = []
    for model, found in zip(models, design.found, strict=True):
        shape = model.shape
        network = random_network(np.random.default_rng(0), shape.inputs, layer_shapes(shape), shape.head)
        if model.file is not None:
            known = known_cells((model.shape.cells_file, model.shape.cells_digest))
            network = load_model(model.file, model.selection, known).network
        quantised = quantise(network, default_calibration(network), p.arithmetic)
        mapping = mapping_of(quantised, p, found.choice, model.steps)
        count = min(steps, model.steps)
        inputs = np.random.default_rng(1).standard_normal((count, network.input_size))
        with tempfile.TemporaryDirectory(prefix="srnn_explore_") as folder, logs_kept():
            sequence = IntSequence(quantise_inputs(quantised, inputs))
            result = verify(mapping, [sequence], choose_simulator(mapping, count), Path(folder), progress=progress)[0]
        done.append(Verified(
            model.name, f"{p.rows} x {p.cols} x {p.lanes}", count, result.prediction.cycles, result.cycles_simulated,
            int((result.outputs != result.expected).sum()), found.cycles, _cycles(mapping, model.steps, response),
        ))
    return done


def _cycles(mapping: Mapping, steps: int, response: bool) -> int:
    """The cycles that the search has compared, of the mapping."""
    if response:
        assert mapping.response is not None, "the order for response has one"
        return mapping.response.cycles
    return mapping.predict(steps).cycles


def mapping_of(network: QuantisedNetwork, parameters: GridParameters, choice: Choice, steps: int) -> Mapping:
    """A quantised network mapped with the given choice. Raises `MappingError`."""
    return map_network(
        network, parameters, steps=steps, schedule=PhaseOrder(choice.schedule), splits=choice.ways,
        programs=Preference(choice.programs))
