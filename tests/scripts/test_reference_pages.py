"""The pages generated from the sources are up to date."""

from __future__ import annotations

import pytest

import rnn_mapper as srnn
from scripts.api_page import SECTIONS, api_markdown
from scripts.make_reference import PAGES
from scripts.provenance import ROOT


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_fresh(name: str) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert text == PAGES[name](), f"docs/{name} is stale: run python -m scripts.make_reference"


def test_every_public_name_is_documented() -> None:
    assert sorted(name for names in SECTIONS.values() for name in names) == sorted(srnn.__all__)
    text = api_markdown()
    for name in srnn.__all__:
        entry = text.split(f"### `{name}`\n")[1].split("\n#")[0]
        assert len(entry.split()) > 3, f"{name} has no docstring"
