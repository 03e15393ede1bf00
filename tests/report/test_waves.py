"""The layout beside recorded waves names signals that are there, and all states and phases."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

import rnn_mapper as srnn
from hdl.grid.controller import SEQUENCE_STATES
from rnn_mapper import cells
from tests.support.random_networks import random_network


def declared(vcd: Path) -> dict[str, int]:
    """Bits of every signal of a VCD file, by its path."""
    found, scopes = {}, []
    for line in vcd.read_text().splitlines():
        words = line.split()
        if words[:1] == ["$scope"]:
            scopes.append(words[2])
        elif words[:1] == ["$upscope"]:
            scopes.pop()
        elif words[:1] == ["$var"]:
            found[".".join((*scopes, words[4]))] = int(words[2])
        elif words[:1] == ["$enddefinitions"]:
            break
    return found


def test_layout(tmp_path: Path) -> None:
    network = random_network(0, cells.gru, 3, (4, 4))
    result = srnn.simulate(network, np.ones((3, 3)), "tiny", simulator="verilator", waves=True, results_dir=tmp_path)
    assert result.waves is not None
    signals = declared(result.waves)
    text = (tmp_path / "waves.gtkw").read_text()
    named = re.findall(r"^spatial_rnn\.([\w.]+)(?:\[(\d+):0\])?$", text, re.MULTILINE)
    assert len(named) > 12
    for path, top in named:
        assert signals[f"spatial_rnn.{path}"] == int(top or 0) + 1, path
    states = (tmp_path / "waves.states.txt").read_text().splitlines()
    assert [line.split()[1] for line in states] == list(SEQUENCE_STATES)
    phases = (tmp_path / "waves.phases.txt").read_text().splitlines()
    assert [line.split()[0] for line in phases] == [str(index) for index in range(len(result.mapping.phases))]
    for table in re.findall(r"^\^1 (\S+)$", text, re.MULTILINE):
        assert (tmp_path / table).is_file()
    for command in (tmp_path / "waves.sucl").read_text().splitlines():
        kind, _, path = command.partition(" ")
        assert kind == "divider_add" or path in signals


def test_numbers_of_the_states(tmp_path: Path) -> None:
    """A sequence begins and runs: the numbers appear in that order in the waves."""
    network = random_network(0, cells.gru, 3, (4,))
    result = srnn.simulate(network, np.ones((3, 3)), "tiny", simulator="verilator", waves=True, results_dir=tmp_path)
    assert result.waves is not None
    text = result.waves.read_text()
    code = re.search(r"\$var wire\s+2 (\S+) sequence_state", text)
    assert code is not None
    seen = [int(value, 2) for value in re.findall(rf"^b([01]+) {re.escape(code[1])}$", text, re.MULTILINE)]
    assert [SEQUENCE_STATES[value] for value in seen][-4:] == ["IDLE", "BEGIN", "RUN", "IDLE"]
