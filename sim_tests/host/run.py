"""Run sequences on the build of a grid, whose memories start with given images."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hdl.parameters import GridParameters
from rnn_mapper.bus import BusResult, BusSequence
from sim_tests.host.stream_host import run_host
from sim_tests.simulator.run import Build, RunResult, run

__all__ = ["GridRun", "run_sequences", "write_images"]


@dataclass(frozen=True, eq=False)
class GridRun:
    """One simulation of some sequences, one after the other."""

    #: One for each sequence.
    results: list[BusResult]
    #: Wall time of the simulation.
    seconds: float
    waves: Path | None


def write_images(images: Iterable[tuple[str, str]], directory: Path) -> None:
    """Write the (file name, text) of all images; the folder must exist."""
    for name, text in images:
        (directory / name).write_text(text, encoding="ascii")


def run_sequences(
    images: Iterable[tuple[str, str]],
    parameters: GridParameters,
    sequences: Sequence[BusSequence],
    build: Build,
    results_dir: Path,
    waves: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> GridRun:
    """Simulate sequences one after the other, in one run from reset; `images` are (file name, text).

    `build` is of the grid of these parameters. A build with a C++ host runs it, which is faster than cocotb and calls
    `progress` with a line now and then; waves need cocotb. Both drive the same pins in the same way.
    """
    results_dir = results_dir.absolute()
    folder = results_dir / "images"
    folder.mkdir(parents=True, exist_ok=True)
    write_images(images, folder)
    started = time.perf_counter()
    recorded = None
    if build.host is None or waves:
        if any(sequence.gap for sequence in sequences):
            raise ValueError("inputs with gaps need a build with a C++ host, and no waves")
        results, done = _run_in_cocotb(sequences, parameters.beat_bytes, build, folder, results_dir, waves)
        recorded = done.waves
    else:
        results = run_host(build, sequences, parameters.beat_bytes, folder, results_dir, progress)
    return GridRun(results, time.perf_counter() - started, recorded)


def _run_in_cocotb(
    sequences: Sequence[BusSequence], beat_bytes: int, build: Build, images: Path, results_dir: Path, waves: bool
) -> tuple[list[BusResult], RunResult]:
    # The simulation runs in `results_dir`, where the images are. Icarus splits longer names at spaces.
    job, result = results_dir / "job.pickle", results_dir / "result.pickle"
    job.write_bytes(pickle.dumps((beat_bytes, list(sequences))))
    done = run(
        build, "sim_tests.host.cocotb_host", results_dir=results_dir, seed=1,
        env={"SRNN_JOB": str(job), "SRNN_RESULT": str(result)}, plusargs=[f"+images={images.name}"], waves=waves,
    )
    return pickle.loads(result.read_bytes()), done
