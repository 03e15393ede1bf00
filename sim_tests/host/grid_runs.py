"""Simulate a mapped network on the generated Verilog of its grid."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.grid.top import Grid
from hdl.naming import TOP_MODULE
from hdl.output.emit import emit_grid
from hdl.output.headers import c_header
from hdl.parameters import GridParameters
from rnn_mapper.fixed_point import Codes
from rnn_mapper.mapping.deployment import Deployment
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.mapping.packets import image_files
from sim_tests.host.beats import input_packet, output_steps
from sim_tests.host.stream_host import HOST_SOURCE, HostSequence, run_host
from sim_tests.simulator.run import Build, build, run

__all__ = ["GridRun", "Sequence", "build_grid", "run_mapping", "run_sequences", "write_images"]

#: Modules that stand many times in a grid; a Verilator model shares their code (docs/simulation_speed.md).
TILE_MODULES = ("srnn_site",)
#: Sites from which sharing pays.
SHARE_FROM_SITES = 4


@dataclass(frozen=True)
class GridRun:
    """One simulated sequence."""

    outputs: npt.NDArray[np.int16]
    cycles: int
    stall_input: int
    stall_output: int
    stall_result: int
    build_seconds: float
    run_seconds: float
    waves: Path | None


def build_grid(
    parameters: GridParameters,
    simulator: str,
    waves: bool = False,
    cache_dir: Path | None = None,
    progress: Callable[[str], None] = lambda name: None,
) -> Build:
    """The simulation build of a grid, made once and shared by all models."""
    grid = emit_grid(Grid(parameters), progress)
    with tempfile.TemporaryDirectory() as folder:
        sources = [Path(folder) / f"{name}.v" for name in grid.sources]
        for source, text in zip(sources, grid.sources.values(), strict=True):
            source.write_text(text, encoding="utf-8")
        shared = TILE_MODULES if parameters.sites >= SHARE_FROM_SITES else ()
        return build(
            sources, TOP_MODULE, simulator, tile_modules=shared, waves=waves, cache_dir=cache_dir,
            host_sources=_host_sources(parameters) if simulator == "verilator" else None,
        )


def _host_sources(parameters: GridParameters) -> dict[str, str]:
    return {"host.cpp": HOST_SOURCE.read_text(encoding="utf-8"), "spatial_rnn.h": c_header(parameters)}


def write_images(mapping: Mapping | Deployment, directory: Path) -> None:
    """Write all images of a mapping, or of several; the folder must exist."""
    for name, text in image_files(mapping):
        (directory / name).write_text(text, encoding="ascii")


@dataclass(frozen=True, eq=False)
class Sequence:
    """A sequence to simulate: operand codes [steps, size].

    It starts from a cleared state, or with `keep_state` from that in `packets`, load packets sent before it
    (`rnn_mapper.mapping.state_images`).
    """

    inputs: Codes
    packets: tuple[bytes, ...] = ()
    keep_state: bool = False
    #: Number of the model among those that are resident.
    model: int = 0


def run_mapping(
    mapping: Mapping,
    inputs: Codes,
    grid_build: Build,
    results_dir: Path,
    waves: bool = False,
    packets: Iterable[bytes] = (),
    keep_state: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> GridRun:
    """Simulate one sequence on the mapping's images; the arguments are those of `Sequence` and `run_sequences`."""
    sequence = Sequence(inputs, tuple(packets), keep_state)
    return run_sequences(mapping, [sequence], grid_build, results_dir, waves, progress)[0]


def run_sequences(
    mapping: Mapping | Deployment,
    sequences: list[Sequence],
    grid_build: Build,
    results_dir: Path,
    waves: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> list[GridRun]:
    """Simulate sequences of resident models one after the other in one run; `run_seconds` is that of all.

    A build with a host runs it, which is faster than cocotb and calls `progress` with lines now and then; waves need
    cocotb. Both drive the same pins in the same way.
    """
    results_dir = results_dir.absolute()
    images = results_dir / "images"
    images.mkdir(parents=True, exist_ok=True)
    write_images(mapping, images)
    if grid_build.host is None or waves:
        return _run_in_cocotb(mapping, sequences, grid_build, results_dir, waves)
    jobs = [
        HostSequence(
            len(s.inputs), input_packet(s.inputs, mapping.parameters.beat_bytes), s.packets, s.keep_state, s.model
        )
        for s in sequences
    ]
    runs, seconds = run_host(grid_build, jobs, images, results_dir, progress)
    models = mapping.models if isinstance(mapping, Deployment) else [mapping]
    return [
        GridRun(
            output_steps(run.outputs, job.steps, models[job.model].output_size), *run.counters, grid_build.seconds,
            seconds, waves=None,
        )
        for job, run in zip(jobs, runs, strict=True)
    ]


def _run_in_cocotb(
    mapping: Mapping | Deployment, sequences: list[Sequence], grid_build: Build, results_dir: Path, waves: bool
) -> list[GridRun]:
    images = results_dir / "images"
    p = mapping.parameters
    job, result = results_dir / "job.npz", results_dir / "result.npz"
    values: dict[str, Any] = {"rows": p.rows, "beat_bytes": p.beat_bytes, "sequences": len(sequences)}
    models = mapping.models if isinstance(mapping, Deployment) else [mapping]
    for number, sequence in enumerate(sequences):
        values[f"inputs_{number}"] = sequence.inputs
        values[f"keep_state_{number}"] = sequence.keep_state
        values[f"model_{number}"] = sequence.model
        values[f"width_{number}"] = models[sequence.model].output_size
        values[f"packets_{number}"] = np.frombuffer(b"".join(sequence.packets), dtype=np.uint8)
        values[f"packet_sizes_{number}"] = np.array([len(packet) for packet in sequence.packets], dtype=np.int64)
    np.savez(job, **values)
    done = run(
        grid_build, "sim_tests.host.run_sequence", results_dir=results_dir, seed=1,
        env={"SRNN_JOB": str(job), "SRNN_RESULT": str(result)}, plusargs=[f"+images={images}"], waves=waves,
    )
    runs = []
    with np.load(result) as stored:
        for number in range(len(sequences)):
            cycles, stall_input, stall_output, stall_result = (int(value) for value in stored[f"counters_{number}"])
            runs.append(GridRun(
                stored[f"outputs_{number}"], cycles, stall_input, stall_output, stall_result, grid_build.seconds,
                done.seconds, done.waves,
            ))
    return runs
