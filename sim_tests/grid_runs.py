"""Simulate a mapped network on the generated Verilog of its grid."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hdl.emit import emit_grid
from hdl.naming import TOP_MODULE
from hdl.parameters import GridParameters
from hdl.top import Grid
from rnn_mapper.image_files import image_files
from rnn_mapper.mapping import Mapping
from sim_tests.simulators import Build, build, run

__all__ = ["GridRun", "build_grid", "run_mapping", "write_images"]

#: Modules that stand many times in a grid; a large Verilator model shares their code.
TILE_MODULES = ("site", "pmu", "pcu")
#: Sites from which sharing pays (see docs/decisions.md).
SHARE_FROM_SITES = 32


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
        for source, text in zip(sources, grid.sources.values()):
            source.write_text(text, encoding="utf-8")
        shared = TILE_MODULES if parameters.sites >= SHARE_FROM_SITES else ()
        return build(sources, TOP_MODULE, simulator, tile_modules=list(shared), waves=waves, cache_dir=cache_dir)


def write_images(mapping: Mapping, directory: Path) -> None:
    """Write all images of a mapping; the folder must exist."""
    for name, text in image_files(mapping):
        (directory / name).write_text(text, encoding="ascii")


def run_mapping(
    mapping: Mapping,
    inputs: npt.NDArray[np.int8],
    grid_build: Build,
    results_dir: Path,
    waves: bool = False,
    packets: Sequence[bytes] = (),
    keep_state: bool = False,
) -> GridRun:
    """Simulate one sequence of int8 inputs [steps, size] on the mapping's images.

    It starts from a cleared state, or with `keep_state` from that in `packets` (`rnn_mapper.state_images`), load
    packets sent before it.
    """
    results_dir = results_dir.absolute()
    images = results_dir / "images"
    images.mkdir(parents=True, exist_ok=True)
    write_images(mapping, images)
    p = mapping.parameters
    job, result = results_dir / "job.npz", results_dir / "result.npz"
    np.savez(
        job, inputs=inputs, width=mapping.output.size, rows=p.rows, beat_bytes=p.beat_bytes, keep_state=keep_state,
        packets=np.frombuffer(b"".join(packets), dtype=np.uint8), packet_sizes=[len(packet) for packet in packets],
    )
    done = run(
        grid_build, "sim_tests.run_sequence", results_dir=results_dir, seed=1,
        env={"SRNN_JOB": str(job), "SRNN_RESULT": str(result)}, plusargs=[f"+images={images}"], waves=waves,
    )
    with np.load(result) as values:
        return GridRun(
            outputs=values["outputs"],
            cycles=int(values["cycles"]),
            stall_input=int(values["stall_input"]),
            stall_output=int(values["stall_output"]),
            stall_result=int(values["stall_result"]),
            build_seconds=grid_build.seconds,
            run_seconds=done.seconds,
            waves=done.waves,
        )
