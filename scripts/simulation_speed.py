"""Ways to build and drive the Verilator model of a large grid, measured side by side (docs/simulation_speed.md).

    .venv/bin/python scripts/simulation_speed.py                        # all variants: 10 to 20 minutes
    .venv/bin/python scripts/simulation_speed.py --only shared,cocotb   # some of them

Every variant is built from nothing (without ccache) and runs the same steps of a GRU of 1024 units, whose outputs are
compared. The speed is that of the steps beyond the first, so without start and load, of the best of three runs.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
from deepbench_points import random_model
from rich.console import Console
from rich.table import Table

from hdl.emit import emit_grid
from hdl.headers import c_header
from hdl.naming import TOP_MODULE
from hdl.parameters import GridParameters, load_parameters
from hdl.top import Grid
from rnn_mapper.mapper import map_network
from rnn_mapper.mapping import Mapping
from rnn_mapper.network import Cell
from rnn_mapper.quantise import quantise, quantise_inputs
from rnn_mapper.reference import run_reference
from sim_tests.builds import GLOBAL_PORTS, Build, build, port_names
from sim_tests.grid_runs import run_mapping
from sim_tests.stream_host import HOST_SOURCE
from sim_tests.toolchains import verilator_environment, verilator_executable

SITE = ("srnn_site",)
PARTS = ("srnn_site", "srnn_pmu", "srnn_pcu")
REPETITIONS = 3


@dataclass(frozen=True)
class Variant:
    """One way to make a model."""

    text: str
    #: Modules that are kept apart, and whether their ports are variables.
    tiles: tuple[str, ...]
    public: bool
    flags: tuple[str, ...]
    optimise: str = "-O2"


#: "shared" is what sim_tests/builds.py does for large grids.
VARIANTS = {
    "parts": Variant("site, PMU and PCU apart, no gate pass", PARTS, False, ("-fno-gate", "-fno-dfg-scoped")),
    "site": Variant("site apart, no gate pass", SITE, False, ("-fno-gate", "-fno-dfg-scoped")),
    "shared": Variant("site apart, its ports variables, gate pass", SITE, True, ("-fno-dfg-scoped",)),
    "native": Variant("the same for this processor", SITE, True, ("-fno-dfg-scoped",), "-O3 -march=native"),
    "fast-x": Variant("the same, unknown values fast", SITE, True,
                      ("-fno-dfg-scoped", "--x-assign", "fast", "--x-initial", "fast")),
    "threads": Variant("the same on two threads", SITE, True, ("-fno-dfg-scoped", "--threads", "2")),
}
#: Everything in one module, as small grids are built. A paper-size grid did not compile in ten minutes, so not of all.
VARIANTS_OF_SMALL_GRIDS = {"flat": Variant("nothing apart", (), False, ("-O3",))}
#: The project's build, driven by cocotb instead of the C++ host.
COCOTB = "cocotb"


@dataclass(frozen=True)
class Workload:
    """A mapping, its inputs and what must come out."""

    mapping: Mapping
    inputs: np.ndarray
    outputs: np.ndarray

    def speed(self, model: Build, folder: Path) -> tuple[float, float]:
        """Cycles a second, and the seconds of a run of one step: start, load and end."""
        short = min(self._run(model, folder, 1)[1] for _ in range(REPETITIONS))
        cycles, long = min(self._run(model, folder, len(self.inputs)) for _ in range(REPETITIONS))
        return (cycles - self.mapping.predict(1).cycles) / (long - short), short

    def _run(self, model: Build, folder: Path, steps: int) -> tuple[int, float]:
        run = run_mapping(self.mapping, self.inputs[:steps], model, folder)
        if (run.outputs != self.outputs[:steps]).any() or run.cycles != self.mapping.predict(steps).cycles:
            raise click.ClickException("the simulation differs from the reference")
        return run.cycles, run.run_seconds


def workload(parameters: GridParameters, hidden: int, steps: int) -> Workload:
    """A GRU of the DeepBench shape."""
    network, inputs = random_model(Cell.GRU, hidden, steps)
    quantised = quantise(network, inputs[:8], accumulator_bits=parameters.accumulator_bits)
    codes = quantise_inputs(quantised, inputs)
    mapping = map_network(quantised, parameters, steps=steps)
    return Workload(mapping, codes, run_reference(quantised, codes).outputs)


def _timed(command: Sequence[str | Path], log: Path) -> tuple[float, float]:
    """Seconds and peak memory in GB of one command's largest process."""
    started = time.perf_counter()
    environment = {**os.environ, **verilator_environment()}
    with log.open("a") as lines:
        process = subprocess.Popen(list(map(str, command)), stdout=lines, stderr=subprocess.STDOUT, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise click.ClickException(f"{command[0]} failed: see {log}")
    return time.perf_counter() - started, usage.ru_maxrss / 1e6


def make(variant: Variant, sources: list[Path], folder: Path) -> tuple[Build, float]:
    """A build of one variant, and the largest memory of one of its processes in GB."""
    lines = ["`verilator_config"]
    for tile in variant.tiles:
        lines.append(f'no_inline -module "{tile}"')
        ports = port_names(sources, tile) if variant.public else []
        lines += [f'public_flat_rw -module "{tile}" -var "{port}"' for port in ports if port not in GLOBAL_PORTS]
    control = folder / "control.vlt"
    control.write_text("\n".join(lines) + "\n")
    log = folder / "build.log"
    options: list[str | Path] = [
        "-Wno-fatal", "-Wno-lint", "-Wno-style", "--timescale", "1ns/1ps", "--prefix", "Vtop", "-Mdir", folder,
    ]
    verilate, memory = _timed(
        [verilator_executable(), "--cc", "--exe", "--top-module", TOP_MODULE, "-o", "host", *options, *variant.flags,
         control, folder / "host.cpp", *sources], log,
    )
    compile_, compiler = _timed(
        ["make", "-j2", "-C", folder, "-f", "Vtop.mk", "CFG_CXXFLAGS_PCH_I=-include", f"OPT_FAST={variant.optimise}",
         "OBJCACHE="], log,
    )
    seconds = verilate + compile_
    return Build("verilator", TOP_MODULE, folder, False, False, seconds, folder / "host"), max(memory, compiler)


@click.command()
@click.option("--preset", default="paper", show_default=True)
@click.option("--hidden", default=1024, show_default=True, help="Units of the GRU.")
@click.option("--steps", default=40, show_default=True)
@click.option("--only", default=",".join((*VARIANTS, COCOTB)), metavar="NAME,...", show_default=True)
def main(preset: str, hidden: int, steps: int, only: str) -> None:
    """Build and measure the variants."""
    console = Console()
    parameters = load_parameters(preset)
    work = workload(parameters, hidden, steps)
    table = Table("variant", "", "build", "largest process", "start and load", "cycles/s", "load average")
    with TemporaryDirectory(prefix="srnn_speed_") as name:
        sources = []
        for module, verilog in emit_grid(Grid(parameters)).sources.items():
            sources.append(Path(name) / f"{module}.v")
            sources[-1].write_text(verilog, encoding="utf-8")
        for variant in only.split(","):
            folder = Path(name) / variant
            folder.mkdir()
            (folder / "host.cpp").write_text(HOST_SOURCE.read_text(encoding="utf-8"), encoding="utf-8")
            (folder / "spatial_rnn.h").write_text(c_header(parameters), encoding="utf-8")
            if variant == COCOTB:
                text, peak = 'the project\'s build of "shared", under cocotb', "-"
                model = replace(build(sources, TOP_MODULE, "verilator", tile_modules=SITE, cache_dir=folder), host=None)
            else:
                way = (VARIANTS | VARIANTS_OF_SMALL_GRIDS)[variant]
                text = way.text
                model, memory = make(way, sources, folder)
                peak = f"{memory:.1f} GB"
            speed, load = work.speed(model, folder / "run")
            row = (variant, text, f"{model.seconds:.0f} s", peak, f"{load:.1f} s", f"{speed:,.0f}",
                   f"{os.getloadavg()[0]:.1f}")
            console.print(*row, sep="  ", highlight=False, soft_wrap=True)
            table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    main()
