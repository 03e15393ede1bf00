"""Draws the block diagram of a grid, docs/images/grid.svg.

    .venv/bin/python -m scripts.draw_grid
"""

from __future__ import annotations

import click
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch

from scripts.output import run_script
from scripts.provenance import ROOT

OUTPUT = ROOT / "docs" / "images" / "grid.svg"
ROWS, COLS = 4, 4
WRITE, PARTIAL, RESULT, HOST = "#1f6fb4", "#d1770f", "#2a8a3e", "#555555"
PITCH_X, PITCH_Y, SITE_W, SITE_H = 2.6, 1.9, 2.0, 1.3


def box(axes: Axes, x: float, y: float, width: float, height: float, text: str, color: str, size: float = 9) -> None:
    """A rounded box with a text in its middle."""
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0.02,rounding_size=0.08",
                                  facecolor=color, edgecolor="#333333", linewidth=0.9))
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=size)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], color: str, width: float = 1.6) -> None:
    """A straight arrow."""
    axes.annotate("", xy=end, xytext=start,
                  arrowprops={"arrowstyle": "-|>", "color": color, "lw": width, "shrinkA": 0, "shrinkB": 0})


def draw_site(axes: Axes, row: int, col: int) -> None:
    """A site with its two units, and its links to the eastern neighbour."""
    x, y = 4.6 + col * PITCH_X, (ROWS - 1 - row) * PITCH_Y
    axes.add_patch(FancyBboxPatch((x, y), SITE_W, SITE_H, boxstyle="round,pad=0.02,rounding_size=0.08",
                                  facecolor="#f7f7f4", edgecolor="#999999", linewidth=0.8))
    box(axes, x + 0.08, y + 0.16, 0.82, 0.98, "PMU\nweights\nvector", "#dbe9f6", 7)
    box(axes, x + 1.1, y + 0.16, 0.82, 0.98, "PCU\nlanes\nepilogue", "#fbe5cf", 7)
    arrow(axes, (x + 0.92, y + 0.65), (x + 1.08, y + 0.65), "#000000", 2.6)
    if col < COLS - 1:
        east = x + PITCH_X
        arrow(axes, (x + SITE_W, y + 1.12), (east, y + 1.12), WRITE)
        arrow(axes, (x + SITE_W, y + 0.65), (east, y + 0.65), PARTIAL)
        arrow(axes, (east, y + 0.18), (x + SITE_W, y + 0.18), RESULT)


@click.command()
def main() -> None:
    """Draw and save."""
    figure, axes = plt.subplots(figsize=(12, 6.9))
    height = (ROWS - 1) * PITCH_Y + SITE_H
    box(axes, 2.55, 0.9, 0.75, height - 0.9, "distri-\nbutor", "#dbe9f6")
    box(axes, 2.55, -0.15, 0.75, 0.75, "collec-\ntor", "#d9efdd", 8)
    box(axes, 0.0, height - 1.0, 1.75, 1.0, "controller\nschedule ROM", "#ece4f5")
    box(axes, 0.0, height - 2.3, 1.75, 0.9, "registers", "#eeeeee")
    box(axes, 0.0, height - 3.6, 1.75, 0.9, "input stream", "#eeeeee")
    box(axes, 0.0, -0.15, 1.75, 0.75, "output buffer", "#eeeeee")
    for row in range(ROWS):
        for col in range(COLS):
            draw_site(axes, row, col)
        y = (ROWS - 1 - row) * PITCH_Y
        arrow(axes, (3.3, y + 1.12), (4.6, y + 1.12), WRITE)
        # Results of all rows come down a common column to the collector.
        axes.plot([4.6, 3.9], [y + 0.18, y + 0.18], color=RESULT, lw=1.6)
    axes.plot([3.9, 3.9], [(ROWS - 1) * PITCH_Y + 0.18, 0.18], color=RESULT, lw=1.6)
    arrow(axes, (3.9, 0.18), (3.3, 0.18), RESULT)
    arrow(axes, (2.93, 0.6), (2.93, 0.9), WRITE)
    arrow(axes, (2.55, 0.18), (1.75, 0.18), RESULT)
    arrow(axes, (1.75, height - 0.5), (2.55, height - 0.5), WRITE)
    arrow(axes, (1.75, height - 3.15), (2.55, height - 3.15), WRITE)
    for y, label, outward in ((height - 1.85, "AXI4-Lite", False), (height - 3.15, "AXI4-Stream", False),
                              (0.22, "AXI4-Stream", True)):
        start, end = ((0.0, y), (-1.3, y)) if outward else ((-1.3, y), (0.0, y))
        arrow(axes, start, end, HOST)
        axes.text(-0.68, y + 0.12, label, ha="center", fontsize=8, color=HOST)
    legend = [
        Line2D([], [], color=WRITE, lw=2, label="write stream: vectors, memory words, phase tokens"),
        Line2D([], [], color=PARTIAL, lw=2, label="partial sums, 1 a cycle"),
        Line2D([], [], color=RESULT, lw=2, label="results, 16 bits"),
        Line2D([], [], color="black", lw=3, label="operands: lanes weights and values a cycle"),
    ]
    axes.legend(handles=legend, loc="lower center", bbox_to_anchor=(0.5, -0.1), ncol=4, frameon=False, fontsize=8.5)
    axes.set_xlim(-1.4, 4.6 + COLS * PITCH_X - 0.4)
    axes.set_ylim(-0.45, height + 0.15)
    axes.axis("off")
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    matplotlib.rcParams["svg.hashsalt"] = "spatial-rnn"
    figure.savefig(OUTPUT, bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    run_script(main)
