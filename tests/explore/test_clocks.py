"""The clocks by which grids are compared: the fit, its stated error, and what explore and fit do with them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hdl.parameters import GridParameters, load_parameters
from rnn_mapper import cells
from rnn_mapper.explore.clocks import ClockModel, clock_model
from rnn_mapper.explore.devices import device
from rnn_mapper.explore.fit import account_of, clock_on, relative_time
from rnn_mapper.explore.requests import parse_budget, parse_model
from rnn_mapper.explore.runner import run_jobs
from rnn_mapper.explore.search import Design, Request, combine, jobs_of, pareto_front
from tests.support.cli_runner import refusal, spatial_rnn
from tests.support.random_networks import random_network


def model_of(clocks: dict[tuple[int, int, int], float]) -> ClockModel:
    grids = [
        {"rows": rows, "cols": cols, "lanes": lanes, "seed": seed, "fmax_mhz": mhz - 5 * (seed - 1)}
        for (rows, cols, lanes), mhz in clocks.items() for seed in (1, 2)
    ]
    return ClockModel({"commit": "abc", "grids": grids})


def test_periods_that_grow_by_the_rule_are_found_exactly() -> None:
    """8 + log2(lanes) + 2 log2(sites) nanoseconds, of the best seed."""
    sizes = [(1, 1, 4), (1, 1, 8), (2, 2, 8), (4, 1, 32), (1, 2, 16)]

    def period(rows: int, cols: int, lanes: int) -> float:
        return 8 + (lanes.bit_length() - 1) + 2 * ((rows * cols).bit_length() - 1)

    model = model_of({size: 1e3 / period(*size) for size in sizes})
    assert model.largest_error < 1e-9
    assert model.megahertz(GridParameters(8, 2, 64)) == pytest.approx(1e3 / period(8, 2, 64))


def test_the_error_is_that_of_grids_left_out() -> None:
    """One grid of six is twice as fast as the rule; left out, it is estimated at about half its clock."""
    sizes = [(1, 1, 4), (1, 1, 8), (1, 1, 16), (2, 1, 8), (2, 2, 8), (4, 2, 16)]
    model = model_of({size: 200.0 if size == (4, 2, 16) else 100.0 for size in sizes})
    assert model.largest_error >= 0.45
    assert model.mean_error < model.largest_error
    assert f"{model.largest_error:.0%}" in model.text


def found_designs(request: Request) -> list[Design]:
    return combine(request, run_jobs(jobs_of(request), 1, None))


def test_an_fpga_is_searched_by_time() -> None:
    """The score is the time at the estimated clock; the grids have registers behind their block RAMs."""
    models = (parse_model("gru:24"),)
    request = Request(models, parse_budget(["LFE5U-85F"]), (1, 2), (1, 2), (4, 8))
    model = clock_model("ecp5")
    assert model is not None
    designs = found_designs(request)
    assert len(designs) >= 8
    for design in designs:
        assert design.parameters.memory_registers == 1
        assert design.clock_mhz == model.megahertz(design.parameters)
        assert design.score == pytest.approx(design.found[0].cycles / design.clock_mhz)
    best = pareto_front(designs, lambda item: item.area(request.budget))[0]
    assert best.score == min(design.score for design in designs)
    cycles = found_designs(replace(request, one_clock=True))
    assert all(design.clock_mhz is None and design.score == design.found[0].cycles for design in cycles)


def test_multipliers_without_a_block_go_to_logic() -> None:
    budget = parse_budget(["LFE5U-25F"])
    chosen = device("LFE5U-25F")
    placed = budget.placed({"lut": 10_000.0, "dsp": chosen.dsp + 10.0})
    assert placed == {"lut": 10_000 + 10 * chosen.product_lut, "dsp": chosen.dsp}
    few = {"lut": 10_000.0, "dsp": 3.0}
    assert budget.placed(few) == few
    many = {"lut": 10_000.0, "dsp": 1_000.0}
    assert parse_budget(["XC7A35T"]).placed(many) == many


def test_fit_states_the_clock_of_the_family() -> None:
    smallest = account_of([random_network(1, cells.gru, 16, (24,))]).smallest
    assert smallest is not None
    assert smallest.parameters.memory_registers == 1
    ecp5 = device("LFE5U-85F")
    # Of equally many multipliers and cycles, the one site with a longer tree is the faster.
    assert relative_time(GridParameters(1, 1, 16), 1000) < relative_time(GridParameters(4, 1, 4), 1000)
    assert clock_on(ecp5, load_parameters("tiny")) is not None
    assert clock_on(ecp5, replace(load_parameters("tiny"), memory_registers=0)) is None
    assert clock_on(device("XC7A35T"), load_parameters("tiny")) is None


def test_explore_prints_times_and_routes(tmp_path: Path) -> None:
    """The fastest grid of a narrow search is placed and routed, with its measured clock beside the estimate."""
    done = spatial_rnn(
        "explore", "--model", "gru:8", "--budget", "LFE5U-25F", "--rows", 1, "--cols", 1, "--lanes", 4, "--top", 1,
        "--route", "--json", tmp_path / "found.json",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    (routed,) = found["routed"]
    design = found["front"][0]
    assert routed["estimated_mhz"] == pytest.approx(design["clock_mhz"], abs=0.1)
    each = design["cycles"]["gru:8"] / 16 / routed["routed_mhz"]
    assert routed["microseconds"]["gru:8"] == pytest.approx(each)
    assert "Clocks are fitted to" in done.stdout
    assert "time a step gru:8" in " ".join(done.stdout.split())
    assert f"{routed['routed_mhz']:.1f} MHz" in done.stdout


def test_what_cannot_be_routed_is_refused_before_the_search() -> None:
    assert "XC7A35T" in refusal("explore", "--model", "gru:8", "--budget", "XC7A35T", "--route")
    assert "without an FPGA" in refusal("explore", "--model", "gru:8", "--budget", "gates=1M", "--route")
