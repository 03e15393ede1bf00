"""Runs Yosys passes in a separate process, so that a crash or an endless pass is an error for the caller, not its end.

The process is `python -m hdl.output.yosys_worker LOG`: pass commands on standard input, one a line.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hdl.errors import ToolError

#: Directory of the packages, so that the process finds this module from any working directory.
_ROOT = Path(__file__).parent.parent.parent


def run_yosys(commands: Sequence[str], what: str, folder: Path, timeout: float) -> None:
    """Run pass `commands` with `folder` as the working directory (their file names may be relative to it).

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
                [sys.executable, "-m", "hdl.output.yosys_worker", str(log)],
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
            raise ToolError(f"{what}: Yosys ended with status {done.returncode}: {faults[0]}")


def main() -> None:
    """Run the passes given on standard input; the argument names the file for the log of the pass that runs."""
    try:
        from pyosys import libyosys
    except ImportError:
        sys.exit("ERROR: pyosys is missing: install it with 'make setup' or 'pip install pyosys==0.70'")
    design = libyosys.Design()
    for command in sys.stdin.read().splitlines():
        # Each pass overwrites the log of the pass before, so that an error is in the last log.
        libyosys.run_pass(f'tee -q -o "{sys.argv[1]}" {command}', design)


if __name__ == "__main__":
    main()
