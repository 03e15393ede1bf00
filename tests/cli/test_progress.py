"""Long work is seen: in a log a line every ten seconds, with what is done, what is under way and the time left."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rnn_mapper as srnn
from rnn_mapper import cells
from tests.support.random_networks import random_network

COMMANDS = {
    "generate --preset small -o out": r"\d+ of \d+ modules, srnn_\w+, \d+ s, about \d+ s left",
    "synth --preset tiny": r"\d+ of \d+ syntheses, \w+, \d+ s, about \d+ s left",
    "fit m.npz": r"\d+ of \d+ grid sizes, \d+ s, about \d+ s left",
    "explore --model lstm:64 --budget multipliers=256 --jobs 1": r"\d+ of \d+ jobs, [\d,]+ mappings/s, \d+ s, about",
    "simulate --model m.npz --input x.npy --sim icarus": r"(quantis|generat|simulat)ing .*, \d+ s",
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_a_log_gets_lines(command: str, tmp_path: Path) -> None:
    srnn.save_network(tmp_path / "m.npz", random_network(0, cells.lstm, 8, (64, 64)))
    (tmp_path / "cache").mkdir()
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(40, 8)))
    code = "import rnn_mapper.cli.common as c; c.QUIET_SECONDS = 0.02; from rnn_mapper.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *command.split()], capture_output=True, text=True, check=True, cwd=tmp_path,
        env={**os.environ, "SPATIAL_RNN_CACHE": str(tmp_path / "cache")},
    )
    assert re.search(COMMANDS[command], done.stderr), done.stderr
