"""The state of the project that made a result."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["ROOT", "commit"]

ROOT = Path(__file__).parent.parent
#: Paths on which a result can depend.
_SOURCES = ("hdl", "rnn_mapper", "sim_tests", "scripts", "docs/data")


def commit() -> str:
    """The commit of the working tree, and whether sources differ from it; "unknown" outside a repository."""

    def git(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)

    changed = git("diff", "--quiet", "HEAD", "--", *_SOURCES).returncode
    return (git("rev-parse", "--short", "HEAD").stdout.strip() or "unknown") + " and changes" * bool(changed)
