"""Tables and pictures of the scaling study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scripts.output import drawing, markdown_table, without_frame, write_csv

__all__ = ["write_report"]

_COLORS = {"lstm": "#1f6fb4", "gru": "#d1770f"}


def write_report(result: dict[str, Any], output: Path) -> None:
    """Write scaling.csv, scaling.md, scaling_sites.svg and scaling_hidden.svg."""
    (output / "scaling.md").write_text(markdown(result), encoding="utf-8")
    write_csv(output / "scaling.csv", result["grids"])
    _sites_picture(result, output / "scaling_sites.svg")
    _hidden_picture(result["hidden_sizes"], output / "scaling_hidden.svg")


def markdown(result: dict[str, Any]) -> str:
    """Both tables; of the hidden sizes only every eighth and the extremes."""
    first = result["grids"][0]["cycles_per_step"]
    grids = [[
        f"{grid['sites']} ({grid['rows']} x {grid['cols']})", f"{grid['cycles_per_step']:,.1f}",
        f"{first / grid['cycles_per_step']:.1f}x", f"{grid['verilog_bytes'] / 1e3:,.0f}", str(grid["modules"]),
        f"{grid['generate_seconds']:.1f}", f"{grid['build_seconds']:.0f}",
        f"{grid['simulated_cycles_per_second']:,.0f}",
    ] for grid in result["grids"]]
    sizes = result["hidden_sizes"]
    # The first and the last of each cell, and multiples of 256.
    shown = [
        size for place, size in enumerate(sizes)
        if place in (0, len(sizes) - 1) or size["cell"] != sizes[place + 1]["cell"] or size["hidden"] % 256 == 0
    ]
    lines = [
        f"# Scaling (`{result['command']}`, commit {result['commit']}, {result['processors']} processors)",
        "",
        f"{result['model']} on grids of {result['lanes']} lanes a site; cycles simulated, outputs equal to the "
        "reference. Times are those of a shared machine.",
        "",
        *markdown_table(
            ("sites", "cycles a step", "against one site", "Verilog, kB", "modules", "generated in, s",
             "Verilator build, s", "cycles simulated a second"), grids,
        ),
        "",
        "Hidden sizes on the 16 x 12 grid (input size the same, 25 steps from a kept state, predicted):",
        "",
        *markdown_table(("cell", "hidden", "cycles a step", "every multiplier busy", "busy"), [[
            size["cell"].upper(), str(size["hidden"]), f"{size['cycles_per_step']:,.1f}",
            f"{size['ideal_cycles_per_step']:,.1f}", f"{size['utilisation']:.1%}",
        ] for size in shown]),
    ]
    return "\n".join(lines) + "\n"


def _sites_picture(result: dict[str, Any], file: Path) -> None:
    grids = result["grids"]
    sites = [grid["sites"] for grid in grids]
    per_step = [grid["cycles_per_step"] for grid in grids]
    with drawing(file, 1, 2, figsize=(11, 4.2)) as (_, (cycles, costs)):
        cycles.plot(sites, per_step, "o-", color=_COLORS["lstm"], label="simulated")
        cycles.plot(sites, [per_step[0] / count for count in sites], "--", color="#888888", label="one site, divided")
        cycles.set_ylabel("cycles a step")
        cycles.set_title(f"{result['model']}: cycles against sites", fontsize=11)
        for key, label, color in (
            ("verilog_bytes", "Verilog bytes", "#2a8a3e"), ("generate_seconds", "generation time", "#8c6bb1"),
            ("build_seconds", "Verilator build time", "#d1770f"),
        ):
            costs.plot(sites, [grid[key] / grids[0][key] for grid in grids], "o-", label=label, color=color)
        slowdown = [grids[0]["simulated_cycles_per_second"] / grid["simulated_cycles_per_second"] for grid in grids]
        costs.plot(sites, slowdown, "o-", label="time of a simulated cycle", color=_COLORS["lstm"])
        costs.plot(sites, sites, "--", color="#888888", label="as the sites")
        costs.set_ylabel("against one site")
        costs.set_title("Costs of making and simulating a grid", fontsize=11)
        for axes in (cycles, costs):
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_xticks(sites, [str(count) for count in sites])
            axes.set_xlabel(f"sites of {result['lanes']} lanes")
            axes.legend(fontsize=8, frameon=False)
        without_frame(cycles, costs)


def _hidden_picture(found: list[dict[str, Any]], file: Path) -> None:
    with drawing(file, 2, 1, figsize=(11, 6), sharex=True) as (_, (cycles, busy)):
        for cell, color in _COLORS.items():
            sizes = [size for size in found if size["cell"] == cell]
            hidden = [size["hidden"] for size in sizes]
            cycles.plot(hidden, [size["cycles_per_step"] for size in sizes], color=color, label=cell.upper())
            cycles.plot(hidden, [size["ideal_cycles_per_step"] for size in sizes], "--", color=color, linewidth=0.8)
            busy.plot(hidden, [size["utilisation"] for size in sizes], color=color, label=cell.upper())
        cycles.set_yscale("log")
        cycles.set_ylabel("cycles a step\n(dashed: every multiplier busy)")
        busy.set_ylabel("multipliers busy with the model")
        busy.set_ylim(0, 1)
        busy.set_xlabel("hidden size = input size")
        cycles.set_title(
            "Fragmentation on the 16 x 12 grid of 64 lanes: a size wastes what it does not fill", fontsize=11
        )
        for axes in (cycles, busy):
            axes.legend(fontsize=8, frameon=False)
        without_frame(cycles, busy)
