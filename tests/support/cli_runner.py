"""Runs the command line: in a process of its own, as a user does, or in this one, which is faster.

Lines of progress, which depend on the time, are off.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rnn_mapper import cli

_MAIN = "from rnn_mapper.cli import common, main; common.QUIET_SECONDS = 1e6; main()"


def spatial_rnn(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `spatial-rnn` with these arguments."""
    return subprocess.run(
        [sys.executable, "-c", _MAIN, *map(str, arguments)],
        capture_output=True, text=True, check=False, cwd=cwd, env={**os.environ, **environment},
    )


def start(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.Popen[str]:
    """Start `spatial-rnn` in a session of its own, where it can be interrupted however this process was started."""

    def listen() -> None:
        # Shells start what runs in the background deaf to interruptions, and children inherit that.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, "-c", _MAIN, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd, env={**os.environ, **environment},
        start_new_session=True, preexec_fn=listen,
    )


def refusal(*arguments: object, cwd: Path | None = None) -> str:
    """Run `spatial-rnn` with wrong arguments; returns its one line on standard error, without "error: "."""
    done = spatial_rnn(*arguments, cwd=cwd)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("error: ").strip()


class Run:
    """The command line in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: object, status: int = 0) -> str:
        """Run with these arguments; returns standard output."""
        with pytest.raises(SystemExit) as left:
            cli.main([str(argument) for argument in arguments])
        captured = self.capsys.readouterr()
        self.errors = captured.err
        assert left.value.code == status, captured.err
        return captured.out

    def refusal(self, *arguments: object) -> str:
        """Run with wrong arguments; returns the one line."""
        assert self(*arguments, status=2) == ""
        assert self.errors.startswith("error: ")
        assert self.errors.count("\n") == 1, self.errors
        return self.errors.removeprefix("error: ").strip()
