"""Random models, grids and hosts, right and wrong ones, for a given time: `make soak`, or `--minutes N`.

A failure is shrunk to the fewest actions that show it, kept as build/soak/failures/SEED.json, and ends with status 1.
With `--seed N` the runs are N, N + 1 and so on; a seed gives the same run everywhere. Each session is added to those in
soak.json, and by default begins behind their seeds.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from rnn_mapper.cli.tables import TableConsole
from scripts.output import output_option, run_script, write_json
from scripts.provenance import ROOT, commit
from sim_tests.bench.grids import GRIDS
from sim_tests.host.grid_build import build_grid
from sim_tests.simulator.run import SimulationError, run

#: Grids that take turns, and actions of a run.
SOAK_GRIDS = ("1x1x4", "2x2x8", "4x2x7", "1x4x5", "8x1x4", "1x2x5-16", "4x2x12-16", "2x5x6", "4x3x12")
ACTIONS = 25
FAILURES = ROOT / "build" / "soak" / "failures"
SOAK = "soak.json"


@dataclass(frozen=True)
class Run:
    """One run: a model and a host on a grid."""

    seed: int
    grid: str
    #: Numbers of its actions.
    actions: tuple[int, ...] = tuple(range(ACTIONS))


def execute(one: Run) -> dict[str, int] | str:
    """What was done, or what was wrong."""
    build = build_grid(GRIDS[one.grid], "verilator")
    with tempfile.TemporaryDirectory() as folder:
        summary = Path(folder) / "summary.json"
        try:
            run(build, "sim_tests.checks.check_soak", results_dir=Path(folder), seed=1, timeout=900, env={
                "SRNN_GRID": one.grid, "SRNN_SEED": str(one.seed), "SRNN_SUMMARY": str(summary),
                "SRNN_ACTIONS": ",".join(map(str, one.actions)),
            })
        except SimulationError as error:
            return error.problem
        done: dict[str, int] = json.loads(summary.read_text())
        return done


def shrunk(one: Run) -> Run:
    """The same failure with fewer actions: halves and then single ones are left out while it stays."""
    actions: Sequence[int] = one.actions
    size = len(actions) // 2
    while size:
        for first in range(0, len(actions), size):
            fewer = [*actions[:first], *actions[first + size :]]
            if fewer and isinstance(execute(Run(one.seed, one.grid, tuple(fewer))), str):
                actions = fewer
                break
        else:
            size //= 2
    return Run(one.seed, one.grid, tuple(actions))


def _sessions(output: Path) -> list[dict[str, Any]]:
    """The sessions that are recorded already."""
    if not (output / SOAK).exists():
        return []
    sessions: list[dict[str, Any]] = json.loads((output / SOAK).read_text())["sessions"]
    return sessions


def _figures(total: Counter[str], failure: tuple[Run, str] | None) -> str:
    return (
        f"{total['models']:,} models, {total['steps']:,} steps, {total['cycles']:,} cycles, {total['faults']:,} faults "
        f"injected, {0 if failure is None else 1} wrong"
    )


@click.command()
@output_option
@click.option("--minutes", type=float, default=120, show_default=True, help="Time for which new runs are started.")
@click.option("--seed", type=int, default=None, help="Seed of the first run.  [default: behind all earlier sessions]")
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True, help="Runs at a time.")
def main(output: Path, minutes: float, seed: int | None, jobs: int) -> None:
    """Run until the time is over, or something is wrong."""
    console = TableConsole()
    started = told = time.perf_counter()
    earlier = _sessions(output)
    if seed is None:
        seed = max((one["first_seed"] + one["runs"] for one in earlier), default=1)
    total: Counter[str] = Counter()
    runs, number = 0, seed

    def keep() -> None:
        """The record so far: a session may be ended at any time."""
        session = {
            "commit": commit(), "seconds": round(time.perf_counter() - started), "first_seed": seed, "runs": runs,
            "wrong": 0 if failure is None else 1, **dict(sorted(total.items())),
        }
        write_json(output / SOAK, {"command": "make soak", "sessions": [*earlier, session]})

    failure: tuple[Run, str] | None = None
    with ProcessPoolExecutor(jobs) as pool:
        running: dict[Future[dict[str, int] | str], Run] = {}
        while running or (failure is None and time.perf_counter() - started < 60 * minutes):
            while len(running) < jobs and failure is None and time.perf_counter() - started < 60 * minutes:
                one = Run(number, SOAK_GRIDS[number % len(SOAK_GRIDS)])
                running[pool.submit(execute, one)] = one
                number += 1
            for ended in wait(running, return_when=FIRST_COMPLETED).done:
                one, result = running.pop(ended), ended.result()
                runs += 1
                if isinstance(result, str):
                    failure = failure or (one, result)
                    console.print(f"seed {one.seed} on {one.grid}: {result}", markup=False, soft_wrap=True)
                else:
                    total.update(result)
            if time.perf_counter() - told > 30:
                told = time.perf_counter()
                keep()
                console.print(f"[{(told - started) / 60:4.0f} min] seeds {seed} to {number - 1}: "
                              f"{_figures(total, failure)}", markup=False, soft_wrap=True)
    seconds = time.perf_counter() - started
    keep()
    console.print(f"{runs} runs in {seconds / 60:.0f} minutes: {_figures(total, failure)}", markup=False,
                  soft_wrap=True)
    if failure is not None:
        small = shrunk(failure[0])
        FAILURES.mkdir(parents=True, exist_ok=True)
        place = FAILURES / f"{small.seed}.json"
        place.write_text(json.dumps({"seed": small.seed, "grid": small.grid, "actions": small.actions,
                                     "problem": str(execute(small))}, indent=1) + "\n")
        console.print(f"shrunk to the actions {list(small.actions)}: {place}", markup=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    run_script(main)
