"""Tables and picture of an outcome."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from rnn_mapper.explore.outcome import Outcome
from rnn_mapper.explore.requests import Model
from rnn_mapper.explore.search import Design, Request
from rnn_mapper.report.clock import Clock, duration

__all__ = ["front_table", "markdown", "picture"]

_NAMES = {"gates": "gates (NAND2)", "lut": "LUT", "dsp": "DSP", "bram": "BRAM", "memory": "memory kbit"}


def _resources(outcome: Outcome) -> list[str]:
    return ["gates", "memory"] if outcome.request.budget.device is None else ["lut", "dsp", "bram", "memory"]


def _counted(request: Request, model: Model) -> str:
    """What the cycles of a model are of."""
    return f"response {model.name}, cycles" if request.is_response else f"cycles {model.name} x {model.steps}"


def _rows(outcome: Outcome, designs: list[Design], clock: Clock | None) -> tuple[list[str], list[list[str]]]:
    models = outcome.request.models
    times = [] if clock is None else [f"time at {clock.mhz:g} MHz ({clock.source}) {model.name}" for model in models]
    if outcome.request.clocks is not None:
        what = "response" if outcome.request.is_response else "time a step"
        times = ["MHz", *(f"{what} {model.name}" for model in models)]
    headings = ["grid", "multipliers", *(_NAMES[name] for name in _resources(outcome)), "weight words",
                *(_counted(outcome.request, model) for model in models), *times, "busy", "mapping"]
    rows = []
    for design in designs:
        p = design.parameters
        used = [
            "?" if name not in design.used else f"{design.used[name] / (1024 if name == 'memory' else 1):,.0f}"
            for name in _resources(outcome)
        ]
        timed = [] if clock is None else [duration(clock.microseconds(found.cycles)) for found in design.found]
        if design.clock_mhz is not None:
            timed = [f"{design.clock_mhz:.0f}", *(
                duration(found.cycles / design.clock_mhz / outcome.request.steps_of(model))
                for model, found in zip(models, design.found, strict=True)
            )]
        rows.append([
            f"{p.rows} x {p.cols} x {p.lanes}", f"{p.multipliers:,}", *used, f"{p.weight_depth:,}",
            *(f"{found.cycles:,}" for found in design.found),
            *timed,
            f"{design.utilisation:.1%}",
            " | ".join(found.choice.text(p.rows) for found in design.found),
        ])
    return headings, rows


def front_table(outcome: Outcome, top: int, clock: Clock | None = None) -> Table:
    """The fastest grids of the front, with times where a clock is known or given."""
    shown = outcome.front[:top]
    headings, rows = _rows(outcome, shown, clock)
    table = Table(title=f"Pareto front within {outcome.request.budget.text}: {len(shown)} of {len(outcome.front)}, "
                        "fastest first", title_justify="left", box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("grid", "mapping") else "right")
    for row in rows:
        table.add_row(*row)
    return table


def markdown(outcome: Outcome, clock: Clock | None = None) -> str:
    """The whole front as a Markdown table."""
    headings, rows = _rows(outcome, outcome.front, clock)
    lines = [f"Pareto front within {outcome.request.budget.text}, fastest first.", "", outcome.area_text + ".", "",
             outcome.clock_text + ".", ""]
    escaped = [[cell.replace("|", "/") for cell in row] for row in rows]
    lines += ["| " + " | ".join(row) + " |" for row in (headings, ["---"] * len(headings), *escaped)]
    return "\n".join(lines) + "\n"


def picture(outcome: Outcome, path: Path) -> None:
    """Plot all grids within the budget and the front: time, or cycles, against area."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    budget = outcome.request.budget
    front = outcome.front
    rest = [design for design in outcome.within if design not in front]
    scale = 100.0 if budget.device is not None else 1.0
    with matplotlib.rc_context({"svg.hashsalt": "explore", "font.size": 9}):
        figure, axes = pyplot.subplots(figsize=(8, 5))
        axes.scatter([scale * c.area(budget) for c in rest], [c.score for c in rest], s=10, color="#b8c4d0",
                     label="within the budget")
        axes.plot([scale * c.area(budget) for c in front], [c.score for c in front], "o-", color="#1f6fb4",
                  markersize=5, linewidth=1.2, drawstyle="steps-pre", label="Pareto front")
        axes.set_yscale("log")
        if scale == 1:
            axes.set_xscale("log")
            gates = any("gates" in design.used for design in front)
            axes.set_xlabel("gate equivalents (NAND2), without memories" if gates else "multipliers")
        else:
            axes.set_xlabel(f"largest share of a resource of {budget.device.name}, %" if budget.device else "")
        unit = "cycles" if outcome.request.clocks is None else "microseconds"
        axes.set_ylabel(unit if len(outcome.request.models) == 1 else f"{unit}, {outcome.request.objective}")
        names = ", ".join(_counted(outcome.request, model) for model in outcome.request.models)
        axes.set_title(f"{names} within {budget.text}", fontsize=10)
        axes.grid(True, which="both", alpha=0.25)
        axes.legend(loc="upper right", frameon=False)
        axes.margins(0.08)
        figure.tight_layout()
        _label(axes, [(scale * c.area(budget), c.score, c) for c in front])
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)


def _label(axes: Any, points: Sequence[tuple[float, float, Design]]) -> None:
    """Label some grids of the front with their sizes, far enough apart to be readable."""
    placed: list[tuple[float, float]] = []
    for x, y, design in points:
        place = axes.transData.transform((x, y))
        if any(abs(place[0] - other[0]) < 75 and abs(place[1] - other[1]) < 15 for other in placed):
            continue
        placed.append(place)
        p = design.parameters
        axes.annotate(f"{p.rows} x {p.cols} x {p.lanes}", (x, y), xytext=(4, 5), textcoords="offset points",
                      fontsize=7, color="#333333")
