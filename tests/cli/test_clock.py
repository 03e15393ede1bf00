"""Times beside cycles: at the clock that the user has named, and never at another."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import rnn_mapper as srnn
from rnn_mapper import cells
from rnn_mapper.errors import ConfigurationError
from rnn_mapper.report.clock import clock_of, duration
from tests.support.cli_runner import refusal, spatial_rnn
from tests.support.random_networks import random_network


@pytest.fixture
def files(tmp_path: Path) -> Path:
    srnn.save_network(tmp_path / "m.npz", random_network(0, cells.gru, 3, (4,)))
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(6, 3)))
    return tmp_path


COMMANDS = {
    "simulate": ("--model", "m.npz", "--input", "x.npy", "--preset", "tiny", "--sim", "icarus"),
    "map": ("--model", "m.npz", "--preset", "tiny", "-o", "out", "--force"),
    "fit": ("m.npz", "--preset", "tiny"),
    "explore": ("--model", "lstm:4", "--budget", "gates=200k", "--rows", "1", "--cols", "1", "--lanes", "4",
                "--jobs", "1"),
    "synth": ("--preset", "tiny", "--target", "ice40"),
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_a_clock_adds_times(command: str, files: Path) -> None:
    """They say where the clock comes from; without one there are only cycles."""
    plain = spatial_rnn(command, *COMMANDS[command], "--json", "r.json", cwd=files)
    assert plain.returncode == 0, plain.stderr
    assert "MHz" not in plain.stdout
    without = json.loads((files / "r.json").read_text())
    assert without["clock_mhz"] is None
    timed = spatial_rnn(command, *COMMANDS[command], "--clock", 40, "--json", "r.json", cwd=files)
    assert timed.returncode == 0, timed.stderr
    assert "40 MHz (--clock)" in " ".join(timed.stdout.split())
    values = json.loads((files / "r.json").read_text())
    assert values["clock_mhz"] == 40
    if command in ("simulate", "map"):
        assert without["microseconds"] is None
        cycles = values["cycles_simulated"] if command == "simulate" else values["cycles"]["total"]
        assert values["microseconds"] == pytest.approx(cycles / 40)


@pytest.mark.parametrize("value", ["0", "nan"])
@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_no_clock(command: str, value: str, files: Path) -> None:
    assert refusal(command, *COMMANDS[command], f"--clock={value}", cwd=files).startswith("--clock is ")


def test_the_api_takes_a_clock(files: Path) -> None:
    network, inputs = srnn.load_network(files / "m.npz"), np.load(files / "x.npy")
    result = srnn.simulate(network, inputs, "tiny", simulator="icarus", clock_mhz=125)
    assert result.microseconds == result.cycles / 125
    assert srnn.simulate(network, inputs, "tiny", simulator="icarus").microseconds is None
    with pytest.raises(ConfigurationError, match=r"^clock_mhz is fast, must be a frequency in MHz$"):
        srnn.simulate(network, inputs, "tiny", clock_mhz="fast")  # type: ignore[arg-type]


def test_units() -> None:
    assert [duration(value) for value in (2.5e6, 1500, 12.345, 0.0125)] == ["2.50 s", "1.50 ms", "12.35 µs", "12.5 ns"]
    clock = clock_of(250.0, "place and route")
    assert clock is not None
    assert clock.text(1000) == "4.00 µs at 250 MHz (place and route)"
