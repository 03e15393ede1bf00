"""The tutorial in docs/cells.md, block by block: files are written, commands run, and their output is as quoted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "cells.md"


def _blocks(text: str) -> list[tuple[str, str]]:
    """Language and content of every fenced block."""
    return [(match[1], match[2]) for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]


def test_every_block_of_the_tutorial(tmp_path: Path) -> None:
    _, _, tutorial = DOCUMENT.read_text(encoding="utf-8").partition("## Tutorial")
    binaries = tmp_path / "bin"
    binaries.mkdir()
    for name, code in (("python", '"$@"'), ("spatial-rnn", '-c "from rnn_mapper.cli import main; main()" "$@"')):
        script = binaries / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {code}\n')
        script.chmod(0o755)
    root = str(DOCUMENT.parent.parent)
    environment = {
        **os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))),
    }
    printed = None
    ran = compared = 0
    for language, content in _blocks(tutorial):
        if language == "python":
            title = re.match(r"# (\w+\.py)\n", content)
            assert title is not None, f"a block without the name of its file:\n{content}"
            (tmp_path / title[1]).write_text(content)
        elif language == "sh":
            done = subprocess.run(
                ["sh", "-ec", content], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, content + done.stdout + done.stderr
            printed = {line.rstrip() for line in done.stdout.splitlines()}
            ran += 1
        else:
            assert language == "text"
            assert printed is not None
            for line in content.splitlines():
                assert line in printed, f"not printed: {line}\n" + "\n".join(sorted(printed))
                compared += 1
    assert (ran, compared) == (5, 9)


def test_first_example_is_a_cell() -> None:
    language, content = _blocks(DOCUMENT.read_text(encoding="utf-8"))[0]
    assert language == "python"
    found: dict[str, object] = {}
    exec(compile(content, "cells.md", "exec"), found)  # a block of our own documentation
    assert found["minimal_gated_unit"].state_names == ("h",)  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", ["README.md", "docs/cells.md"])
def test_links_lead_somewhere(path: str) -> None:
    file = DOCUMENT.parent.parent / path
    for target in re.findall(r"\]\(([^)#:]+)\)", file.read_text(encoding="utf-8")):
        assert (file.parent / target).exists(), target
