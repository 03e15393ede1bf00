"""The whole simulation regression, with progress and a summary table; what `make regress` runs.

Results go to build/regress. The exit status is the number of failed jobs, at most 100, or 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from rnn_mapper.check.replay import find_violations, plan_to_check
from rnn_mapper.cli.tables import TableConsole, plain_table
from scripts.provenance import ROOT
from sim_tests.regression import Job, Outcome, all_jobs, longest_first, run_job
from tests.support.random_plans import random_plan

#: Random schedules that the independent checker replays.
SCHEDULES = 3000
CHECK_SCHEDULES = Job("python", "random", "check_schedules")


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
    return Outcome(CHECK_SCHEDULES, checked if error is None else 0, 0.0, time.perf_counter() - started, error)


def run_any(job: Job, results: Path) -> Outcome:
    """Run a job with or without a simulator."""
    return check_schedules() if job == CHECK_SCHEDULES else run_job(job, results)


@contextmanager
def killable_workers(count: int) -> Iterator[ProcessPoolExecutor]:
    """Worker processes that are killed, with all that they have started, when an exception (Ctrl-C) ends the block."""
    # A session of its own keeps the terminal's Ctrl-C away from the simulators of a worker and makes them one group.
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("fork"), initializer=os.setsid)
    others = set(multiprocessing.active_children())
    try:
        # Makes all workers, before any other thread is there to be forked with.
        pool.submit(int).result()
        yield pool
    except BaseException:
        for worker in set(multiprocessing.active_children()) - others:
            try:
                os.killpg(int(worker.pid or 0), signal.SIGKILL)
            except ProcessLookupError:
                # It had no time to make its session.
                worker.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


class Display:
    """How far the regression is: bars on a terminal, a line every tenth of the jobs in a log; a failure at once."""

    def __init__(self, console: Console, jobs: Sequence[tuple[Job, float]]) -> None:
        self._console, self._total = console, len(jobs)
        self._seconds = {job.name: seconds for job, seconds in jobs}
        self._expected, self._completed = sum(self._seconds.values()), 0.0
        self._done = self._failed = 0
        self._started = time.perf_counter()
        self._rows: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.fields[note]}"), TimeElapsedColumn(),
            console=console, disable=not console.is_terminal,
        )
        self._bar = self._progress.add_task("regression", total=self._expected, note="")

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def started(self, job: Job) -> None:
        """A job begins."""
        self._rows[job.name] = self._progress.add_task(job.name, total=None, note="")

    def ended(self, outcome: Outcome) -> None:
        """A job is over."""
        self._progress.remove_task(self._rows.pop(outcome.job.name))
        self._done += 1
        self._completed += self._seconds[outcome.job.name]
        if outcome.error is not None:
            self._failed += 1
            self._console.print(failure(outcome), highlight=False, markup=False, soft_wrap=True)
        elapsed = time.perf_counter() - self._started
        left = elapsed * (self._expected / self._completed - 1)
        note = f"{self._done} of {self._total} jobs, {self._failed} failed, about {left / 60:.0f} min left"
        self._progress.update(self._bar, completed=self._completed, note=note)
        if not self._console.is_terminal and self._done * 10 // self._total > (self._done - 1) * 10 // self._total:
            self._console.print(f"{elapsed:5.0f} s: {note}", highlight=False)


def failure(outcome: Outcome) -> str:
    """One line about a failed job."""
    return f"FAILED {outcome.job.name}: {outcome.error}"


def run_all(jobs: Sequence[Job], workers: int, run: Callable[[Job], Outcome], console: Console) -> list[Outcome]:
    """Run all jobs, the longest first."""
    waiting, outcomes = longest_first(jobs), []
    running: dict[Future[Outcome], Job] = {}
    with killable_workers(workers) as pool, Display(console, waiting) as display:
        while waiting or running:
            # No more at a time than workers, so that what is submitted runs.
            while waiting and len(running) < workers:
                job, _ = waiting.pop(0)
                running[pool.submit(run, job)] = job
                display.started(job)
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                del running[done]
                outcomes.append(done.result())
                display.ended(outcomes[-1])
    return outcomes


def summary(outcomes: list[Outcome]) -> Table:
    """One line for each bench and simulator."""
    table = plain_table(title="Regression")
    for name in ("bench", "simulator", "grids", "tests passed", "failed jobs", "build s", "run s"):
        table.add_column(name, justify="left" if name in ("bench", "simulator", "grids") else "right")
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in sorted(outcomes, key=lambda outcome: outcome.job.name):
        groups.setdefault((outcome.job.subject, outcome.job.simulator), []).append(outcome)
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
    parser.add_argument("--only", default="", metavar="TEXT", help="only jobs whose name contains TEXT")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="simulations at a time (default 2)")
    parser.add_argument("--results", type=Path, default=ROOT / "build" / "regress", metavar="DIR")
    options = parser.parse_args()
    console = TableConsole()
    if not console.is_terminal:
        console.width = 120
    jobs = [job for job in (CHECK_SCHEDULES, *all_jobs()) if options.only in job.name]
    if not jobs:
        parser.error(f"--only {options.only}: no job has such a name")
    started = time.perf_counter()

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        outcomes = run_all(jobs, options.jobs, partial(run_any, results=options.results), console)
    except KeyboardInterrupt:
        console.print("interrupted")
        sys.exit(130)
    console.print(summary(outcomes))
    failures = [outcome for outcome in outcomes if outcome.error is not None]
    for outcome in failures:
        console.print(failure(outcome), highlight=False, markup=False, soft_wrap=True)
    console.print(f"{sum(outcome.tests for outcome in outcomes)} tests in {time.perf_counter() - started:.0f} s; "
                  f"results in {options.results}", soft_wrap=True)
    # Alone on its line, for CI.
    console.print(f"{len(outcomes) - len(failures)} passed, {len(failures)} failed", highlight=False)
    sys.exit(min(len(failures), 100))


if __name__ == "__main__":
    main()
