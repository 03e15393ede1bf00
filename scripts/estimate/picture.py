"""Picture of the estimate: area and power by part at the low, typical and high ends."""

from __future__ import annotations

from pathlib import Path

from hdl.parameters import GridParameters
from scripts.estimate.constants import Bound
from scripts.estimate.model import Module, area
from scripts.estimate.point import Point
from scripts.estimate.published import SEED
from scripts.output import drawing, without_frame

__all__ = ["picture"]

#: Related parts have one colour in both halves.
COLORS = {
    "weight memories": "#1f6fb4", "vector and output memories": "#5aa9e6", "vector memories": "#5aa9e6",
    "other memories": "#a9cfee", "multipliers and adder trees": "#d1770f", "multiplications": "#d1770f",
    "epilogue": "#2a8a3e", "epilogue and control": "#2a8a3e", "control": "#9ccf8a", "operand wires": "#8c6bb1",
    "links": "#c7a9df", "clock and registers": "#7a7a7a", "chip overhead": "#d0d0d0", "leakage": "#d0d0d0",
}


def picture(chosen: Point, modules: list[Module], p: GridParameters, file: Path) -> None:
    """Draw stacked bars; the power is of one point."""
    areas = [area(modules, bound).parts for bound in Bound]
    powers = [
        {part: joules / chosen.seconds for part, joules in chosen.joules_by_part(modules, p, bound).items()}
        for bound in Bound
    ]
    with drawing(file, 1, 2, figsize=(11, 5.2)) as (_, (left, right)):
        for axes, stacks, unit in ((left, areas, "mm2"), (right, powers, "W")):
            bottom = [0.0] * len(stacks)
            for part in stacks[0]:
                heights = [stack[part] for stack in stacks]
                axes.bar([b.value for b in Bound], heights, 0.6, bottom=bottom, label=part, color=COLORS[part])
                bottom = [a + b for a, b in zip(bottom, heights, strict=True)]
            for place, total in enumerate(bottom):
                axes.text(place, total, f"{total:.0f}", ha="center", va="bottom")
            axes.set_ylabel(unit)
        without_frame(left, right)
        assert SEED.area_mm2
        left.axhline(SEED.area_mm2, color="#555555", linestyle="--", linewidth=1)
        left.text(-0.3, SEED.area_mm2, "Plasticine, published", va="bottom", fontsize=8, color="#555555")
        left.set_title("Area at 28 nm (estimate)", fontsize=11)
        right.set_title(f"Power at 1 GHz, {chosen.name} (estimate)", fontsize=11)
        left.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(0.0, 0.72))
        right.legend(fontsize=8, frameon=False, loc="upper left")
