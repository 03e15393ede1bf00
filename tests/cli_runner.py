"""Runs the command line in a process of its own, as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def spatial_rnn(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `spatial-rnn` with these arguments."""
    return subprocess.run(
        [sys.executable, "-c", "from rnn_mapper.cli import main; main()", *map(str, arguments)],
        capture_output=True, text=True, check=False, cwd=cwd, env={**os.environ, **environment},
    )


def refusal(*arguments: object, cwd: Path | None = None) -> str:
    """Run `spatial-rnn` with wrong arguments; returns its one line on standard error, without "error: "."""
    done = spatial_rnn(*arguments, cwd=cwd)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("error: ").strip()
