"""Estimates for a device agree with whole grids, flattened and packed; what is proposed holds with its error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hdl.parameters import GridParameters
from rnn_mapper import cells
from rnn_mapper.explore.area import DATA, area_model
from rnn_mapper.explore.devices import device
from rnn_mapper.explore.fit import account_of, limiting
from rnn_mapper.importers.native import save_network
from tests.support.cli_runner import spatial_rnn
from tests.support.random_networks import random_network

WHOLE = json.loads((DATA / "whole_grids.json").read_text())["grids"]
#: The largest errors that were measured, in percent, rounded up.
STATED = {"ice40": 4, "ice40hx": 1, "ecp5": 6, "xilinx": 3}


@pytest.mark.parametrize("one", WHOLE, ids=lambda one: f"{one['target']}-{one['grid']['cols']}x{one['grid']['lanes']}")
def test_luts_of_a_whole_grid(one: dict[str, dict[str, float]]) -> None:
    """ECP5 was a third too high, iCE40 a fifth too low."""
    target = str(one["target"])
    grid = GridParameters(**one["grid"])  # type: ignore[arg-type]
    measured = one["measured"].get("logic_cells", one["measured"]["lut"])
    assert area_model(target).resources(grid)["lut"] == pytest.approx(measured, rel=STATED[target] / 100)
    assert area_model(target).whole_error["lut"] <= STATED[target] / 100


def test_a_grid_that_exceeds_a_device_is_not_proposed_for_it() -> None:
    """5,682 packed logic cells are more than an iCE40UP5K has, though they are fewer LUTs."""
    too_large = next(one for one in WHOLE if one["target"] == "ice40" and one["measured"]["logic_cells"] > 5280)
    assert too_large["measured"]["lut"] < device("iCE40UP5K").lut
    account = account_of([random_network(1, cells.gru, 4, (4,))], ("grid", GridParameters(**too_large["grid"])))
    assert account.grid.device is not None
    assert account.grid.device.name != "iCE40UP5K"


def test_the_device_belongs_to_the_grid_that_was_asked_for(tmp_path: Path) -> None:
    save_network(tmp_path / "m.npz", random_network(1, cells.gru, 16, (32,)))
    done = spatial_rnn("fit", "m.npz", "--preset", "medium", "--json", "r.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    values = json.loads((tmp_path / "r.json").read_text())
    grid, smallest = values["grid"], values["smallest"]
    assert grid["device"] != smallest["device"]
    lines = [line for line in done.stdout.splitlines() if line.startswith("FPGA")]
    assert lines[0].startswith(f"FPGA       for this grid: {grid['device']} ")
    assert lines[1].startswith(f"FPGA       for the smallest grid: {smallest['device']} ")
    for one, line in zip((grid, smallest), lines, strict=True):
        assert f"limited by {one['limiting_resource'].upper()}, {one['share']:.0%}" in line
        assert "of whole grids" in line
        assert ("place and route may fail" in line) == (one["share"] > 0.85)
        known = device(one["device"])
        assert limiting(known, one["used"]) == (one["limiting_resource"], pytest.approx(one["share"], abs=1e-3))
        for name, limit in known.limits.items():
            assert one["used"].get(name, 0) * (1 + one["estimate_errors"].get(name, 0)) <= limit
