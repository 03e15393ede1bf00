"""The recorded responses are those of the present mapper, exact in RTL, and within the goals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.provenance import ROOT
from scripts.response import Point, draw, run_point, stacks, table_rows

RECORDED = json.loads((ROOT / "results" / "response.json").read_text(encoding="utf-8"))
#: Cycles by layers and hidden units, from a kept state.
GOALS = {(2, 128): 140, (3, 256): 280, (3, 480): 420, (6, 320): 580, (3, 960): 1110}


def test_the_record_is_exact_and_within_the_goals() -> None:
    for point in RECORDED["points"]:
        assert point["cycles_simulated"] == point["cycles_predicted"], point["name"]
        assert (point["mismatches"], point["steps"] >= 50) == (0, True), point["name"]
    found = {(one["layers"], one["hidden"]): one["cycles_predicted"] for one in RECORDED["points"]}
    assert all(found[size] <= goal for size, goal in GOALS.items())


@pytest.mark.parametrize("size", [(2, 128), (6, 320)])
def test_the_mapper_gives_the_recorded_responses(size: tuple[int, int], tmp_path: Path) -> None:
    job = next(job for job in stacks() if (job.layers, job.hidden) == size)
    point = run_point(job, None, tmp_path, lambda line: None)
    recorded = next(one for one in RECORDED["points"] if one["name"] == job.name)
    for name in ("cycles_predicted", "cycles_limit", "shortest_gap", "cycles_fused"):
        assert getattr(point, name) == recorded[name], name
    assert point.cycles_limit <= point.cycles_predicted < point.cycles_fused


def test_the_record_is_shown(tmp_path: Path) -> None:
    points = [Point(**one) for one in RECORDED["points"]]
    assert [row[0] for row in table_rows(points)] == [one.name for one in points]
    draw(points, tmp_path / "response.svg")
    assert (tmp_path / "response.svg").stat().st_size > 5_000
