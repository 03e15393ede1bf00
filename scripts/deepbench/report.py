"""Tables and picture of the DeepBench points."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from scripts.deepbench.points import MACHINES, Point
from scripts.output import drawing, geometric_mean, markdown_table, without_frame, write_csv

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
    """Speedup of a step by fusion, by overlap and by both."""
    cycles = {found.schedule: found.cycles_per_step for found in point.schedules}
    fusion, overlap = cycles["blas"] / cycles["sequential"], cycles["sequential"] / cycles["fused"]
    return fusion, overlap, fusion * overlap


def _name(point: Point) -> str:
    return f"{point.cell.upper()} {point.hidden} x {point.steps}"


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
        *markdown_table(_HEADINGS, rows, " --- "),
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
        lines += markdown_table(_SCHEDULE_HEADINGS, rows, " --- ")
    return "\n".join(lines) + "\n"


def csv_table(points: list[Point], file: Path) -> None:
    """All figures, one row for each point."""
    rows = []
    for p in points:
        row = {name: value for name, value in asdict(p).items() if name not in ("published_ms", "schedules")}
        row |= {f"{machine}_ms": p.published_ms[machine] for machine in MACHINES}
        rows.append(row | {f"cycles_per_step_{found.schedule}": found.cycles_per_step for found in p.schedules})
    write_csv(file, rows)


def picture(points: list[Point], means: dict[str, float], file: Path) -> None:
    """Latencies of all machines point by point on a logarithmic axis; below them cycles of a step by schedule."""
    both = all(p.schedules for p in points)
    with drawing(file, 2 if both else 1, 1, figsize=(11, 7.4 if both else 4.6), squeeze=False) as (_, panels):
        _draw_latencies(panels[0][0], points, means)
        if both:
            _draw_schedules(panels[1][0], points)
        for (axes,) in panels:
            axes.set_xticks(
                range(len(points)), [f"{p.cell.upper()} {p.hidden}\n{p.steps} steps" for p in points], fontsize=8
            )
            without_frame(axes)


def _draw_latencies(axes: Any, points: list[Point], means: dict[str, float]) -> None:
    width, places = 0.16, range(len(points))
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


def _draw_schedules(axes: Any, points: list[Point]) -> None:
    labels = {"blas": "separate kernels", "sequential": "fused", "fused": "fused, X in the tail of H"}
    for number, (schedule, color) in enumerate(zip(labels, ("#b0b0b0", "#7fb2d9", _OURS), strict=True)):
        values = [
            next(s.cycles_per_step for s in p.schedules if s.schedule == schedule) / (p.cycles_ideal / p.steps)
            for p in points
        ]
        places = [place + (number - 1) * 0.25 for place in range(len(points))]
        axes.bar(places, values, 0.25, label=labels[schedule], color=color)
    axes.axhline(1, color="#444444", linewidth=0.8)
    axes.set_ylabel("cycles of a step\n(1: every multiplier busy)")
    axes.legend(fontsize=8, ncol=3, frameon=False)
