"""Outcomes of the trained models, as tables and as a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rnn_mapper.pretrained.outcome import Outcome
from rnn_mapper.report.quantisation import DRIFT_BOUND

__all__ = ["markdown", "picture", "to_json"]


def to_json(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The figures as JSON values."""
    return {"models": [one.to_json() for one in outcomes]}


def markdown(outcomes: Sequence[Outcome], source: str) -> str:
    """Tables of accuracy and of cycles; `source` is the command that made them."""
    broken = [f"- **{one.facts.title}: {text}**" for one in outcomes for text in one.broken]
    return "\n".join([
        f"# Real models, end to end ({source})",
        "",
        "Trained by others, read from their packages; recurrent layers in the grid's integers, all else in floating "
        "point on the host. *Change* is between the original float model and the one with its recurrent layers in "
        "integers, bounds in brackets.",
        "",
        *(["**Some bounds do not hold:**", *broken, ""] if broken else ["Every bound holds.", ""]),
        "| model | recurrent layers | parameters | steps | RMS of h | p99.9 of h | drift | end task | original | grid "
        "| change |",
        "|---|---|---:|---:|---:|---:|---:|---|---:|---:|---:|",
        *(_accuracy_row(one) for one in outcomes),
        "",
        f"Drift: RMS error of the last fifth of a long sequence over that of the first (at most {DRIFT_BOUND}), where "
        "the model runs without end.",
        "",
        *(f"- {one.facts.title} ({one.facts.package}, {one.facts.licence}): {one.accuracy.note}." for one in outcomes),
        "",
        "In the Verilog, a short part of the same input:",
        "",
        "| model | grid (sites x lanes) | a step is | cycles a step | at 1 GHz | steps simulated | cycles predicted "
        "| cycles simulated | values compared | differ |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|",
        *(_cycles_row(one) for one in outcomes),
        "",
        "Cycles a step are predicted for a long sequence, all networks of the model together; the host's work is not "
        "in them. 1 GHz is the seed paper's clock: here it is an assumption, the clock is not closed.",
        "",
    ])


def _accuracy_row(one: Outcome) -> str:
    a, f, t = one.accuracy, one.facts, one.accuracy.task
    drift = "" if a.drift is None else f"{a.drift:.2f} ({a.drift_steps:,} steps)"
    loss = "" if t.loss_bound is None else f", {t.loss:+.2f}{t.unit} ({t.loss_bound})"
    changed = f"{t.changed:.2f}" if t.change_unit else f"{t.changed:.4f}"
    return (
        f"| {f.title} | {f.cells} | {one.parameters:,} | {a.steps:,} | {a.error.rms:.4f} ({f.rms_bound}) "
        f"| {a.error.p999:.3f} ({f.p999_bound}) | {drift} | {t.metric} | {t.original:.2f}{t.unit} "
        f"| {t.grid:.2f}{t.unit} | {t.change} {changed}{t.change_unit} ({t.bound}){loss} |"
    )


def _cycles_row(one: Outcome) -> str:
    f, s = one.facts, one.simulated
    return (
        f"| {f.title} | {one.grid}, {one.grid_size} | {f.step} | {one.cycles_per_step:,.1f} "
        f"| {one.cycles_per_step / 1000:.2f} us | {s.steps} | {s.predicted:,} | {s.cycles:,} | {s.outputs:,} "
        f"| {s.mismatches} |"
    )


def picture(outcomes: Sequence[Outcome], path: Path) -> None:
    """Each error and change as a share of its bound."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    kinds = (
        ("RMS of h", "#1f6fb4", lambda o: o.accuracy.error.rms / o.facts.rms_bound),
        ("p99.9 of h", "#2a8a3e", lambda o: o.accuracy.error.p999 / o.facts.p999_bound),
        ("drift", "#8c6bb1", lambda o: (o.accuracy.drift or 0.0) / DRIFT_BOUND),
        ("end task", "#d1770f", lambda o: o.accuracy.task.changed / o.accuracy.task.bound),
    )
    with matplotlib.rc_context({"svg.hashsalt": "models", "font.size": 9}):
        figure, axes = pyplot.subplots(figsize=(8, 3.4))
        width = 0.8 / len(kinds)
        for number, (name, color, share) in enumerate(kinds):
            places = [index + (number - (len(kinds) - 1) / 2) * width for index in range(len(outcomes))]
            bars = axes.bar(places, [share(one) for one in outcomes], width, color=color, label=name)
            # Drift is measured where a model runs without end.
            texts = ["none" if name == "drift" and one.accuracy.drift is None else f"{share(one):.2f}"
                     for one in outcomes]
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
            axes.bar_label(bars, texts, fontsize=7, padding=2, bbox=box)
        axes.axhline(1.0, color="black", linewidth=1, zorder=0.5)
        axes.text(-0.5, 1.01, "bound", fontsize=8, va="bottom")
        axes.set_xticks(range(len(outcomes)), [_label(one) for one in outcomes], fontsize=8)
        axes.set_title("Trained models on the grid: errors and changes, each as a share of its bound", fontsize=10)
        axes.set_ylabel("share of the bound")
        axes.set_ylim(0, 1.3)
        axes.legend(frameon=False, fontsize=8, ncols=len(kinds), loc="upper center")
        axes.spines[["top", "right"]].set_visible(False)
        figure.tight_layout()
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)


def _label(one: Outcome) -> str:
    """The name, and below it a line or more for each network."""
    lines = [line for part in one.facts.cells.split(", ") for line in textwrap.wrap(part, 24)]
    return "\n".join([one.facts.title, *lines])
