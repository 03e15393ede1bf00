"""Files written by scripts: tables, CSV and pictures, the same bytes for the same values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from scripts.output import drawing, geometric_mean, markdown_table, progress_lines, write_csv, write_json


def test_table_has_a_rule_as_wide_as_its_headings() -> None:
    assert markdown_table(("a", "b"), [("1", "2"), ("3", "4")]) == ["| a | b |", "|---|---|", "| 1 | 2 |", "| 3 | 4 |"]
    assert markdown_table(("a",), [], " --- ") == ["| a |", "| --- |"]


def test_geometric_mean() -> None:
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)


def test_json_and_csv(tmp_path: Path) -> None:
    write_json(tmp_path / "made" / "a.json", {"x": [1]})
    assert json.loads((tmp_path / "made" / "a.json").read_text()) == {"x": [1]}
    write_csv(tmp_path / "a.csv", [{"x": 1, "y": "u"}, {"x": 2, "y": "v"}])
    assert (tmp_path / "a.csv").read_text().split() == ["x,y", "1,u", "2,v"]


def test_pictures_have_the_same_bytes_every_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with drawing(tmp_path / f"{name}.svg", 1, 2, figsize=(4, 2)) as (_, (left, right)):
            left.plot([0, 1], [1, 0])
            right.set_title("title")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_progress_lines_have_the_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    progress_lines(Console())("[half] done")
    assert capsys.readouterr().out == "[    0 s]  [half] done\n"
