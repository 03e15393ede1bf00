"""What README.md shows runs after README.md's own set-up, which does not install PyTorch."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from scripts.provenance import ROOT

BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_blocks_run_as_they_stand(tmp_path: Path) -> None:
    """In their order, in one shell and one folder; the block of `make test` would run this test."""
    blocks = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    shown = [(kind, text) for kind, text in blocks if "make test" not in text]
    assert len(shown) == len(blocks) - 1 >= 4
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "torch.py").write_text("raise ImportError('not installed by the set-up of the README')\n")
    environment = {**os.environ, "PYTHONPATH": f"{hidden}:{ROOT}"}
    script = ""
    for number, (kind, text) in enumerate(shown):
        (tmp_path / f"block{number}.py").write_text(text)
        script += text if kind == "sh" else f"python block{number}.py\n"
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
