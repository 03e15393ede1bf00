"""`spatial-rnn synth` (the counts themselves: test_synthesis.py)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cli_runner import refusal, spatial_rnn
from tests.support.handwritten_grid import write_grid

#: The least logic a grid can have.
SMALLEST = ("--rows", 1, "--cols", 1, "--lanes", 4, "--phases", 2, "--units", 2, "--gate-entries", 2,
            "--vector-depth", 4, "--weight-depth", 4, "--accumulator-bits", 24)


@pytest.fixture
def handwritten(tmp_path: Path) -> Path:
    directory = tmp_path / "grid"
    directory.mkdir()
    write_grid(directory)
    return directory


def test_generic(tmp_path: Path) -> None:
    done = spatial_rnn("synth", *SMALLEST, "--json", tmp_path / "area.json")
    assert (done.returncode, done.stderr.strip()) == (0, "")
    result = json.loads((tmp_path / "area.json").read_text())
    for area in [*result["modules"].values(), result["total"]]:
        assert {"cells", "gate_equivalents", "flip_flops", "memory_bits"} <= set(area)
    assert result["pcu_overhead_ratio"] > 0
    assert result["modules"]["srnn_activation_unit"]["instances"] == 2
    assert f"{100 * result['pcu_overhead_ratio']:.1f} % more gate equivalents than a bare dot product" in done.stdout
    assert f"{result['total']['gate_equivalents']:,.0f}" in done.stdout
    assert "$_DFF_P_" in done.stdout


def test_directory_on_an_fpga(handwritten: Path) -> None:
    done = spatial_rnn("synth", handwritten, "--target", "ice40", "--json", "-")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["target"] == "ice40"
    # Four lanes in two PCUs, and one DSP in the top.
    assert result["total"]["dsp"] == 2 * 4 + 1
    assert result["modules"]["leaf"] == {
        "instances": 2, "cells": {"SB_DFF": 7, "SB_LUT4": 4}, "gate_equivalents": None, "flip_flops": 7,
        "memory_bits": 0, "lut": 4, "ff": 7, "dsp": 0, "bram": 0,
    }
    assert "Area, target ice40" in done.stderr


def test_paths_of_any_form(handwritten: Path, tmp_path: Path) -> None:
    """A relative directory, and a temporary folder and a library whose names have spaces and umlauts."""
    folder = tmp_path / "Entw\u00fcrfe 2"
    folder.mkdir()
    handwritten.rename(folder / "grid")
    library = folder / "cells \u00e4.lib"
    library.write_text(Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib").read_text())
    done = spatial_rnn("synth", "grid", "--liberty", library.name, "--json", "-", cwd=folder, TMPDIR=str(folder))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["total"]["gate_equivalents"] > 0
    assert sorted(path.name for path in folder.iterdir()) == ["cells \u00e4.lib", "grid"], "nothing is left behind"
    done = spatial_rnn("generate", "--preset", "tiny", "-o", "made", cwd=folder, TMPDIR=str(folder))
    assert done.returncode == 0, done.stderr


def test_refusals(handwritten: Path, tmp_path: Path) -> None:
    assert refusal("synth", "--target", "gowin").startswith("target 'gowin' is unknown: choose one of generic, ice40")
    assert "absent.lib: cannot be read" in refusal("synth", *SMALLEST, "--liberty", tmp_path / "absent.lib")
    with_library = refusal("synth", handwritten, "--target", "ice40", "--liberty", "x.lib")
    assert "cannot be used with the target ice40" in with_library
    assert "--timing needs a library of standard cells" in refusal("synth", *SMALLEST, "--timing")
    cells = "/usr/share/qflow/tech/osu018/osu018_stdcells.lib"
    assert "--clock: --timing finds" in refusal("synth", *SMALLEST, "--timing", "--liberty", cells, "--clock", "100")
    assert "not both" in refusal("synth", handwritten, "--preset", "tiny")
    assert "name a directory that 'generate' wrote" in refusal("synth", tmp_path)
    assert "unknown preset 'huge'" in refusal("synth", "--preset", "huge")
    (handwritten / "srnn_pcu.v").unlink()
    assert "missing; generate the grid again" in refusal("synth", handwritten)
