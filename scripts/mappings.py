"""What one fixed mapping for all sizes loses on the ten DeepBench points, against the mapping searched for each.

    .venv/bin/python -m scripts.mappings       # make mappings, seconds

Writes mappings.json, .md and .svg. A fixed mapping is one `ru` for every model, with as many chains in a row as fit:
the shape of a machine whose matrix unit is wired for one problem size. Cycles are exact predictions of whole sequences
on the paper-size grid.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import click
import matplotlib
from rich.console import Console
from rich.table import Table

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters, load_parameters
from rnn_mapper.explore.shapes import Shape
from rnn_mapper.explore.size import SizeJob, cycles_of, search_size
from rnn_mapper.mapping.choices import Choice, UnitSlice
from rnn_mapper.schedule.loop_nest import ceil_div
from scripts.deepbench.points import PRESET, published
from scripts.provenance import ROOT, commit

_HEADINGS = (
    "point", "searched", "cycles", "best fixed", "loss", "fastest ru", "worst fixed", "its loss",
)


def fixed(shape: Shape, parameters: GridParameters, ru: int) -> Choice:
    """A layer in one slice with this `ru` and as many chains as there are."""
    groups = ceil_div(shape.hidden[0], parameters.rows)
    return Choice("fused", ((UnitSlice(groups, ru, min(parameters.cols // ru, groups)),),))


def measure(row: dict[str, str], parameters: GridParameters, latencies: GridLatencies) -> dict[str, Any]:
    """Cycles of the searched mapping and of every fixed one for one point."""
    hidden, steps = int(row["hidden"]), int(row["steps"])
    shape = Shape((row["cell"],), hidden, (hidden,))
    job = SizeJob(shape, steps, ("fused",), parameters.rows, parameters.lanes, (parameters.cols,), latencies)
    result = search_size(job)
    best = result.found[parameters.cols][0]
    by_ru = {
        ru: cycles_of(shape, steps, fixed(shape, parameters, ru), parameters, latencies)
        for ru in range(1, parameters.cols + 1)
    }
    return {
        "cell": row["cell"], "hidden": hidden, "steps": steps, "searched": best.cycles,
        "mapping": best.choice.text(parameters.rows), "fixed": by_ru, "mappings": result.mappings,
    }


def mean_loss(points: list[dict[str, Any]], ru: int) -> float:
    """Geometric mean of how many times longer a fixed mapping takes."""
    return math.exp(sum(math.log(p["fixed"][ru] / p["searched"]) for p in points) / len(points))


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), default=ROOT / "results", show_default=True)
def main(output: Path) -> None:
    """Compare and write the tables."""
    started = time.perf_counter()
    parameters = load_parameters(PRESET)
    latencies = GridLatencies.of(parameters)
    points = [measure(row, parameters, latencies) for row in published()]
    losses = {ru: mean_loss(points, ru) for ru in range(1, parameters.cols + 1)}
    chosen = min(losses, key=lambda ru: losses[ru])
    output.mkdir(parents=True, exist_ok=True)
    values = {
        "command": "make mappings", "commit": commit(), "grid": parameters.to_dict(), "chosen_ru": chosen,
        "geometric_mean_loss": losses, "seconds": round(time.perf_counter() - started, 2), "points": points,
    }
    (output / "mappings.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    rows = table_rows(points, losses, chosen, parameters)
    heading = (
        f"The fixed mapping with the least geometric mean is ru {chosen} with {parameters.cols // chosen} chains in a "
        f"row (hu {parameters.rows * (parameters.cols // chosen)}): {losses[chosen] - 1:.1%} over the searched ones."
    )
    lines = ["| " + " | ".join(row) + " |" for row in (list(_HEADINGS), ["---"] * len(_HEADINGS), *rows)]
    (output / "mappings.md").write_text("\n".join([heading, "", *lines]) + "\n", encoding="utf-8")
    picture(points, losses, chosen, output / "mappings.svg")
    console = Console(highlight=False)
    table = Table(*_HEADINGS, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print(heading, soft_wrap=True)


def table_rows(
    points: list[dict[str, Any]], losses: dict[int, float], chosen: int, parameters: GridParameters
) -> list[list[str]]:
    """A row for each point, and one for the geometric means."""
    worst = max(losses, key=lambda ru: losses[ru])
    rows = []
    for p in points:
        fastest = min(p["fixed"], key=lambda ru: p["fixed"][ru])
        rows.append([
            f"{p['cell'].upper()} {p['hidden']} x {p['steps']}", p["mapping"].removeprefix("fused; "),
            f"{p['searched']:,}", f"{p['fixed'][chosen]:,}", f"{p['fixed'][chosen] / p['searched'] - 1:.1%}",
            str(fastest), f"{p['fixed'][worst]:,}", f"{p['fixed'][worst] / p['searched'] - 1:.1%}",
        ])
    rows.append(["geometric mean", "", "", f"ru {chosen}", f"{losses[chosen] - 1:.1%}", "", f"ru {worst}",
                 f"{losses[worst] - 1:.1%}"])
    return rows


def picture(points: list[dict[str, Any]], losses: dict[int, float], chosen: int, path: Path) -> None:
    """Loss of every fixed mapping on every point."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    with matplotlib.rc_context({"svg.hashsalt": "mappings", "font.size": 9}):
        figure, axes = pyplot.subplots(figsize=(8, 4.6))
        colors = pyplot.get_cmap("viridis")
        for place, p in enumerate(sorted(points, key=lambda point: point["hidden"])):
            axes.plot(list(losses), [100 * (p["fixed"][ru] / p["searched"] - 1) for ru in losses], "o-", markersize=3,
                      linewidth=1, color=colors(place / len(points)), label=f"{p['cell'].upper()} {p['hidden']}")
        axes.plot(list(losses), [100 * (loss - 1) for loss in losses.values()], "k--", linewidth=2,
                  label="geometric mean")
        axes.axvline(chosen, color="#bbbbbb", linewidth=1, zorder=0)
        axes.set_xticks(list(losses))
        axes.set_xlabel("ru of the fixed mapping (PCUs that share a matrix row)")
        axes.set_ylabel("cycles more than the searched mapping, %")
        axes.set_yscale("symlog", linthresh=10)
        axes.grid(True, alpha=0.25)
        axes.set_ylim(bottom=-1)
        axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
        figure.tight_layout()
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)


if __name__ == "__main__":
    main()
