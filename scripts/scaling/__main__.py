"""How cycles and costs grow: with the number of sites at a fixed model, and with the hidden size on the full grid.

    .venv/bin/python -m scripts.scaling              # make scaling
    .venv/bin/python -m scripts.scaling --short      # three small grids and a few sizes

Every grid is generated, built by Verilator and runs the model; its cycles must equal the prediction and its outputs
the reference. Cycles against hidden size are predictions. Writes scaling.json, .csv, .md and two pictures.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from scripts.output import output_option, progress_lines, run_script, write_json
from scripts.provenance import commit
from scripts.scaling.costs import FIXED_HIDDEN, GRIDS, HIDDEN_SIZES, LANES, hidden_sizes, measure_grid
from scripts.scaling.report import write_report


@click.command()
@output_option
@click.option("--short", is_flag=True, help="Only a few grids and sizes.")
def main(output: Path, short: bool) -> None:
    """Measure and write the tables."""
    # Measure first builds.
    os.environ["CCACHE_DISABLE"] = "1"
    started = time.perf_counter()
    tell = progress_lines(Console())
    grids, sizes = [], []
    for rows, cols in GRIDS[:3] if short else GRIDS:
        cost = measure_grid(rows, cols)
        tell(f"{rows} x {cols}: {cost.verilog_bytes / 1e6:.2f} MB of Verilog in {cost.generate_seconds:.1f} s, "
             f"built in {cost.build_seconds:.0f} s, {cost.cycles_per_step:,.1f} cycles a step, "
             f"{cost.simulated_cycles_per_second:,.0f} cycles simulated a second, {cost.mismatches} outputs differ")
        grids.append(cost)
    for size in hidden_sizes(*((512, 640, 64) if short else HIDDEN_SIZES)):
        sizes.append(size)
        if size.hidden % 512 == 0:
            tell(f"{size.cell} {size.hidden}: {size.cycles_per_step:,.1f} cycles a step, {size.utilisation:.1%} busy")
    result = {
        "command": "make scaling", "commit": commit(), "processors": os.cpu_count(), "lanes": LANES,
        "model": f"LSTM {FIXED_HIDDEN}", "seconds": time.perf_counter() - started,
        "grids": [asdict(grid) for grid in grids], "hidden_sizes": [asdict(size) for size in sizes],
    }
    write_json(output / "scaling.json", result)
    write_report(result, output)
    tell(f"results in {output}")
    if any(grid.mismatches or grid.cycles_simulated != grid.cycles_predicted for grid in grids):
        sys.exit(1)


if __name__ == "__main__":
    run_script(main)
