"""The whole simulation regression, with progress and a summary table; what `make regress` runs.

Results go to build/regress. The exit status is the number of failed jobs, at most 100.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from rnn_mapper.check.replay import find_violations, plan_to_check
from scripts.provenance import ROOT
from sim_tests.regression import Job, Outcome, all_jobs, run_job, short_jobs
from tests.support.random_plans import random_plan

#: Random schedules that the independent checker replays.
SCHEDULES = 3000


def check_schedules() -> Outcome:
    """Replay random schedules; no simulator takes part."""
    started, rng, checked, error = time.perf_counter(), np.random.default_rng(2026), 0, None
    while checked < SCHEDULES and error is None:
        plan = random_plan(rng)
        if plan is None:
            continue
        checked += 1
        for steps, chance in ((1, 0.0), (3, 0.0), (5, 0.3), (8, 0.1)):
            replayed = plan_to_check(plan.timings, plan.entries, plan.unit_bases)
            found = find_violations(replayed, steps, rng, chance, cleared=checked % 4 > 0)
            if found:
                error = f"{plan}: {found[0]}"
                break
    job = Job("python", "random", "check_schedules")
    return Outcome(job, checked if error is None else 0, 0.0, time.perf_counter() - started, error)


def run_all(jobs: list[Job], workers: int, results: Path, console: Console) -> list[Outcome]:
    """Run all jobs and show how far it is: a bar on a terminal, else a line for each job."""
    outcomes: list[Outcome] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("regression", total=len(jobs) + 1)
        with ThreadPoolExecutor(workers) as pool:
            running = [pool.submit(check_schedules), *(pool.submit(run_job, job, results) for job in jobs)]
            for done in as_completed(running):
                outcome = done.result()
                outcomes.append(outcome)
                progress.advance(bar)
                state = "ok" if outcome.error is None else f"FAILED: {outcome.error}"
                seconds = outcome.build_seconds + outcome.run_seconds
                if outcome.error is not None or not console.is_terminal:
                    console.print(f"{outcome.job.name}: {state} ({seconds:.0f} s)", highlight=False, markup=False)
    return outcomes


def summary(outcomes: list[Outcome]) -> Table:
    """One line for each bench and simulator."""
    table = Table(title="Regression")
    for name in ("bench", "simulator", "grids", "tests passed", "failed jobs", "build s", "run s"):
        table.add_column(name, justify="left" if name in ("bench", "simulator", "grids") else "right")
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in sorted(outcomes, key=lambda outcome: outcome.job.name):
        groups.setdefault((outcome.job.component or outcome.job.bench, outcome.job.simulator), []).append(outcome)
    for (bench, simulator), members in groups.items():
        failed = sum(outcome.error is not None for outcome in members)
        table.add_row(
            bench, simulator, " ".join(outcome.job.grid for outcome in members),
            str(sum(outcome.tests for outcome in members)), f"[red]{failed}[/red]" if failed else "0",
            f"{sum(outcome.build_seconds for outcome in members):.0f}",
            f"{sum(outcome.run_seconds for outcome in members):.0f}",
        )
    return table


def main() -> None:
    """Run the regression."""
    parser = argparse.ArgumentParser(description="Run the simulation regression (see sim_tests/regression.py).")
    parser.add_argument("--short", action="store_true", help="only what continuous integration runs")
    parser.add_argument("--only", default="", metavar="TEXT", help="only jobs whose name contains TEXT")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="simulations at a time (default 2)")
    parser.add_argument("--results", type=Path, default=ROOT / "build" / "regress", metavar="DIR")
    options = parser.parse_args()
    console = Console()
    jobs = [job for job in (short_jobs() if options.short else all_jobs()) if options.only in job.name]
    started = time.perf_counter()
    outcomes = run_all(jobs, options.jobs, options.results, console)
    console.print(summary(outcomes))
    failures = [outcome for outcome in outcomes if outcome.error is not None]
    for outcome in failures:
        console.print(f"FAILED {outcome.job.name}: {outcome.error}", highlight=False, markup=False, soft_wrap=True)
    passed = sum(outcome.tests for outcome in outcomes)
    console.print(f"{passed} passed, {len(failures)} of {len(outcomes)} jobs failed, "
                  f"{time.perf_counter() - started:.0f} s; results in {options.results}", soft_wrap=True)
    sys.exit(min(len(failures), 100))


if __name__ == "__main__":
    main()
