"""Simulations work in folders whose names have spaces and letters beyond ASCII."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rnn_mapper as srnn
from rnn_mapper import cells
from tests.support.cli_runner import spatial_rnn
from tests.support.random_networks import random_network


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_simulate(simulator: str, tmp_path: Path) -> None:
    folder = tmp_path / "ünï code dir"
    (folder / "tm p").mkdir(parents=True)
    srnn.save_network(folder / "m m.npz", random_network(0, cells.gru, 3, (4,)))
    np.save(folder / "x x.npy", np.ones((3, 3)))
    for more in ((), ("-o", "re sults", "--waves")):
        done = spatial_rnn("simulate", "--model", "m m.npz", "--input", "x x.npy", "--preset", "tiny",
                           "--sim", simulator, *more, cwd=folder, TMPDIR=str(folder / "tm p"))  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "all equal to the reference" in done.stdout
    assert list((folder / "re sults").glob("waves.*"))


#: Every command, with files in the folder, and what its output says.
COMMANDS = {
    "generate": ("generate --preset tiny -o grid\u2009one/out", "multipliers"),
    "map": ("map --model m\u2009m.npz --preset tiny -o images", "Cycles"),
    "quantise": ("quantise --model m\u2009m.npz --input x\u2009x.npy --picture é\u2009rror.svg", "signal to noise"),
    "fit": ("fit m\u2009m.npz", "Fits"),
    "synth": ("synth --preset tiny", "Cells by type"),
    "synth for an FPGA": ("synth --preset tiny --target ecp5", "BRAM"),
    "synth of a directory": ("synth grid\u2009two", "Cells by type"),
    "explore": ("explore --model m\u2009m.npz --budget multipliers=16 -o de\u2009signs", "Pareto"),
    "cell": ("cell tanh_cell --cells my\u2009cells.py", "instructions"),
    "info": ("info --config gr\u2009id.toml", "Memories"),
    "simulate in Verilator": ("simulate --model m\u2009m.npz --input x\u2009x.npy --sim verilator", "all equal to"),
    "simulate in Icarus": ("simulate --model m\u2009m.npz --input x\u2009x.npy --sim icarus -o re\u2009sults",
                           "all equal to"),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work") / "çalışma köşesi 設計"
    (folder / "tm p ü").mkdir(parents=True)
    srnn.save_network(folder / "m m.npz", random_network(0, cells.gru, 3, (4,)))
    np.save(folder / "x x.npy", np.random.default_rng(0).normal(size=(6, 3)))
    (folder / "gr id.toml").write_text("[grid]\nrows = 1\ncols = 2\nlanes = 4\n")
    (folder / "my cells.py").write_text(
        "from rnn_mapper.cells import cell, tanh\n\n\n@cell\ndef tanh_cell(x, h, p):\n"
        "    h = tanh(p.W @ x + p.U @ h + p.b)\n    return h, h\n"
    )
    assert spatial_rnn("generate", "--preset", "tiny", "-o", "grid two", cwd=folder).returncode == 0
    return folder


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command(name: str, folder: Path) -> None:
    """Arguments, the folder, TMPDIR and the cache have spaces and letters beyond ASCII; all paths are relative."""
    command, text = COMMANDS[name]
    words = [word.replace("\u2009", " ") for word in command.split(" ")]
    done = spatial_rnn(
        *words, cwd=folder, TMPDIR=str(folder / "tm p ü"), SPATIAL_RNN_CACHE=str(folder / "ca che é")
    )
    assert done.returncode == 0, done.stderr
    assert text in done.stdout
