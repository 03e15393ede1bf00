"""`spatial-rnn pnr`: a small grid on two devices, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cli_runner import refusal, spatial_rnn
from tests.support.handwritten_grid import write_grid


@pytest.fixture
def handwritten(tmp_path: Path) -> Path:
    directory = tmp_path / "grid"
    directory.mkdir()
    write_grid(directory)
    return directory


@pytest.mark.parametrize("target", ["ecp5", "ice40hx"])
def test_placed(handwritten: Path, tmp_path: Path, target: str) -> None:
    """Resources after packing, the best of the seeds, and a path of components."""
    done = spatial_rnn("pnr", handwritten, "--target", target, "--seeds", 2, "--json", tmp_path / "pnr.json")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "pnr.json").read_text())
    assert list(result["seeds"]) == ["1", "2"]
    assert result["fmax_mhz"] == result["seeds"][str(result["seed"])] == max(result["seeds"].values())
    assert 0 < result["lut"] <= result["available"]["lut"]
    assert (result["dsp"] >= 1) == (target == "ecp5")
    period = sum(step["logic_ns"] + step["routing_ns"] for step in result["path"])
    assert period == pytest.approx(1e3 / result["fmax_mhz"], rel=0.1)
    assert f"Clock: {result['fmax_mhz']:.1f} MHz" in done.stdout


def test_multipliers_in_logic(handwritten: Path) -> None:
    done = spatial_rnn("pnr", handwritten, "--multipliers", "lut", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["dsp"] == 0


def test_refusals(handwritten: Path, tmp_path: Path) -> None:
    assert "target 'ecp' is unknown" in refusal("pnr", handwritten, "--target", "ecp")
    assert "not both" in refusal("pnr", handwritten, "--preset", "tiny")
    assert "manifest.json" in refusal("pnr", tmp_path)
