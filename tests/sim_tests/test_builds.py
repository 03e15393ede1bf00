"""Builds: whole or not there, whatever happens to the process, the disk or the cache."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import rnn_mapper as srnn
from hdl.parameters import GridParameters
from rnn_mapper import cells
from rnn_mapper.bus import BusSequence
from sim_tests.host.grid_build import build_grid
from sim_tests.simulator.run import SimulationError, run
from tests.support.cli_runner import spatial_rnn
from tests.support.random_networks import random_network

GRID = GridParameters(1, 1, 4)


@pytest.mark.parametrize("fault", ["empty record", "no record", "cut program", "other program", "no program"])
def test_a_damaged_build_is_made_again(fault: str, tmp_path: Path) -> None:
    first = build_grid(GRID, "icarus", cache_dir=tmp_path)
    assert not first.cached
    assert build_grid(GRID, "icarus", cache_dir=tmp_path).cached
    record, program = first.directory / "complete.json", first.directory / "sim.vvp"
    good = program.read_bytes()
    if fault == "empty record":
        record.write_text("")
    elif fault == "no record":
        record.unlink()
    elif fault == "cut program":
        program.write_bytes(good[: len(good) // 2])
    elif fault == "other program":
        program.write_bytes(good[:-1] + b"x")
    else:
        program.unlink()
    again = build_grid(GRID, "icarus", cache_dir=tmp_path)
    assert not again.cached
    assert len(program.read_bytes()) == len(good)
    assert build_grid(GRID, "icarus", cache_dir=tmp_path).cached


def limited(most: int) -> None:
    """Files of this process and of all that it starts cannot be larger, as on a disk that is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize("most", [1_000, 40_000, 400_000])
def test_no_room(simulator: str, most: int, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from hdl.parameters import GridParameters\n"
        "from hdl.errors import SpatialRnnError; from sim_tests.host.grid_build import build_grid\n"
        "try:\n"
        f"    build_grid(GridParameters(1, 1, 4), {simulator!r}, cache_dir=Path(sys.argv[1]))\n"
        "except SpatialRnnError as error:\n"
        "    sys.exit(f'refused: {error}')\n"
    )
    cache = tmp_path / "cache"
    done = subprocess.run(
        [sys.executable, "-c", code, cache], capture_output=True, text=True, check=False,
        preexec_fn=lambda: limited(most), env={**os.environ, "CCACHE_DISABLE": "1"},
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("refused: "), done.stderr
    # What is left of it does not stand in the way.
    assert not list(cache.rglob("complete.json"))
    assert not build_grid(GRID, simulator, cache_dir=cache).cached


@pytest.mark.parametrize("command", [
    "generate --preset tiny -o out", "map --model m.npz -o out", "info --json out.json", "synth --preset tiny",
    "quantise --model m.npz --json out.json", "explore --model lstm:16 --budget multipliers=16 -o out",
])
def test_commands_without_room(command: str, tmp_path: Path) -> None:
    """One line and exit status 2 (1 means that outputs differ), and nothing half written."""
    srnn.save_network(tmp_path / "m.npz", random_network(0, cells.lstm, 8, (16,)))
    code = "from rnn_mapper.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *command.split()], capture_output=True, text=True, check=False, cwd=tmp_path,
        preexec_fn=lambda: limited(600), env={**os.environ, "SPATIAL_RNN_CACHE": str(tmp_path / "cache")},
    )
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stderr.startswith("error: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.json").exists()


def processes_in(folder: Path) -> Iterator[int]:
    """Processes that work in a folder."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(folder) in (entry / "cmdline").read_text() + os.readlink(entry / "cwd"):
                yield int(entry.name)
        except OSError:
            continue


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has ended")
def test_a_killed_build_leaves_no_compiler(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    code = (
        "import sys; from pathlib import Path; from hdl.parameters import GridParameters\n"
        "from sim_tests.host.grid_build import build_grid\n"
        "build_grid(GridParameters(2, 2, 8), 'verilator', cache_dir=Path(sys.argv[1]))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, cache], env={**os.environ, "CCACHE_DISABLE": "1"}) as process:
        end = time.monotonic() + 120
        # Make and a compiler below it.
        while len(list(processes_in(cache))) < 4:
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    while list(processes_in(cache)):
        assert time.monotonic() < end, list(processes_in(cache))
        time.sleep(0.05)
    grid = GridParameters(2, 2, 8)
    assert not build_grid(grid, "verilator", cache_dir=cache).cached
    # Nothing is left of the build that was killed.
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 1


def test_images_that_are_not_there(tmp_path: Path) -> None:
    """A grid without a model says so, instead of a simulation without end."""
    build = build_grid(GRID, "icarus")
    job = tmp_path / "job.pickle"
    job.write_bytes(pickle.dumps((GRID.beat_bytes, [BusSequence(np.ones((3, 2), dtype=np.int8), 2)])))
    with pytest.raises(SimulationError, match="the grid reports NO_MODEL"):
        run(build, "sim_tests.host.cocotb_host", results_dir=tmp_path, seed=1, timeout=300,
            env={"SRNN_JOB": str(job), "SRNN_RESULT": str(tmp_path / "result")}, plusargs=["+images=nowhere"])


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_long_paths(simulator: str, tmp_path: Path) -> None:
    """Results in a folder whose path is longer than 512 characters, beyond ASCII."""
    folder = tmp_path
    while len(str(folder)) < 700:
        folder = folder / ("é" * 60)
    folder.mkdir(parents=True)
    srnn.save_network(folder / "m.npz", random_network(0, cells.gru, 3, (4,)))
    np.save(folder / "x.npy", np.random.default_rng(0).normal(size=(6, 3)))
    done = spatial_rnn("simulate", "--model", folder / "m.npz", "--input", folder / "x.npy", "--preset", "tiny",
                       "--sim", simulator, "-o", folder / "results")  # fmt: skip
    assert done.returncode == 0, done.stderr
