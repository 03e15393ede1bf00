"""Checks of generated Verilog by three independent readers: Icarus, Verilator and Yosys.

Each check raises `LintError` with the first complaint unless the files are clean.
"""

import os
import subprocess
import tempfile
from collections import abc
from collections.abc import Sequence
from pathlib import Path

from hdl.errors import ToolError
from hdl.output.package import LINT_WAIVERS
from hdl.output.yosys_worker import run_yosys
from sim_tests.simulator.toolchains import icarus_executable, verilator_environment, verilator_executable


class LintError(ToolError):
    """A tool reports a fault in generated Verilog."""


def _run(tool: str, command: Sequence[str], environment: abc.Mapping[str, str] | None = None) -> None:
    """Run a tool that writes nothing to standard error for clean files; raise `LintError` when it does."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})}
    )
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    if done.returncode == 0 and not lines:
        return
    complaints = [line for line in lines if "error" in line.lower() or "warning" in line.lower()] or lines
    first = complaints[0] if complaints else f"ended with status {done.returncode} and no message"
    raise LintError(f"{tool} reports a fault: {first} ({len(complaints)} complaints)")


def icarus_check(sources: Sequence[Path], top: str) -> None:
    """Elaborate `sources` as plain Verilog-2005; no warning of Icarus is allowed.

    Only the warning of a missing timescale is off: generated files leave the timescale to the simulator's command line.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = str(Path(folder) / "elaborated")
        command = [str(icarus_executable()), "-g2005", "-Wall", "-Wno-timescale", "-s", top, "-o", output]
        _run("icarus", [*command, *map(str, sources)])


def verilator_lint(sources: Sequence[Path], top: str, waivers: Path | None = LINT_WAIVERS) -> None:
    """Run `verilator --lint-only -Wall` with a file of waivers (None: without any)."""
    command = [str(verilator_executable()), "--lint-only", "-Wall", "--top-module", top]
    files = ([waivers] if waivers else []) + list(sources)
    _run("verilator", [*command, *map(str, files)], verilator_environment())


def yosys_check(sources: Sequence[Path], top: str) -> None:
    """Read `sources` with Yosys, resolve the hierarchy and run `check -assert` (loops, undriven, multiple drivers)."""
    passes = [*(f'read_verilog "{source.absolute()}"' for source in sources), f"hierarchy -check -top {top}"]
    with tempfile.TemporaryDirectory() as folder:
        try:
            run_yosys([*passes, "proc", "check -assert"], "check", Path(folder), timeout=600.0)
        except ToolError as error:
            raise LintError(f"yosys reports a fault: {error}") from error
