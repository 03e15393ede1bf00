"""Mutants: their bench kills them, or they are proved equivalent; `make mutate` has more of them."""

from __future__ import annotations

import pytest

from scripts.mutate import judge, passes
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
