"""A model gives the same bits and cycles baked into the memories, read by the simulation or loaded over the bus."""

from dataclasses import replace
from pathlib import Path

import pytest

from hdl.grid.top import Grid
from hdl.naming import TOP_MODULE
from hdl.output.emit import emit_grid
from rnn_mapper.mapping.packets import image_files
from rnn_mapper.quantisation.reference import run_reference
from sim_tests.bench.grids import GRIDS
from sim_tests.checks.check_bus_load import CASE, GRID
from sim_tests.host.grid_build import build_grid
from sim_tests.host.run import write_images
from sim_tests.simulator.run import build, run
from tests.support.simulated import run_mapping

STEPS = 3


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_images_of_every_kind(simulator: str, tmp_path: Path) -> None:
    parameters = GRIDS[GRID]
    mapping, inputs = CASE.mapping(parameters), CASE.operands(parameters, STEPS)
    wanted = run_reference(mapping.network, inputs).outputs
    cycles = mapping.predict(STEPS).cycles

    read = run_mapping(mapping, inputs, build_grid(parameters, simulator), tmp_path / "read")
    assert (read.outputs == wanted).all()
    assert read.cycles == cycles

    images = tmp_path / "images"
    images.mkdir()
    write_images(image_files(mapping), images)
    sources = []
    for name, text in emit_grid(Grid(parameters, init_files=str(images))).sources.items():
        sources.append(tmp_path / f"{name}.v")
        sources[-1].write_text(text, encoding="utf-8")
    baked = build(sources, TOP_MODULE, simulator, cache_dir=tmp_path / "cache")
    # Files that a simulation reads by itself must not disturb the baked-in images.
    other = replace(CASE, seed=CASE.seed + 1).mapping(parameters)
    found = run_mapping(other, inputs, baked, tmp_path / "baked")
    assert (found.outputs == wanted).all()
    assert found.cycles == cycles

    # Over the bus: this bench compares with the same reference and prediction.
    run(build_grid(parameters, simulator), "sim_tests.checks.check_bus_load", results_dir=tmp_path / "bus", seed=1)
