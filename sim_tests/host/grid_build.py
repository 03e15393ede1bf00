"""The simulation build of a grid, with the C++ host linked in for Verilator."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hdl.grid.top import Grid
from hdl.naming import TOP_MODULE
from hdl.output.emit import Progress, emit_grid, silent
from hdl.output.headers import c_header
from hdl.parameters import GridParameters
from sim_tests.host.stream_host import HOST_SOURCE
from sim_tests.simulator.run import Build, build

__all__ = ["build_grid"]

#: Modules with many instances in a grid; a Verilator model shares their code (docs/simulation_speed.md).
TILE_MODULES = ("srnn_site",)
#: Sites from which sharing pays.
SHARE_FROM_SITES = 4


def build_grid(
    parameters: GridParameters,
    simulator: str,
    waves: bool = False,
    cache_dir: Path | None = None,
    progress: Progress = silent,
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
