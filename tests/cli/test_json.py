"""Every key that a command writes is documented in docs/json.md, and every key there is written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import rnn_mapper as srnn
from rnn_mapper import cells
from scripts.provenance import ROOT
from tests.support.cli_runner import spatial_rnn
from tests.support.random_networks import random_network

COMMANDS = {
    "generate": ("--preset", "tiny", "-o", "grid"),
    "map": ("--model", "m.npz", "--preset", "tiny", "-o", "mapped"),
    "quantise": ("--model", "m.npz", "--input", "x.npy"),
    "simulate": ("--model", "m.npz", "--input", "x.npy", "--preset", "tiny", "--sim", "icarus"),
    "fit": ("m.npz", "--preset", "tiny"),
    "explore": ("--model", "lstm:4", "--budget", "gates=200k", "--rows", "1", "--cols", "1", "--lanes", "4"),
    "synth": ("--preset", "tiny", "--target", "ice40"),
    "info": ("--preset", "tiny"),
    "cell": ("gru", "--words", "4"),
}  # fmt: skip


def documented() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Keys by command, and the commands of each key that several have."""
    text = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    shared: dict[str, set[str]] = {}
    for first, commands in re.findall(r"^\| (`.*?) \| (.*?) \|", sections.pop("In several commands"), re.MULTILINE):
        for key in re.findall(r"`(\w+)`", first.partition(", in ")[0]):
            shared[key] = set(re.findall(r"`(\w+)`", commands))
    rows = {command: re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for command, section in sections.items()}
    own = {command: set(re.findall(r"`(\w+)`", " ".join(found))) for command, found in rows.items()}
    return own, shared


@pytest.mark.parametrize("command", COMMANDS)
def test_keys(command: str, tmp_path: Path) -> None:
    srnn.save_network(tmp_path / "m.npz", random_network(0, cells.gru, 3, (4,)))
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(6, 3)))
    done = spatial_rnn(command, *COMMANDS[command], "--json", "r.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = set(json.loads((tmp_path / "r.json").read_text()))
    own, shared = documented()
    assert written <= own[command] | shared.keys(), written - own[command] - shared.keys()
    only_without_a_name = {"cells"}
    assert own[command] - only_without_a_name <= written, own[command] - written
    for key, commands in shared.items():
        if command in commands:
            assert key in written or (key, command) == ("imported", "fit"), key
