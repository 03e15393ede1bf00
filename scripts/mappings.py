"""What one fixed mapping for all sizes loses on the ten DeepBench points, against the mapping searched for each.

    .venv/bin/python -m scripts.mappings       # make mappings, seconds

Writes mappings.json, .md and .svg. A fixed mapping is one `ru` for every model, with as many chains in a row as fit:
the shape of a machine whose matrix unit is wired for one problem size. Cycles are exact predictions of whole sequences
on the paper-size grid.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
from matplotlib import pyplot, ticker

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters, load_parameters
from rnn_mapper.cli.tables import TableConsole, plain_table
from rnn_mapper.explore.shapes import Shape
from rnn_mapper.explore.size import SizeJob, cycles_of, search_size
from rnn_mapper.mapping.choices import Choice, UnitSlice
from rnn_mapper.schedule.loop_nest import ceil_div
from scripts.deepbench.points import PRESET, published
from scripts.output import drawing, geometric_mean, markdown_table, output_option, run_script, without_frame, write_json
from scripts.provenance import commit

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
    return geometric_mean([p["fixed"][ru] / p["searched"] for p in points])


@click.command()
@output_option
def main(output: Path) -> None:
    """Compare and write the tables."""
    started = time.perf_counter()
    parameters = load_parameters(PRESET)
    latencies = GridLatencies.of(parameters)
    points = [measure(row, parameters, latencies) for row in published()]
    losses = {ru: mean_loss(points, ru) for ru in range(1, parameters.cols + 1)}
    chosen = min(losses, key=lambda ru: losses[ru])
    values = {
        "command": "make mappings", "commit": commit(), "grid": parameters.to_dict(), "chosen_ru": chosen,
        "geometric_mean_loss": losses, "seconds": round(time.perf_counter() - started, 2), "points": points,
    }
    write_json(output / "mappings.json", values)
    rows = table_rows(points, losses, chosen, parameters)
    heading = (
        f"The fixed mapping with the least geometric mean is ru {chosen} with {parameters.cols // chosen} chains in a "
        f"row (hu {parameters.rows * (parameters.cols // chosen)}): {losses[chosen] - 1:.1%} over the searched ones."
    )
    lines = markdown_table(_HEADINGS, rows)
    (output / "mappings.md").write_text("\n".join([heading, "", *lines]) + "\n", encoding="utf-8")
    picture(points, losses, chosen, output / "mappings.svg")
    console = TableConsole()
    table = plain_table(*_HEADINGS)
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
    with drawing(path, salt="mappings", font_size=9, figsize=(8, 4.8)) as (_, axes):
        colors = pyplot.get_cmap("viridis")
        sizes = sorted({p["hidden"] for p in points})
        for p in sorted(points, key=lambda point: (point["hidden"], point["cell"])):
            # A colour for a size, a marker for a cell.
            style = "o-" if p["cell"] == "lstm" else "^--"
            axes.plot(list(losses), [100 * (p["fixed"][ru] / p["searched"] - 1) for ru in losses], style, markersize=4,
                      linewidth=1, color=colors(sizes.index(p["hidden"]) / len(sizes)),
                      label=f"{p['cell'].upper()} {p['hidden']}")
        axes.plot(list(losses), [100 * (loss - 1) for loss in losses.values()], "k-", linewidth=2,
                  label="geometric mean")
        axes.axvline(chosen, color="#bbbbbb", linewidth=1, zorder=0)
        axes.annotate(f"least mean: ru {chosen}", (chosen, 0.98), xycoords=("data", "axes fraction"), xytext=(4, 0),
                      textcoords="offset points", va="top", fontsize=8, color="#555555")
        axes.set_title("DeepBench: what one mapping for all sizes loses", fontsize=10)
        axes.set_xticks(list(losses))
        axes.set_xlabel("ru of the fixed mapping (PCUs that share a matrix row)")
        axes.set_ylabel("cycles more than with the searched mapping, %")
        axes.set_yscale("symlog", linthresh=10)
        axes.yaxis.set_major_locator(ticker.FixedLocator([0, 2, 5, 10, 20, 50, 100, 200]))
        axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_locator(ticker.NullLocator())
        axes.grid(True, alpha=0.25)
        axes.set_ylim(bottom=-1)
        axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
        without_frame(axes)


if __name__ == "__main__":
    run_script(main)
