"""The runner of the regression: its output, and that one Ctrl-C ends it and all processes it has started."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from scripts.regress import run_all
from sim_tests.regression import Job, Outcome


def pretend(job: Job) -> Outcome:
    """Fails immediately on the grid "bad"."""
    error = "outputs differ" if job.grid == "bad" else None
    return Outcome(job, int(error is None), 0.0, 0.0, error)


def test_a_log_gets_failures_and_a_line_every_tenth() -> None:
    jobs = [Job("icarus", "bad" if number == 7 else f"g{number}", "check_host") for number in range(40)]
    console = Console(file=io.StringIO(), width=100)
    outcomes = run_all(jobs, 2, pretend, console)
    assert sorted(outcome.job.name for outcome in outcomes) == sorted(job.name for job in jobs)
    assert sum(outcome.tests for outcome in outcomes) == 39
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines.count("FAILED host-bad-icarus: outputs differ") == 1
    assert len(lines) == 11
    assert "s: 40 of 40 jobs, 1 failed, about 0 min left" in lines[-1]


def alive() -> dict[int, int]:
    """The parent of every process, except zombies, whose status nobody has read."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            parents[int(stat.parent.name)] = int(parent)
    return parents


def descendants(process: int) -> list[int]:
    """Processes started by a process, directly or indirectly."""
    parents, found = alive(), [process]
    for known in found:
        found += [child for child, parent in parents.items() if parent == known]
    return found[1:]


def running(name: str, processes: list[int]) -> bool:
    """Whether a program with this name is among the processes."""
    names = []
    for process in processes:
        try:
            names.append(Path(f"/proc/{process}/comm").read_text().strip())
        except OSError:
            continue
    return name in names


def test_one_interrupt_ends_everything(tmp_path: Path) -> None:
    runner = subprocess.Popen(
        [sys.executable, "-m", "scripts.regress", "--only", "controller-2x2x8-icarus", "--results", tmp_path],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        # A process started in the background ignores interrupts, and so do its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        limit = time.monotonic() + 120
        while not running("vvp", started := descendants(runner.pid)):
            assert time.monotonic() < limit, "no simulator was started"
            time.sleep(0.1)
        runner.send_signal(signal.SIGINT)
        output, _ = runner.communicate(timeout=30)
        assert runner.returncode == 130
        assert output.splitlines()[-1] == "interrupted"
        assert "Traceback" not in output
        time.sleep(0.5)
        assert not alive().keys() & set(started)
    finally:
        if runner.poll() is None:
            for process in (*descendants(runner.pid), runner.pid):
                os.kill(process, signal.SIGKILL)
