"""The search for unit programs does not repeat what is in vain; counted, not timed."""

from __future__ import annotations

import pytest

from rnn_mapper import cells
from rnn_mapper.cells import unit_program as searched
from rnn_mapper.cells.program import Program
from rnn_mapper.cells.unit_search import UnitSearch
from sim_tests.bench.grids import GRIDS
from sim_tests.bench.models import ModelCase


def searched_lengths(monkeypatch: pytest.MonkeyPatch, cell: cells.Cell) -> set[int]:
    """Words of the rows for which programs are searched while a layer is mapped."""
    lengths: set[int] = set()
    search = UnitSearch.run

    def counted(self: UnitSearch, budget: int, effort: int) -> list[Program]:
        lengths.add(self.words)
        return search(self, budget, effort)

    monkeypatch.setattr(UnitSearch, "run", counted)
    for cache in (searched._best, searched._candidates, searched._searched):
        cache.cache_clear()
    ModelCase(cell, 12, (13,)).mapping(GRIDS["4x2x7"])
    return lengths


def test_a_hard_stage_is_searched_for_few_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three layers with peepholes took a quarter of an hour: every length of rows was searched, nearly all in vain."""
    assert searched_lengths(monkeypatch, cells.lstm_peephole) <= {8, 12, 16, 24}


def test_other_stages_are_searched_for_the_rows_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert min(searched_lengths(monkeypatch, cells.lstm)) <= 2
