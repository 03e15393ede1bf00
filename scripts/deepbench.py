"""The ten DeepBench inference points of the seed paper on the paper-size grid, in RTL and in full length.

    .venv/bin/python scripts/deepbench.py                 # make deepbench
    .venv/bin/python scripts/deepbench.py --predict-only  # cycles without simulation, in seconds

Writes deepbench.json, .csv, .md and .svg. Weights are random (the cycle count does not depend on them); every output
of every step is compared with the numpy reference. Nanoseconds assume 1 GHz, which is not closed. Points run side by
side, the longest first, each in a process of one thread.
"""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import matplotlib
import numpy as np
from rich.console import Console
from rich.table import Table

from hdl.parameters import GridParameters, load_parameters
from rnn_mapper.mapper import map_network
from rnn_mapper.mapping import Mapping
from rnn_mapper.network import Cell, Network, RecurrentLayer
from rnn_mapper.quantise import quantise, quantise_inputs
from rnn_mapper.reference import run_reference
from sim_tests.grid_runs import build_grid, run_mapping
from sim_tests.simulators import Build

ROOT = Path(__file__).parent.parent
PUBLISHED = ROOT / "docs" / "data" / "deepbench.csv"
PRESET = "paper"
#: Columns of the Markdown table; those named after a machine hold how much faster than it.
HEADINGS = (
    "point", "ideal cycles/step", "predicted", "simulated", "differ", "busy", "ms at 1 GHz", "Plasticine", "V100",
    "Brainwave", "split",
)
#: Columns of published latencies, in milliseconds.
MACHINES = ("xeon", "v100", "brainwave", "plasticine")


@dataclass(frozen=True)
class Point:
    """One row of the result."""

    cell: str
    hidden: int
    steps: int
    #: All multipliers busy with the model's own multiplications, the whole sequence.
    cycles_ideal: float
    cycles_predicted: int
    #: None where nothing was simulated.
    cycles_simulated: int | None
    mismatches: int | None
    utilisation: float
    #: At 1 GHz.
    latency_ms: float
    published_ms: dict[str, float]
    speedup_vs_plasticine: float
    splits: str
    seconds: float


def published() -> list[dict[str, str]]:
    """Rows of the published table."""
    with PUBLISHED.open(encoding="utf-8") as lines:
        return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def random_model(cell: Cell, hidden: int, steps: int) -> tuple[Network, np.ndarray]:
    """A network with input size = hidden size, as PyTorch would initialise it, and its inputs."""
    rng = np.random.default_rng(hidden)
    bound = 1 / math.sqrt(hidden)
    rows = cell.gates * hidden
    shapes = ((rows, hidden), (rows, hidden), (rows,), (rows,))
    layer = RecurrentLayer(cell, *(rng.uniform(-bound, bound, shape) for shape in shapes))
    return Network((layer,)), rng.normal(size=(steps, hidden))


def run_point(
    row: dict[str, str],
    parameters: GridParameters,
    build: Build | None,
    folder: Path,
    progress: Callable[[str], None],
) -> Point:
    """Map one point and, on a build, simulate it in full length; `progress` is told how far it is."""
    started = time.perf_counter()
    cell, hidden, steps = Cell(row["cell"]), int(row["hidden"]), int(row["steps"])
    network, inputs = random_model(cell, hidden, steps)
    quantised = quantise(network, inputs[:8], accumulator_bits=parameters.accumulator_bits)
    mapping = map_network(quantised, parameters, steps=steps)
    prediction = mapping.predict(steps)
    simulated = mismatches = None
    if build is not None:
        codes = quantise_inputs(quantised, inputs)
        result = run_mapping(mapping, codes, build, folder / f"{cell.value}{hidden}", progress=progress)
        simulated = result.cycles
        mismatches = int((result.outputs != run_reference(quantised, codes).outputs).sum())
    cycles = simulated or prediction.cycles
    latencies = {machine: float(row[f"{machine}_ms"]) for machine in MACHINES}
    ideal = steps * sum(phase.multiplications for phase in mapping.phases) / parameters.multipliers
    return Point(
        cell.value, hidden, steps, ideal, prediction.cycles, simulated, mismatches, ideal / cycles, cycles * 1e-6,
        latencies, latencies["plasticine"] / (cycles * 1e-6), _splits(mapping), time.perf_counter() - started,
    )


def multiplications(row: dict[str, str]) -> int:
    """What a point takes, roughly: of the whole sequence."""
    return Cell(row["cell"]).gates * int(row["hidden"]) ** 2 * int(row["steps"])


def _splits(mapping: Mapping) -> str:
    parts = [(t.phase.units, t.nest.ru) for t in mapping.timings if not t.phase.stores]
    return " + ".join(f"{units} units ru {ru}" for units, ru in parts)


def geometric_mean(values: list[float]) -> float:
    """The n-th root of the product of n values."""
    return math.exp(sum(map(math.log, values)) / len(values))


def summary(points: list[Point]) -> dict[str, float]:
    """Geometric means over all points."""
    means = {
        f"speedup_vs_{machine}": geometric_mean([p.published_ms[machine] / p.latency_ms for p in points])
        for machine in MACHINES
    }
    return means | {"utilisation": geometric_mean([p.utilisation for p in points])}


def markdown(points: list[Point], means: dict[str, float]) -> str:
    """The table for people."""
    lines = [
        "| " + " | ".join(HEADINGS) + " |",
        "|" + "---|" * len(HEADINGS),
    ]
    for p in points:
        ratios = " | ".join(f"{p.published_ms[m] / p.latency_ms:.2f}x" for m in ("plasticine", "v100", "brainwave"))
        simulated = "-" if p.cycles_simulated is None else f"{p.cycles_simulated:,}"
        differ = "-" if p.mismatches is None else p.mismatches
        lines.append(
            f"| {p.cell.upper()} {p.hidden} x {p.steps} | {p.cycles_ideal / p.steps:.1f} | {p.cycles_predicted:,} "
            f"| {simulated} | {differ} | {p.utilisation:.1%} | {p.latency_ms:.4f} | {ratios} | {p.splits} |"
        )
    lines.append(
        f"| geometric mean | | | | | {means['utilisation']:.1%} | | {means['speedup_vs_plasticine']:.2f}x | "
        f"{means['speedup_vs_v100']:.1f}x | {means['speedup_vs_brainwave']:.2f}x | |"
    )
    return "\n".join(lines) + "\n"


def picture(points: list[Point], file: Path) -> None:
    """Latencies of all machines, point by point, on a logarithmic axis."""
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "spatial-rnn"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(11, 4.6))
    series = {"Xeon": "xeon", "V100": "v100", "Brainwave": "brainwave", "Plasticine": "plasticine"}
    colors = ("#b0b0b0", "#8c6bb1", "#d1770f", "#2a8a3e", "#1f6fb4")
    width = 0.16
    for number, (label, machine) in enumerate(series.items()):
        axes.bar([i + (number - 2) * width for i in range(len(points))], [p.published_ms[machine] for p in points],
                 width, label=f"{label} (published)", color=colors[number])
    axes.bar([i + 2 * width for i in range(len(points))], [p.latency_ms for p in points], width,
             label="spatial-rnn, cycles at 1 GHz", color=colors[4])
    axes.set_yscale("log")
    axes.set_ylabel("latency of the sequence, ms")
    axes.set_xticks(range(len(points)), [f"{p.cell.upper()} {p.hidden}\n{p.steps} steps" for p in points], fontsize=8)
    title = "DeepBench inference at batch 1: published latencies and this grid (12,288 8-bit multipliers)"
    axes.set_title(title, fontsize=11)
    axes.legend(fontsize=8, ncol=3, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), default=ROOT / "results", show_default=True)
@click.option("--predict-only", is_flag=True, help="Do not simulate.")
@click.option("--jobs", type=click.IntRange(1), default=min(2, os.cpu_count() or 1), show_default=True,
              help="Points that run at the same time; each wants a core and a gigabyte.")
@click.option("--only", multiple=True, metavar="CELL:HIDDEN", help="Run these points only, for example lstm:256.")
def main(output: Path, predict_only: bool, jobs: int, only: tuple[str, ...]) -> None:
    """Run the points and write the table."""
    console = Console()
    output.mkdir(parents=True, exist_ok=True)
    parameters = load_parameters(PRESET)
    started = time.perf_counter()
    build = None
    if not predict_only:
        console.print(f"building one Verilator model of the {PRESET} grid", highlight=False)
        build = build_grid(parameters, "verilator")
        console.print(f"built in {build.seconds:.0f} s", highlight=False)
    rows = [row for row in published() if not only or f"{row['cell']}:{row['hidden']}" in only]

    def tell(text: str) -> None:
        console.print(f"{time.perf_counter() - started:6.0f} s  {text}", highlight=False, soft_wrap=True)

    def run(row: dict[str, str]) -> Point:
        name = f"{row['cell']} {row['hidden']} x {row['steps']}"
        p = run_point(row, parameters, build, output / "runs", lambda line: tell(f"{name}: {line}"))
        tell(f"{name}: {p.cycles_simulated} cycles simulated, {p.cycles_predicted} predicted, {p.mismatches} outputs "
             f"differ, {p.speedup_vs_plasticine:.2f}x Plasticine")
        return p

    longest_first = sorted(rows, key=multiplications, reverse=True)
    with ThreadPoolExecutor(jobs) as pool:
        done = dict(zip(map(id, longest_first), pool.map(run, longest_first), strict=True))
    points = [done[id(row)] for row in rows]
    means = summary(points)
    (output / "deepbench.json").write_text(json.dumps({
        "command": "make deepbench", "commit": _commit(), "grid": parameters.to_dict(),
        "build_seconds": build.seconds if build else None, "seconds": time.perf_counter() - started,
        "points": [asdict(point) for point in points], "geometric_means": means,
    }, indent=1) + "\n", encoding="utf-8")
    (output / "deepbench.md").write_text(markdown(points, means), encoding="utf-8")
    with (output / "deepbench.csv").open("w", newline="", encoding="utf-8") as file:
        flat = [{**{k: v for k, v in asdict(p).items() if k != "published_ms"},
                 **{f"{m}_ms": p.published_ms[m] for m in MACHINES}} for p in points]
        writer = csv.DictWriter(file, list(flat[0]))
        writer.writeheader()
        writer.writerows(flat)
    picture(points, output / "deepbench.svg")
    table = Table("geometric mean of", "value")
    for name, value in means.items():
        table.add_row(name, f"{value:.3f}")
    console.print(table)
    console.print(f"results in {output}", highlight=False)
    if not predict_only and any(p.mismatches or p.cycles_simulated != p.cycles_predicted for p in points):
        sys.exit(1)


if __name__ == "__main__":
    main()
