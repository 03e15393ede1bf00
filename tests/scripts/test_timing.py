"""Clocks do not fall behind what is recorded in results/timing.json."""

import json
from pathlib import Path

import pytest

from scripts.provenance import ROOT
from scripts.timing import CLOCKS, GOALS, GRIDS, best_clocks, clocks_of, draw, measure_grid, measure_modules, tables

RECORDED = json.loads((ROOT / "results" / "timing.json").read_text(encoding="utf-8"))


#: The site holds everything between its memories; the others are not in it.
MODULES = ("srnn_site", "srnn_image_loader", "srnn_output_stream", "srnn_controller")


@pytest.mark.parametrize(("library", "modules"), [("sky130", MODULES), ("osu018", MODULES[:1])])
def test_modules_are_within_their_goal(library: str, modules: tuple[str, ...]) -> None:
    ratios = {row["module"]: row["ratio"] for row in measure_modules(library, modules)[1:]}
    assert {*ratios} == {*modules}
    assert max(ratios.values()) <= GOALS[library]


def test_the_small_grid_reaches_its_recorded_clock() -> None:
    """The best of three seeds is no more than 10 % below the record."""
    found = best_clocks(measure_grid(GRIDS[0]))[GRIDS[0]]
    assert found >= 0.9 * best_clocks(RECORDED["grids"])[GRIDS[0]]


def test_the_record_is_shown(tmp_path: Path) -> None:
    text = tables(RECORDED)
    assert all(row["module"] in text for row in RECORDED["modules"])
    draw(RECORDED, tmp_path / "clocks.svg")
    assert (tmp_path / "clocks.svg").stat().st_size > 10_000


def test_explore_uses_the_recorded_clocks() -> None:
    assert json.loads(CLOCKS.read_text(encoding="utf-8")) == clocks_of(RECORDED)
