"""Files that the documentation names exist, and so do the modules of the architecture page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.provenance import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
#: A file of the project in backticks, with its folder.
PATH = re.compile(r"`((?:hdl|rnn_mapper|sim_tests|scripts|tests|docs|results)/[\w./-]+)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [name for name in PATH.findall(text) if not (ROOT / name).exists()]
    assert not missing


def test_the_architecture_page_names_modules_that_exist() -> None:
    """Its tables have a row for each package, with its main modules in the last column."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w/]+)`[^|]*\|[^|]*\|[^|]*\|([^|]*)\|$", text, re.MULTILINE)
    assert len(rows) > 15
    for package, modules in rows:
        folders = [ROOT / package, ROOT / "rnn_mapper" / package]
        folder = next(folder for folder in folders if folder.is_dir())
        for name in re.findall(r"`(\w+)/?`", modules):
            assert (folder / f"{name}.py").is_file() or (folder / name).is_dir(), f"{package}: {name}"
