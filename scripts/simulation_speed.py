"""Ways to build and drive the Verilator model of a large grid, measured side by side (docs/simulation_speed.md).

    .venv/bin/python -m scripts.simulation_speed                        # all variants: 15 minutes and more
    .venv/bin/python -m scripts.simulation_speed --only shared,cocotb   # some of them

Every variant is built from nothing (without ccache) and runs the same steps of a GRU of 1024 units, whose outputs are
compared. Times are processor seconds, which other work on the machine disturbs less than wall-clock time. Speed is
measured over the steps beyond the first, so without start and load, in the best of three runs.
"""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np

from hdl.grid.top import Grid
from hdl.naming import TOP_MODULE
from hdl.output.emit import emit_grid
from hdl.output.headers import c_header
from hdl.parameters import GridParameters, load_parameters
from rnn_mapper import cells
from rnn_mapper.cli.tables import TableConsole, plain_table
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.mapping.packets import image_files
from rnn_mapper.mapping.sequences import bus_sequence
from rnn_mapper.quantisation.codes import quantise_inputs
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.quantisation.reference import run_reference
from scripts.deepbench.points import random_model
from scripts.output import run_script
from sim_tests.host.run import run_sequences
from sim_tests.host.stream_host import HOST_SOURCE
from sim_tests.simulator.builds import GLOBAL_PORTS, Build, build, port_names
from sim_tests.simulator.toolchains import verilator_environment, verilator_executable

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


#: "shared" is the way in which sim_tests/simulator/builds.py builds large grids.
VARIANTS = {
    "parts": Variant("site, PMU and PCU apart, no gate pass", PARTS, False, ("-fno-gate", "-fno-dfg-scoped")),
    "site": Variant("site apart, no gate pass", SITE, False, ("-fno-gate", "-fno-dfg-scoped")),
    "shared": Variant("site apart, its ports variables, gate pass", SITE, True, ("-fno-dfg-scoped",)),
    "native": Variant("the same for this processor", SITE, True, ("-fno-dfg-scoped",), "-O3 -march=native"),
    "fast-x": Variant("the same, unknown values fast", SITE, True,
                      ("-fno-dfg-scoped", "--x-assign", "fast", "--x-initial", "fast")),
    "threads": Variant("the same on two threads", SITE, True, ("-fno-dfg-scoped", "--threads", "2")),
}
#: Everything in one module, as small grids are built; not for all, a paper-size grid did not compile in ten minutes.
VARIANTS_OF_SMALL_GRIDS = {"flat": Variant("nothing apart", (), False, ("-O3",))}
#: The project's build, driven by cocotb instead of the C++ host.
COCOTB = "cocotb"


@dataclass(frozen=True)
class Workload:
    """A mapping, its inputs and the expected outputs."""

    mapping: Mapping
    inputs: np.ndarray
    outputs: np.ndarray

    def speed(self, model: Build, folder: Path) -> tuple[float, float]:
        """Cycles a second, and the seconds of a run of one step: start, load and end."""
        short = min(self._run(model, folder, 1) for _ in range(REPETITIONS))
        long = min(self._run(model, folder, len(self.inputs)) for _ in range(REPETITIONS))
        cycles = self.mapping.predict(len(self.inputs)).cycles - self.mapping.predict(1).cycles
        return cycles / (long - short), short

    def _run(self, model: Build, folder: Path, steps: int) -> float:
        """Processor seconds of one simulation."""
        started = children_seconds()
        sequence = bus_sequence(self.mapping, [self.inputs[:steps]])
        run = run_sequences(image_files(self.mapping), self.mapping.parameters, [sequence], model, folder)
        result = run.results[0]
        if (result.outputs != self.outputs[:steps]).any() or result.cycles != self.mapping.predict(steps).cycles:
            raise click.ClickException("the simulation differs from the reference")
        return children_seconds() - started


def children_seconds() -> float:
    """Processor seconds of all processes that this one started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def workload(parameters: GridParameters, hidden: int, steps: int) -> Workload:
    """A GRU of the DeepBench shape."""
    network, inputs = random_model(cells.gru, hidden, steps)
    quantised = quantise(network, inputs[:8], parameters.arithmetic)
    codes = quantise_inputs(quantised, inputs)
    mapping = map_network(quantised, parameters, steps=steps)
    return Workload(mapping, codes, run_reference(quantised, codes).outputs)


def _execute(command: Sequence[str | Path], log: Path) -> None:
    with log.open("a") as lines:
        done = subprocess.run(
            command, stdout=lines, stderr=subprocess.STDOUT, check=False, env={**os.environ, **verilator_environment()}
        )
    if done.returncode:
        raise click.ClickException(f"{command[0]} failed: see {log}")


def make(variant: Variant, sources: list[Path], folder: Path) -> Build:
    """A build of one variant, without a cache; its seconds are processor seconds."""
    started = children_seconds()
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
    _execute(
        [verilator_executable(), "--cc", "--exe", "--top-module", TOP_MODULE, "-o", "host", *options, *variant.flags,
         control, folder / "host.cpp", *sources], log,
    )
    _execute(
        ["make", "-j2", "-C", folder, "-f", "Vtop.mk", "CFG_CXXFLAGS_PCH_I=-include", f"OPT_FAST={variant.optimise}",
         "OBJCACHE="], log,
    )
    return Build("verilator", TOP_MODULE, folder, False, False, children_seconds() - started, folder / "host")


@click.command()
@click.option("--preset", default="paper", show_default=True)
@click.option("--hidden", default=1024, show_default=True, help="Units of the GRU.")
@click.option("--steps", default=40, show_default=True)
@click.option("--only", default=",".join((*VARIANTS, COCOTB)), metavar="NAME,...", show_default=True)
def main(preset: str, hidden: int, steps: int, only: str) -> None:
    """Build and measure the variants."""
    console = TableConsole()
    os.environ["CCACHE_DISABLE"] = "1"
    parameters = load_parameters(preset)
    work = workload(parameters, hidden, steps)
    table = plain_table("variant", "", "build", "start and load", "cycles/s", "load average")
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
                text = 'as "shared", under cocotb'
                started = children_seconds()
                model = build(sources, TOP_MODULE, "verilator", tile_modules=SITE, cache_dir=folder)
                model = replace(model, seconds=children_seconds() - started)
            else:
                way = (VARIANTS | VARIANTS_OF_SMALL_GRIDS)[variant]
                text = way.text
                model = make(way, sources, folder)
            speed, load = work.speed(model, folder / "run")
            row = (variant, text, f"{model.seconds:.0f} s", f"{load:.1f} s", f"{speed:,.0f}",
                   f"{os.getloadavg()[0]:.1f}")
            console.print(*row, sep="  ", highlight=False, soft_wrap=True)
            table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    run_script(main)
