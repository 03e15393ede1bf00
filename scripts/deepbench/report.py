"""Tables and picture of `deepbench.py`."""

from __future__ import annotations

import csv
import math
from dataclasses import asdict
from pathlib import Path

import matplotlib

from scripts.deepbench.points import MACHINES, Point

__all__ = ["csv_table", "markdown", "picture", "summary"]

#: Columns of the Markdown table; those named after a machine hold how much faster than it.
_HEADINGS = (
    "point", "ideal cycles/step", "predicted", "simulated", "differ", "busy", "ms at 1 GHz", "Plasticine", "V100",
    "Brainwave", "Xeon", "fusion", "overlap", "split",
)
_SCHEDULE_HEADINGS = (
    "point", "separate kernels", "fused, no overlap", "fused, X in the tail of H", "fusion", "overlap", "both",
)
_COLORS = {"Xeon": "#b0b0b0", "V100": "#8c6bb1", "Brainwave": "#d1770f", "Plasticine": "#2a8a3e"}
_OURS = "#1f6fb4"


def geometric_mean(values: list[float]) -> float:
    """The n-th root of the product of n values."""
    return math.exp(sum(map(math.log, values)) / len(values))


def summary(points: list[Point]) -> dict[str, float]:
    """Geometric means over all points."""
    means = {
        f"speedup_vs_{machine}": geometric_mean([p.published_ms[machine] / p.latency_ms for p in points])
        for machine in MACHINES
    }
    means["utilisation"] = geometric_mean([p.utilisation for p in points])
    if all(p.schedules for p in points):
        ratios = [_ratios(p) for p in points]
        for index, name in enumerate(("speedup_of_fusion", "speedup_of_overlap", "speedup_of_both")):
            means[name] = geometric_mean([ratio[index] for ratio in ratios])
    return means


def _ratios(point: Point) -> tuple[float, float, float]:
    """What fusion, overlap and both bring in cycles of a step."""
    cycles = {found.schedule: found.cycles_per_step for found in point.schedules}
    fusion, overlap = cycles["blas"] / cycles["sequential"], cycles["sequential"] / cycles["fused"]
    return fusion, overlap, fusion * overlap


def _name(point: Point) -> str:
    return f"{point.cell.upper()} {point.hidden} x {point.steps}"


def _table(headings: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (list(headings), ["---"] * len(headings), *rows)]


def markdown(points: list[Point], means: dict[str, float]) -> str:
    """The tables for people."""
    rows = []
    for p in points:
        ratios = [f"{p.published_ms[m] / p.latency_ms:,.2f}x" for m in ("plasticine", "v100", "brainwave", "xeon")]
        simulated = "-" if p.cycles_simulated is None else f"{p.cycles_simulated:,}"
        rows.append([
            _name(p), f"{p.cycles_ideal / p.steps:.1f}", f"{p.cycles_predicted:,}", simulated,
            "-" if p.mismatches is None else str(p.mismatches), f"{p.utilisation:.1%}", f"{p.latency_ms:.4f}", *ratios,
            *([f"{ratio:.2f}x" for ratio in _ratios(p)[:2]] if p.schedules else ["-", "-"]), p.splits,
        ])
    rows.append([
        "geometric mean", "", "", "", "", f"{means['utilisation']:.1%}", "",
        *(f"{means[f'speedup_vs_{m}']:,.2f}x" for m in ("plasticine", "v100", "brainwave", "xeon")),
        *(f"{means[name]:.2f}x" if name in means else "-" for name in ("speedup_of_fusion", "speedup_of_overlap")), "",
    ])
    lines = [
        "Under the machines: how much faster than its published latency. Fusion and overlap: what each brings, below.",
        "",
        *_table(_HEADINGS, rows),
    ]
    if all(p.schedules for p in points):
        lines += ["", "Cycles of a step once a sequence runs, simulated on the same grid:", ""]
        rows = []
        for p in points:
            cycles = {found.schedule: found.cycles_per_step for found in p.schedules}
            rows.append([
                _name(p), *(f"{cycles[name]:,.1f}" for name in ("blas", "sequential", "fused")),
                *(f"{ratio:.2f}x" for ratio in _ratios(p)),
            ])
        names = ("fusion", "overlap", "both")
        rows.append(["geometric mean", "", "", "", *(f"{means[f'speedup_of_{name}']:.2f}x" for name in names)])
        lines += _table(_SCHEDULE_HEADINGS, rows)
    return "\n".join(lines) + "\n"


def csv_table(points: list[Point], file: Path) -> None:
    """All figures, one row for each point."""
    rows = []
    for p in points:
        row = {name: value for name, value in asdict(p).items() if name not in ("published_ms", "schedules")}
        row |= {f"{machine}_ms": p.published_ms[machine] for machine in MACHINES}
        rows.append(row | {f"cycles_per_step_{found.schedule}": found.cycles_per_step for found in p.schedules})
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def picture(points: list[Point], means: dict[str, float], file: Path) -> None:
    """Latencies of all machines, point by point, on a logarithmic axis; beside it what fusion and overlap bring."""
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "spatial-rnn"
    import matplotlib.pyplot as plt

    both = all(p.schedules for p in points)
    figure, panels = plt.subplots(2 if both else 1, 1, figsize=(11, 7.4 if both else 4.6), squeeze=False)
    axes = panels[0][0]
    width = 0.16
    places = range(len(points))
    for number, (label, color) in enumerate(_COLORS.items()):
        axes.bar([i + (number - 2) * width for i in places], [p.published_ms[label.lower()] for p in points], width,
                 label=f"{label} (published)", color=color)
    axes.bar([i + 2 * width for i in places], [p.latency_ms for p in points], width,
             label="spatial-rnn, cycles at 1 GHz", color=_OURS)
    for place, p in zip(places, points, strict=True):
        axes.annotate(f"{p.speedup_vs_plasticine:.2f}x", (place + 2 * width, p.latency_ms), ha="center", va="bottom",
                      rotation=90, xytext=(0, 2), textcoords="offset points", fontsize=7, color=_OURS)
    axes.set_yscale("log")
    axes.set_ylabel("latency of the sequence, ms")
    axes.set_title(
        "DeepBench inference at batch 1: published latencies and this grid (12,288 8-bit multipliers); "
        f"above its bars: against Plasticine, mean {means['speedup_vs_plasticine']:.2f}x", fontsize=10,
    )
    axes.legend(fontsize=8, ncol=3, frameon=False)
    if both:
        lower = panels[1][0]
        labels = {"blas": "separate kernels", "sequential": "fused", "fused": "fused, X in the tail of H"}
        for number, (schedule, color) in enumerate(zip(labels, ("#b0b0b0", "#7fb2d9", _OURS), strict=True)):
            values = [
                next(s.cycles_per_step for s in p.schedules if s.schedule == schedule) / (p.cycles_ideal / p.steps)
                for p in points
            ]
            lower.bar([i + (number - 1) * 0.25 for i in places], values, 0.25, label=labels[schedule], color=color)
        lower.axhline(1, color="#444444", linewidth=0.8)
        lower.set_ylabel("cycles of a step\n(1: every multiplier busy)")
        lower.legend(fontsize=8, ncol=3, frameon=False)
    for row in panels:
        row[0].set_xticks(places, [f"{p.cell.upper()} {p.hidden}\n{p.steps} steps" for p in points], fontsize=8)
        row[0].spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
