"""The ten DeepBench inference points of the seed paper on the paper-size grid, in RTL and in full length.

    .venv/bin/python -m scripts.deepbench                 # make deepbench
    .venv/bin/python -m scripts.deepbench --predict-only  # cycles without simulation, in seconds

Writes deepbench.json, .csv, .md and .svg. Weights are random (the cycle count does not depend on them); every output
of every step is compared with the numpy reference. Nanoseconds are at an assumed 1 GHz; below them stand the clocks of
`make timing`, scaled to 28 nm. Points run side by side, the longest first, each in a process of one thread. Then every
point runs a few steps of the schedules that it is compared with.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import click

from hdl.parameters import load_parameters
from rnn_mapper.cli.tables import TableConsole, plain_table
from scripts.deepbench.clock import clock_table, reached_clocks
from scripts.deepbench.points import PRESET, Point, multiplications, published, run_point
from scripts.deepbench.report import csv_table, markdown, picture, summary
from scripts.output import output_option, progress_lines, run_script, write_json
from scripts.provenance import commit
from sim_tests.host.grid_build import build_grid


@click.command()
@output_option
@click.option("--predict-only", is_flag=True, help="Do not simulate.")
@click.option("--jobs", type=click.IntRange(1), default=min(2, os.cpu_count() or 1), show_default=True,
              help="Points that run at the same time; each wants a core and a gigabyte.")
@click.option("--only", multiple=True, metavar="CELL:HIDDEN", help="Run these points only, for example lstm:256.")
def main(output: Path, predict_only: bool, jobs: int, only: tuple[str, ...]) -> None:
    """Run the points and write the table."""
    console = TableConsole()
    names = [f"{row['cell']}:{row['hidden']}" for row in published()]
    if unknown := set(only) - set(names):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: the points are {', '.join(names)}")
    output.mkdir(parents=True, exist_ok=True)
    parameters = load_parameters(PRESET)
    started = time.perf_counter()
    tell = progress_lines(console)
    build = None
    if not predict_only:
        console.print(f"building one Verilator model of the {PRESET} grid", highlight=False)
        build = build_grid(parameters, "verilator")
        console.print(f"built in {build.seconds:.0f} s", highlight=False)
    rows = [row for row in published() if not only or f"{row['cell']}:{row['hidden']}" in only]

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
    clocks = reached_clocks(means["speedup_vs_plasticine"])
    write_json(output / "deepbench.json", {
        "command": "make deepbench", "commit": commit(), "grid": parameters.to_dict(),
        "build_seconds": build.seconds if build and not build.cached else None,
        "seconds": time.perf_counter() - started,
        "points": [asdict(point) for point in points], "geometric_means": means,
        "clocks": [asdict(one) for one in clocks],
    })
    (output / "deepbench.md").write_text(markdown(points, means) + clock_table(clocks), encoding="utf-8")
    csv_table(points, output / "deepbench.csv")
    picture(points, means, output / "deepbench.svg")
    table = plain_table("geometric mean of", "value")
    for name, value in means.items():
        table.add_row(name, f"{value:.3f}")
    for one in clocks:
        table.add_row(f"speedup_vs_plasticine at {one.mhz_at_28_nm:.0f} MHz ({one.library}, scaled to 28 nm)",
                      f"{one.speedup_vs_plasticine:.3f}")
    console.print(table)
    console.print(f"results in {output}", highlight=False)
    if not all(point.exact for point in points):
        sys.exit(1)


if __name__ == "__main__":
    run_script(main)
