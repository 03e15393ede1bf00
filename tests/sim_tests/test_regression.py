"""The jobs of the regression: their list, and that a failing job is distinguished from a passing one."""

from pathlib import Path

import pytest

import sim_tests.checks
from hdl.output.emit import emit
from scripts.regression_page import cases_of
from sim_tests.bench.component_bench import COMPONENTS
from sim_tests.bench.grids import GRIDS, ICARUS_GRIDS, TINY_GRIDS
from sim_tests.regression import DEPENDS, Job, all_jobs, longest_first, run_job

MEMORY = Job("icarus", "2x2x8", "check_memory", "memory")


def test_jobs_have_names_of_their_own() -> None:
    jobs = all_jobs()
    assert len({job.name for job in jobs}) == len(jobs) > 200
    assert {job.simulator for job in jobs} == {"icarus", "verilator"}


def test_the_first_jobs_make_all_builds() -> None:
    ordered = longest_first(all_jobs())
    jobs = [job for job, _ in ordered]
    assert sorted(job.name for job in jobs) == sorted(job.name for job in all_jobs())
    builds = {job.build for job in jobs}
    assert {job.build for job in jobs[: len(builds)]} == builds
    for part in (ordered[: len(builds)], ordered[len(builds) :]):
        seconds = [one for _, one in part]
        assert seconds == sorted(seconds, reverse=True)


def test_every_bench_runs_on_every_grid() -> None:
    """Under Verilator each bench of grids runs on all of them, under Icarus on those that are small enough for it."""
    jobs = all_jobs()
    grids: dict[tuple[str, str], set[str]] = {}
    for job in jobs:
        if job.component is None:
            grids.setdefault((job.bench, job.simulator), set()).add(job.grid)
    for (bench, simulator), found in grids.items():
        allowed = [GRIDS] if simulator == "verilator" else [ICARUS_GRIDS, TINY_GRIDS]
        assert found in map(set, allowed), (bench, simulator)
    checks = {path.stem for path in Path(sim_tests.checks.__file__).parent.glob("check_*.py")}
    # These run as tests, on builds of their own.
    assert checks - {job.bench for job in jobs} == {"check_bus_load", "check_isolation"}
    for component in COMPONENTS.keys() - DEPENDS.keys():
        assert {job.grid for job in jobs if job.component == component} == set(GRIDS)


@pytest.mark.parametrize("component", sorted(DEPENDS.keys() - {"memory"}))
def test_grids_with_the_same_verilog(component: str) -> None:
    """A component is not simulated for a grid only if it is simulated for another with the same Verilog."""

    def verilog(grid: str) -> str:
        text = "".join(emit(COMPONENTS[component](GRIDS[grid])).sources.values())
        return "".join(line for line in text.splitlines(True) if not line.startswith("//"))

    simulated = {verilog(job.grid) for job in all_jobs() if job.component == component}
    assert {verilog(grid) for grid in GRIDS} == simulated


def test_every_job_has_cases() -> None:
    for job in all_jobs():
        cases = cases_of(job.bench)
        assert cases
        assert all(cases.values())
        assert job.component is None or job.component in cases


def test_a_job_passes(tmp_path: Path) -> None:
    outcome = run_job(MEMORY, tmp_path)
    assert outcome.error is None
    assert outcome.tests == 1
    assert (tmp_path / MEMORY.name / "simulation.log").exists()


def test_a_failure_is_an_outcome(tmp_path: Path) -> None:
    absent = run_job(Job("icarus", "2x2x8", "check_absent", "memory"), tmp_path)
    assert absent.tests == 0
    assert absent.error is not None
    assert "ended without results" in absent.error
    # Any other exception as well: the jobs after it run.
    assert run_job(Job("icarus", "no grid", "check_pmu", "pmu"), tmp_path).error == "KeyError: 'no grid'"
