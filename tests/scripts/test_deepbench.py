"""The DeepBench command on a small grid: full-length runs, the other schedules, tables, and that it can fail."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hdl.parameters import load_parameters
from scripts.deepbench.clock import NODES, clock_table, reached_clocks
from scripts.deepbench.points import MACHINES, Point, ScheduleCycles, published, run_point
from scripts.deepbench.report import csv_table, markdown, picture, summary
from scripts.timing import LIBRARIES
from sim_tests.host.grid_build import build_grid

#: Cell, hidden size, steps: sizes that do not divide evenly on a 2 x 2 grid with 8 lanes.
POINTS = (("lstm", "21", "7"), ("gru", "34", "1"))


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> list[Point]:
    parameters = load_parameters("small")
    build = build_grid(parameters, "verilator")
    latencies = {f"{machine}_ms": "0.01" for machine in MACHINES}
    return [
        run_point(
            {"cell": cell, "hidden": hidden, "steps": steps} | latencies, parameters, build,
            tmp_path_factory.mktemp(cell), lambda line: None,
        )
        for cell, hidden, steps in POINTS
    ]


def test_bits_and_cycles_are_exact_under_every_schedule(points: list[Point]) -> None:
    for point in points:
        assert point.cycles_simulated == point.cycles_predicted
        assert point.mismatches == 0
        assert point.exact
        assert [found.schedule for found in point.schedules] == ["fused", "sequential", "blas"]
        fused, sequential, blas = (found.cycles_per_step for found in point.schedules)
        assert fused < sequential < blas


def test_ideal_and_ratios_by_hand(points: list[Point]) -> None:
    cycles = points[0].cycles_simulated
    assert cycles is not None
    # Four gates of 21 units on 21 inputs and 21 values of the state, seven steps, 32 multipliers.
    assert points[0].cycles_ideal == 7 * 4 * 21 * (21 + 21) / 32
    # The first step's state is zero, and its products are left out.
    assert points[0].utilisation == pytest.approx((7 * 4 * 21 * 42 - 4 * 21 * 21) / 32 / cycles)
    assert points[0].speedup_vs_plasticine == pytest.approx(0.01e-3 / (cycles * 1e-9))


def test_a_difference_is_seen(points: list[Point]) -> None:
    point = points[0]
    assert point.cycles_simulated is not None
    wrong = ScheduleCycles("blas", 1.0, mismatches=0, unpredicted=1)
    assert not replace(point, cycles_simulated=point.cycles_simulated + 1).exact
    assert not replace(point, mismatches=1).exact
    assert not replace(point, schedules=(*point.schedules[:2], wrong)).exact


def test_tables_and_picture(points: list[Point], tmp_path: Path) -> None:
    means = summary(points)
    ratio = points[0].schedules[2].cycles_per_step / points[0].schedules[0].cycles_per_step
    other = points[1].schedules[2].cycles_per_step / points[1].schedules[0].cycles_per_step
    assert means["speedup_of_both"] == pytest.approx((ratio * other) ** 0.5)
    text = markdown(points, means)
    assert f"| {points[0].cycles_simulated:,} | 0 |" in text
    assert f"{means['speedup_of_fusion']:.2f}x" in text
    csv_table(points, tmp_path / "points.csv")
    assert len((tmp_path / "points.csv").read_text().splitlines()) == 1 + len(points)
    picture(points, means, tmp_path / "points.svg")
    assert (tmp_path / "points.svg").stat().st_size > 10_000


def test_all_published_points_are_there() -> None:
    rows = published()
    assert len(rows) == 10
    assert sum(row["cell"] == "gru" for row in rows) == 5
    assert all(float(row[f"{machine}_ms"]) > 0 for row in rows for machine in MACHINES)


def test_clocks_scale_with_the_node(tmp_path: Path) -> None:
    """A site of 10 ns at 130 nm is one of 2.15 ns at 28 nm: 464 MHz, and a grid of equal cycles is 0.464 as fast."""
    recorded = tmp_path / "timing.json"
    rows = [{"library": "sky130", "module": module, "period_ns": 10.0} for module in ("srnn_site", "srnn_pcu")]
    recorded.write_text(json.dumps({"modules": rows}))
    (found,) = reached_clocks(2.0, recorded)
    assert (found.mhz, round(found.mhz_at_28_nm), round(found.speedup_vs_plasticine, 2)) == (100.0, 464, 0.93)
    assert "| sky130 (130 nm) | 10.00 | 100 | 4.64 | 464 | 0.93x |" in clock_table([found])
    assert {*NODES} == {*LIBRARIES}
