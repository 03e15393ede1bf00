"""Measures the areas that `spatial-rnn explore` interpolates, with Yosys, and writes them with their errors.

    .venv/bin/python -m scripts.explore_area              # make explore-area, some twenty minutes

Writes rnn_mapper/explore/data/area_TARGET.json for each target.
"""

from __future__ import annotations

import os
from pathlib import Path

import click
from rich.console import Console

from hdl.synthesis.recipes import TARGETS
from rnn_mapper.explore.area_points import MEMORY_SHAPES, measure_grids, measure_memories, samples_of
from scripts.output import progress_lines, run_script, write_json
from scripts.provenance import ROOT, commit

DATA = ROOT / "rnn_mapper" / "explore" / "data"


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), default=DATA, show_default=True)
@click.option("--jobs", type=click.IntRange(1), default=min(2, os.cpu_count() or 1), show_default=True)
@click.option("--target", "targets", multiple=True, type=click.Choice(TARGETS), help="Only these; default all.")
def main(output: Path, jobs: int, targets: tuple[str, ...]) -> None:
    """Measure all sample grids and memories."""
    tell = progress_lines(Console())
    for target in targets or TARGETS:
        values = {
            "command": "make explore-area", "commit": commit(), "target": target,
            "grids": measure_grids(target, samples_of(target), tell, jobs),
            "memories": [] if target == "generic" else measure_memories(target, MEMORY_SHAPES, tell, jobs),
        }
        path = output / f"area_{target}.json"
        temporary = path.with_suffix(".part")
        write_json(temporary, values)
        temporary.replace(path)
        tell(str(path))


if __name__ == "__main__":
    run_script(main)
