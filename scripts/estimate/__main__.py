"""Area and energy of the paper-size grid at 28 nm, estimated, for the ten DeepBench points.

    .venv/bin/python -m scripts.estimate          # make estimate

Writes estimate.json, .md and .svg. Measured: gates, flip-flops and memory bits (a synthesis of the generated Verilog,
kept in the build cache) and the operations of each sequence (from its mapping). Estimated: all square millimetres
and joules; every constant is in `constants.py`. The limits of the estimate are in docs/area_and_energy.md.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from hdl.parameters import load_parameters
from scripts.deepbench.points import PRESET, published
from scripts.estimate.constants import CONSTANTS, Bound
from scripts.estimate.measured import modules_of, run_point, synthesised
from scripts.estimate.model import area
from scripts.estimate.picture import picture
from scripts.estimate.point import Point
from scripts.estimate.report import markdown
from scripts.output import output_option, run_script, write_json
from scripts.provenance import commit

#: The point whose power is drawn.
PICTURED = "GRU 1024"


@click.command()
@output_option
def main(output: Path) -> None:
    """Estimate, and write the tables and the picture."""
    console = Console()
    parameters = load_parameters(PRESET)
    console.print(f"synthesis of the {PRESET} grid (a minute or two, unless it is in the cache)", highlight=False)
    report = synthesised(parameters)
    modules = modules_of(report)
    points: list[Point] = []
    for row in published():
        points.append(run_point(row, parameters))
        typical = points[-1].watts(modules, parameters, Bound.TYPICAL)
        console.print(f"{points[-1].name}: {typical:.1f} W (typical)", highlight=False)
    chips = {bound: area(modules, bound) for bound in Bound}
    write_json(output / "estimate.json", {
        "command": "make estimate", "commit": commit(), "is": "an estimate", "grid": parameters.to_dict(),
        "synthesis": report["total"],
        "area_mm2": {bound.value: {**chip.parts, "total": chip.total} for bound, chip in chips.items()},
        "points": [{
            "point": point.name, "steps": point.steps, "activity": point.activity.to_dict(),
            **{bound.value: point.figures(modules, parameters, bound) for bound in Bound},
        } for point in points],
        "constants": {name: asdict(constant) for name, constant in CONSTANTS.items()},
    })
    (output / "estimate.md").write_text(markdown(points, modules, parameters), encoding="utf-8")
    picture(next(point for point in points if point.name == PICTURED), modules, parameters, output / "estimate.svg")
    console.print(f"results in {output}", highlight=False)


if __name__ == "__main__":
    run_script(main)
