"""The short selection of the simulation regression, under both simulators."""

from pathlib import Path

import pytest

from sim_tests.regression import Job, all_jobs, run_job, short_jobs


@pytest.mark.parametrize("job", short_jobs(), ids=lambda job: job.name)
def test_short_selection(job: Job, tmp_path: Path) -> None:
    outcome = run_job(job, tmp_path)
    assert outcome.error is None, outcome.error
    assert outcome.tests


@pytest.mark.parametrize("jobs", [short_jobs(), all_jobs()], ids=["short", "all"])
def test_names_are_unique(jobs: list[Job]) -> None:
    names = [job.name for job in jobs]
    assert len(set(names)) == len(names)
    assert {job.simulator for job in jobs} == {"icarus", "verilator"}
