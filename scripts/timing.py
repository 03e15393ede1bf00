"""The clocks of the generated Verilog: modules in libraries of standard cells, whole grids placed and routed.

    .venv/bin/python -m scripts.timing        # make timing, about half an hour

Writes timing.json, .md and .svg, and the clocks of the grids for `spatial-rnn explore` and `fit`
(rnn_mapper/explore/data/clock_ecp5.json). What is not measured again (`--grid`, `--no-modules`) stays as recorded.
"""

from __future__ import annotations

import json
import tempfile
from collections import abc
from collections.abc import Container, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from hdl.output.package import make_package
from hdl.parameters import GridParameters, load_parameters
from hdl.synthesis.place_and_route import place_and_route
from hdl.synthesis.timing import grid_timing
from scripts.output import drawing, markdown_table, output_option, progress_lines, run_script, without_frame, write_json
from scripts.provenance import ROOT, commit

#: Libraries by name: sky130 at its typical corner (SkyWater PDK, Apache-2.0), and OSU's for TSMC 0.18 um, which set-up
#: installs with qflow.
LIBRARIES = {
    "sky130": ROOT / "docs" / "data" / "sky130_fd_sc_hd__tt_025C_1v80.lib.gz",
    "osu018": Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib"),
}
PRESET = "paper"
TARGET = "ecp5"
#: Another device, with the preset that is made for it; its multipliers are in blocks until there are no more.
SMALLEST, SMALLEST_PRESET = "ice40up5k", "up5k"
#: Grids on the target by rows, columns and lanes, with the memories of the preset `small`; the first is that of CI.
SHAPES = ("1x1x4", "1x1x8", "1x1x32", "2x1x16", "2x2x8", "4x1x32")
GRIDS = (*SHAPES, SMALLEST)
#: Of grids as large as those of CI and up to this number of multipliers three seeds, of larger ones two.
SEEDS = (1, 2, 3)
_FEW_SEEDS, _LARGE = (1, 2), 32
#: Seconds within which a seed is routed, or counts as none.
_PATIENCE = 900
#: Most that a module's period may be over that of the bare dot product, by library.
GOALS = {"sky130": 1.10, "osu018": 1.15}
TIMING = "timing.json"
CLOCKS = ROOT / "rnn_mapper" / "explore" / "data" / f"clock_{TARGET}.json"


def grid(name: str) -> GridParameters:
    """The grid of a shape such as 1x1x8, or of the smallest device."""
    if name == SMALLEST:
        return load_parameters(SMALLEST_PRESET)
    rows, cols, lanes = map(int, name.split("x"))
    return replace(load_parameters("small"), rows=rows, cols=cols, lanes=lanes)


def measure_modules(library: str, only: Container[str] | None = None) -> list[dict[str, Any]]:
    """Periods of the modules of the preset (of `only` these); the first is the bare dot product."""
    with tempfile.TemporaryDirectory(prefix="srnn_timing_") as name:
        folder = Path(name) / "grid"
        make_package(load_parameters(PRESET)).write(folder)
        report = grid_timing(folder, LIBRARIES[library], lambda what, done, total: None, only=only)
    return [
        {
            "library": library, "preset": PRESET, "module": module.name, "period_ns": round(module.period_ns, 3),
            "area": round(module.area, 1), "ratio": round(module.period_ns / report.reference.period_ns, 3),
            "from": module.begins, "to": module.ends,
        }
        for module in (report.reference, *report.modules)
    ]


def measure_grid(name: str) -> list[dict[str, Any]]:
    """One of `GRIDS` with each seed."""
    parameters = grid(name)
    target, multipliers = (SMALLEST, "mixed") if name == SMALLEST else (TARGET, "dsp")
    with tempfile.TemporaryDirectory(prefix="srnn_timing_") as place:
        folder, work = Path(place) / "grid", Path(place) / "work"
        make_package(parameters).write(folder)
        work.mkdir()
        seeds = SEEDS if parameters.multipliers < _LARGE else _FEW_SEEDS
        placed = place_and_route(folder, target, seeds, lambda what, done, total: None, folder=work, jobs=2,
                                 multipliers=multipliers, timeout=_PATIENCE)
    return [
        {
            "target": target, "rows": parameters.rows, "cols": parameters.cols, "lanes": parameters.lanes,
            "seed": one.seed, "fmax_mhz": round(one.fmax_mhz, 2), **one.used,
            "path": [step.component for step in one.path],
        }
        for one in placed
    ]


def clocks_of(found: abc.Mapping[str, Any]) -> dict[str, Any]:
    """What `rnn_mapper.explore.clocks` reads: the commit, and the sizes and clocks of the grids."""
    names = ("rows", "cols", "lanes", "seed", "fmax_mhz")
    return {
        "command": found["command"], "commit": found["commit"], "target": TARGET,
        "grids": [{name: row[name] for name in names} for row in found["grids"] if row["target"] == TARGET],
    }


def name_of(row: abc.Mapping[str, Any]) -> str:
    """Which of `GRIDS` a recorded grid is."""
    return f"{row['rows']}x{row['cols']}x{row['lanes']}" if row["target"] == TARGET else str(row["target"])


def best_clocks(grids: Sequence[abc.Mapping[str, Any]]) -> dict[str, float]:
    """The best of all seeds, in MHz, by the names of the grids."""
    best: dict[str, float] = {}
    for row in grids:
        best[name_of(row)] = max(best.get(name_of(row), 0.0), row["fmax_mhz"])
    return best


def tables(found: abc.Mapping[str, Any]) -> str:
    """The recorded figures as Markdown."""
    modules: dict[str, dict[str, Any]] = {}
    for row in found["modules"]:
        modules.setdefault(row["module"], {})[row["library"]] = row
    lines = [
        f"# Clocks ({found['commit']})", "",
        f"Modules of `{PRESET}`: period, and ratio to the bare dot product.", "",
    ]
    lines += markdown_table(
        ["module", *(f"{library}, ns" for library in LIBRARIES), *(f"{library}, ratio" for library in LIBRARIES)],
        [
            [name, *(f"{rows[library]['period_ns']:.2f}" for library in LIBRARIES),
             *(f"{rows[library]['ratio']:.2f}" for library in LIBRARIES)]
            for name, rows in modules.items()
        ],
    )
    lines += ["", f"Whole grids on `{TARGET}`, and the preset `{SMALLEST_PRESET}` on `{SMALLEST}`, placed and routed "
              "out of context.", ""]
    lines += markdown_table(
        ["grid", "seed", "MHz", "LUT", "FF", "DSP", "EBR"],
        [
            [name_of(row), str(row["seed"]), f"{row['fmax_mhz']:.1f}", *(f"{row.get(kind, 0):,}" for kind in
             ("lut", "ff", "dsp", "ebr"))]
            for row in found["grids"]
        ],
    )
    return "\n".join(lines) + "\n"


def draw(found: abc.Mapping[str, Any], path: Path) -> None:
    """Ratios of the modules, with their goals, beside the clocks of the grids."""
    with drawing(path, 1, 2, figsize=(11, 4.5)) as (_, (left, right)):
        names = list(dict.fromkeys(row["module"] for row in found["modules"]))
        for index, library in enumerate(LIBRARIES):
            ratios = {row["module"]: row["ratio"] for row in found["modules"] if row["library"] == library}
            left.barh([place + 0.38 * index for place in range(len(names))], [ratios[name] for name in names], 0.36,
                      label=f"{library} (goal {GOALS[library]:.2f})", color=f"C{index}")
            left.axvline(GOALS[library], color=f"C{index}", linestyle=":", linewidth=1)
        left.set_yticks([place + 0.19 for place in range(len(names))], [name.removeprefix("srnn_") for name in names])
        left.invert_yaxis()
        left.set_xlabel("longest path / that of a bare dot product")
        left.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
        shapes = list(best_clocks(found["grids"]))
        for row in found["grids"]:
            right.plot(shapes.index(name_of(row)), row["fmax_mhz"], "o", color="C2")
        right.set_xticks(range(len(shapes)), shapes)
        right.set_ylim(0, 1.1 * max(row["fmax_mhz"] for row in found["grids"]))
        right.set_ylabel(f"{TARGET} if not named: MHz, each seed")
        without_frame(left, right)


@click.command()
@output_option
@click.option("--modules/--no-modules", default=True, show_default=True, help="Measure the modules.")
@click.option("--grid", "names", multiple=True, type=click.Choice(GRIDS), help="Grids to route; default: all.")
def main(output: Path, modules: bool, names: tuple[str, ...]) -> None:
    """Measure the clocks, and write the tables and the picture."""
    say = progress_lines(Console())
    path = output / TIMING
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"modules": [], "grids": []}
    found |= {"command": "make timing", "commit": commit()}
    if modules:
        found["modules"] = []
        for library in LIBRARIES:
            found["modules"] += measure_modules(library)
            worst = max(found["modules"], key=lambda row: (row["library"] == library, row["ratio"]))
            say(f"{library}: at most {worst['ratio']:.2f} of the bare dot product ({worst['module']})")
    for name in names or GRIDS:
        placed = measure_grid(name)
        kept = [row for row in found["grids"] if name_of(row) != name]
        found["grids"] = sorted([*kept, *placed], key=lambda row: (GRIDS.index(name_of(row)), row["seed"]))
        say(f"{name}: {max(row['fmax_mhz'] for row in placed):.1f} MHz")
        # A large grid takes long: what was measured before it is not lost with it.
        write_json(path, found)
        write_json(CLOCKS, clocks_of(found))
    (output / "timing.md").write_text(tables(found), encoding="utf-8")
    draw(found, output / "timing.svg")
    say(f"wrote {path}, timing.md, timing.svg and {CLOCKS}")


if __name__ == "__main__":
    run_script(main)
