"""`spatial-rnn pnr`: a small grid on two devices, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hdl.parameters import load_parameters
from hdl.synthesis.harness import HARNESS
from hdl.synthesis.place_and_route import PLACE_AND_ROUTE_TARGETS, place_and_route
from rnn_mapper import cells
from rnn_mapper.importers.native import save_network
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.run.prepare import default_calibration
from tests.support.cli_runner import refusal, spatial_rnn
from tests.support.handwritten_grid import write_grid
from tests.support.random_networks import random_network


@pytest.fixture
def handwritten(tmp_path: Path) -> Path:
    directory = tmp_path / "grid"
    directory.mkdir()
    write_grid(directory)
    return directory


@pytest.mark.parametrize("target", ["ecp5", "ice40hx", "ice40up5k"])
def test_placed(handwritten: Path, tmp_path: Path, target: str) -> None:
    """Resources after packing, the best of the seeds, and a path of components."""
    done = spatial_rnn(
        "pnr", handwritten, "--target", target, "--multipliers", "mixed", "--seeds", 2, "--json", tmp_path / "pnr.json"
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "pnr.json").read_text())
    assert list(result["seeds"]) == ["1", "2"]
    assert result["fmax_mhz"] == result["seeds"][str(result["seed"])] == max(result["seeds"].values())
    assert 0 < result["lut"] <= result["available"]["lut"]
    assert (result["dsp"] >= 1) == (target != "ice40hx")
    period = sum(step["logic_ns"] + step["routing_ns"] for step in result["path"])
    assert period == pytest.approx(1e3 / result["fmax_mhz"], rel=0.1)
    assert f"Clock: {result['fmax_mhz']:.1f} MHz" in done.stdout


def test_registers_around_the_grid_do_not_count(handwritten: Path) -> None:
    """The grid has 14 flip-flops in its leaves, 32 in each dot product's accumulator and 16 behind a product, and what
    its small memory and its dot products keep: as many as the netlist has, without those at the ports."""
    folder = handwritten / "work"
    folder.mkdir()
    placed = place_and_route(handwritten, "ecp5", [1], lambda what, done, total: None, folder=folder)[0]
    module = json.loads((folder / "grid.json").read_text())["modules"][HARNESS]
    registers = [name for name, cell in module["cells"].items() if cell["type"] == "TRELLIS_FF"]
    assert placed.used["ff"] == sum(name.startswith("grid.") for name in registers) < len(registers)


def test_blocks_first_then_logic(handwritten: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With three blocks for nine products, the one outside the dot products and two of theirs are left for blocks; one
    of these two has an operand that nothing writes."""
    target = replace(PLACE_AND_ROUTE_TARGETS["ecp5-25k"], blocks=3)
    monkeypatch.setitem(PLACE_AND_ROUTE_TARGETS, "ecp5-25k", target)
    folder = handwritten / "work"
    folder.mkdir()
    placed = place_and_route(
        handwritten, "ecp5-25k", [1], lambda what, done, total: None, folder=folder, multipliers="mixed"
    )[0]
    assert placed.used["dsp"] == 2
    assert sorted((folder / "in_logic.txt").read_text().count(name) for name in ("pcu_0", "pcu_1")) == [2, 4]


def test_time_of_a_model(tmp_path: Path) -> None:
    """Cycles of the mapping at the clock that was reached."""
    network = random_network(3, cells.gru, 6, (8,))
    save_network(tmp_path / "gru.npz", network)
    done = spatial_rnn(
        "pnr", "--preset", "tiny", "--model", tmp_path / "gru.npz", "--steps", 5, "--json", tmp_path / "pnr.json"
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "pnr.json").read_text())
    tiny = load_parameters("tiny")
    mapped = map_network(quantise(network, default_calibration(network), tiny.arithmetic), tiny, steps=5)
    assert result["model"]["cycles"] == mapped.predict(5).cycles
    each = mapped.predict(5).cycles / 5 / result["fmax_mhz"]
    assert result["model"]["microseconds_per_step"] == pytest.approx(each, rel=1e-3)
    assert "Model: gru.npz" in done.stdout


def test_multipliers_in_logic(handwritten: Path) -> None:
    done = spatial_rnn("pnr", handwritten, "--multipliers", "lut", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["dsp"] == 0


def test_refusals(handwritten: Path, tmp_path: Path) -> None:
    assert "target 'ecp' is unknown" in refusal("pnr", handwritten, "--target", "ecp")
    assert "not both" in refusal("pnr", handwritten, "--preset", "tiny")
    assert "manifest.json" in refusal("pnr", tmp_path)
