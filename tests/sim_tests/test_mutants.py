"""Mutants: their bench kills them, or they are proved equivalent; `make mutate` has more of them."""

from __future__ import annotations

import json

import pytest

from scripts.mutate import VERDICTS, Fate, judge, passes, place_of
from scripts.provenance import ROOT
from sim_tests.bench.grids import GRIDS
from sim_tests.mutants import SUBJECTS, Mutants, build_mutants, is_equivalent

COUNT = 10


@pytest.fixture(scope="module")
def mutants() -> Mutants:
    return build_mutants("sequencer", GRIDS["2x2x8"], COUNT, 13)


def test_the_original_is_none(mutants: Mutants) -> None:
    assert sorted(mutants.passes) == list(range(1, COUNT + 1))
    assert passes(mutants, SUBJECTS["sequencer"][0], 0, None)
    assert is_equivalent(mutants, 0)


def test_fates(mutants: Mutants) -> None:
    fates = [judge("sequencer", COUNT, number, [60.0], promised=False).fate for number in mutants.passes]
    assert fates.count("killed") >= COUNT // 2
    # What is killed gives other outputs, so that it cannot be equivalent.
    killed = next(number for number, fate in zip(mutants.passes, fates, strict=True) if fate == "killed")
    assert not is_equivalent(mutants, killed)


def test_survivors_on_record_have_verdicts() -> None:
    """At least 95 % of the mutants on record are killed, and each other has a verdict that says why."""
    recorded = json.loads((ROOT / "results" / "mutation.json").read_text(encoding="utf-8"))
    assert set(recorded["subjects"]) == set(SUBJECTS)
    fates = {name: [Fate(**one) for one in entry["mutants"]] for name, entry in recorded["subjects"].items()}
    assert all(len(found) >= 60 for found in fates.values())
    for name, found in fates.items():
        for one in found:
            assert one.fate != "survived" or place_of(one.mutation) in VERDICTS[name], one
    different = [one for found in fates.values() for one in found if one.fate != "equivalent"]
    assert sum(one.fate != "survived" for one in different) >= 0.95 * len(different)
