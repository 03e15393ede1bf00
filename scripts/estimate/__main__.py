"""Area and energy of the paper-size grid at 28 nm, estimated, for the ten DeepBench points.

    .venv/bin/python -m scripts.estimate          # make estimate

Writes estimate.json, .md and .svg. Measured: gates, flip-flops and memory bits (a synthesis of the generated Verilog,
kept in the build cache) and the counts of what each sequence does (from its mapping). Estimated: all square millimetres
and joules; every constant is in `estimate_constants`. What this cannot know is in docs/area_and_energy.md.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from hdl.output.package import make_package
from hdl.parameters import GridParameters, load_parameters
from hdl.synthesis.area import synthesise
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.network.layers import parse_cell
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.report.activity import count_activity
from scripts.deepbench.points import PRESET, published, random_model
from scripts.estimate.constants import CONSTANTS, Bound
from scripts.estimate.model import Module, area
from scripts.estimate.picture import picture
from scripts.estimate.point import Point
from scripts.estimate.report import markdown
from scripts.provenance import ROOT, commit
from sim_tests.simulator.builds import default_cache

#: The point whose power is drawn.
PICTURED = "GRU 1024"


def synthesised(parameters: GridParameters) -> dict[str, Any]:
    """The report of the synthesis of a grid, from the cache where the Verilog was synthesised before."""
    with tempfile.TemporaryDirectory(prefix="spatial-rnn-") as folder:
        directory = Path(folder)
        make_package(parameters).write(directory)
        recipe = [ROOT / "hdl" / f"{name}.py" for name in ("synthesis", "area_recipes", "netlists", "bare_dot_product")]
        digest = hashlib.sha256()
        for file in [*sorted(directory.rglob("*.v")), *recipe]:
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
        kept = default_cache() / f"synthesis-{digest.hexdigest()[:24]}.json"
        if not kept.is_file():
            report = synthesise(directory)
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(report.to_json(), indent=1) + "\n", encoding="utf-8")
    result: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return result


def modules_of(report: dict[str, Any]) -> list[Module]:
    """Modules and memories of a synthesis report."""
    modules: list[Module] = []
    for name, found in report["modules"].items():
        if shape := re.fullmatch(r"srnn_memory_(\d+)x(\d+)", name):
            modules.append(Module(name, found["instances"], words=int(shape[1]), width=int(shape[2])))
        else:
            modules.append(Module(name, found["instances"], found["gate_equivalents"], found["flip_flops"]))
    return modules


def run_point(row: dict[str, str], parameters: GridParameters) -> Point:
    """Map one DeepBench point and count what it does."""
    cell, hidden, steps = parse_cell(row["cell"]), int(row["hidden"]), int(row["steps"])
    network, inputs = random_model(cell, hidden, steps)
    quantised = quantise(network, inputs[:8], parameters.arithmetic)
    mapping = map_network(quantised, parameters, steps=steps)
    latencies = {name.removesuffix("_ms"): float(text) for name, text in row.items() if name.endswith("_ms")}
    return Point(f"{cell.name.upper()} {hidden}", steps, count_activity(mapping, steps), latencies)


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), default=ROOT / "results", show_default=True)
def main(output: Path) -> None:
    """Estimate, and write the tables and the picture."""
    console = Console()
    output.mkdir(parents=True, exist_ok=True)
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
    (output / "estimate.json").write_text(json.dumps({
        "command": "make estimate", "commit": commit(), "is": "an estimate", "grid": parameters.to_dict(),
        "synthesis": report["total"],
        "area_mm2": {bound.value: {**chip.parts, "total": chip.total} for bound, chip in chips.items()},
        "points": [{
            "point": point.name, "steps": point.steps, "activity": point.activity.to_dict(),
            **{bound.value: point.figures(modules, parameters, bound) for bound in Bound},
        } for point in points],
        "constants": {name: asdict(constant) for name, constant in CONSTANTS.items()},
    }, indent=1) + "\n", encoding="utf-8")
    (output / "estimate.md").write_text(markdown(points, modules, parameters), encoding="utf-8")
    picture(next(point for point in points if point.name == PICTURED), modules, parameters, output / "estimate.svg")
    console.print(f"results in {output}", highlight=False)


if __name__ == "__main__":
    main()
