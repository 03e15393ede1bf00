"""Ctrl-C ends every command with one line, and nothing that it has started or begun to write remains."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import rnn_mapper as srnn
from rnn_mapper import cells
from tests.support.cli_runner import start
from tests.support.random_networks import random_network

COMMANDS = {
    "generate": ("generate", "--preset", "paper", "-o", "out"),
    "synth": ("synth", "--preset", "medium", "--target", "ecp5"),
    "simulate": ("simulate", "--model", "m.npz", "--input", "x.npy", "--preset", "medium", "--sim", "verilator",
                 "-o", "out"),
    "map": ("map", "--model", "big.npz", "--preset", "paper", "-o", "out"),
    "quantise": ("quantise", "--model", "big.npz", "--input", "long.npy"),
    "fit": ("fit", "big.npz", "big.npz"),
    "explore": ("explore", "--model", "lstm:500", "--budget", "LFE5U-85F", "--jobs", "2"),
}  # fmt: skip


def descendants(process: int) -> set[int]:
    """Processes below this one."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found = {process}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {process}


def alive(process: int) -> bool:
    """Whether it exists, and not only as an entry that nobody has asked for."""
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(what: Callable[[], object], seconds: float = 60.0) -> bool:
    """Whether it becomes true; the limit only keeps a fault from hanging the tests."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c(command: str, tmp_path: Path) -> None:
    srnn.save_network(tmp_path / "m.npz", random_network(0, cells.lstm, 8, (16,)))
    srnn.save_network(tmp_path / "big.npz", random_network(0, cells.lstm, 256, (512, 512, 512)))
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.normal(size=(20, 8)))
    np.save(tmp_path / "long.npy", rng.normal(size=(20000, 256)))
    before, temporary = set(tmp_path.iterdir()), tmp_path / "temporary"
    temporary.mkdir()
    runner = start(*COMMANDS[command], cwd=tmp_path, TMPDIR=str(temporary), SPATIAL_RNN_CACHE=str(tmp_path / "cache"))
    # Interrupted in the middle: with processes of its own where it has some, else after a while.
    wait_for(lambda: any(temporary.iterdir()) or runner.poll() is not None)
    if command in ("synth", "simulate", "explore"):
        assert wait_for(lambda: descendants(runner.pid) or runner.poll() is not None)
    time.sleep(1.0)
    assert runner.poll() is None, runner.communicate()
    below = descendants(runner.pid)
    # Only the command, not what it has started: as `kill -INT`, or a service manager, sends it.
    os.kill(runner.pid, signal.SIGINT)
    output, errors = runner.communicate(timeout=60)
    assert runner.returncode == 2, errors
    assert output == ""
    assert errors.strip().splitlines()[-1].startswith("error: interrupted"), errors
    assert len([line for line in errors.splitlines() if not line.endswith("...")]) == 1, errors
    assert wait_for(lambda: not any(alive(process) for process in below), 10), below
    assert set(tmp_path.iterdir()) - {temporary, tmp_path / "cache"} == before
    assert list(temporary.iterdir()) == []


#: What a pool of one thread does, which no interruption reaches, and whether it leaves the pool before it ends.
ENDLESS = {
    "a thread that waits": ("for _ in range(100): pool.submit(time.sleep, 60)", True),
    "a thread that outlives the block": ("pool.submit(time.sleep, 60)", False),
    "a thread that starts processes": (
        "for _ in range(100): pool.submit(subprocess.run, [sys.executable, '-c', 'import time; time.sleep(60)'])", True,
    ),
}


def program(code: str) -> subprocess.Popen[str]:
    """A Python program that a terminal could interrupt."""
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None)  # fmt: skip


def interrupt_and_wait(runner: subprocess.Popen[str]) -> None:
    """After SIGINT a program ends with status 2 and one line, and with all that it has started."""
    below = descendants(runner.pid)
    os.kill(runner.pid, signal.SIGINT)
    _, errors = runner.communicate(timeout=60)
    assert (runner.returncode, errors) == (2, "error: interrupted; no output was written\n")
    assert wait_for(lambda: not any(alive(process) for process in below), 10)


@pytest.mark.parametrize("name", ENDLESS)
def test_the_watchdog_ends_what_does_not_end(tmp_path: Path, name: str) -> None:
    """Work that an interruption cannot reach is ended, with the processes that it keeps starting, and with one line."""
    work, waits = ENDLESS[name]
    code = (
        "import subprocess, sys, time, concurrent.futures as f\n"
        "from rnn_mapper.cli.interruption import announce_interruption, interruptible\n"
        "pool = f.ThreadPoolExecutor(1)\n"
        "try:\n"
        "    with interruptible(2):\n"
        f"        {work}\n"
        "        print('ready', flush=True)\n"
        f"        {'pool.shutdown()' if waits else 'time.sleep(60)'}\n"
        "except KeyboardInterrupt:\n"
        "    announce_interruption()\n"
        "    sys.exit(2)\n"
    )
    runner = program(code)
    assert runner.stdout is not None
    assert runner.stdout.readline() == "ready\n"
    assert "processes" not in name or wait_for(lambda: descendants(runner.pid))
    interrupt_and_wait(runner)


def test_a_pool_that_is_tidied_up_late(tmp_path: Path) -> None:
    """Semaphores that are given back only when the interpreter ends cost no line and do not remain."""
    code = (
        "import sys, time\n"
        "from joblib.externals.loky import get_reusable_executor\n"
        "from joblib.externals.loky.backend.context import get_context\n"
        "from rnn_mapper.cli.interruption import announce_interruption, interruptible\n"
        "try:\n"
        "    with interruptible(2):\n"
        "        locks = [get_context('loky').Lock() for _ in range(3)]\n"
        "        pool = get_reusable_executor(2)\n"
        "        pool.submit(time.sleep, 0).result()\n"
        "        print(*(lock._semlock.name for lock in locks), flush=True)\n"
        "        time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    announce_interruption()\n"
        "    sys.exit(2)\n"
    )
    runner = program(code)
    assert runner.stdout is not None
    names = runner.stdout.readline().split()
    assert len(names) == 3
    interrupt_and_wait(runner)
    assert not any(Path(f"/dev/shm/sem.{name.removeprefix('/')}").exists() for name in names)
