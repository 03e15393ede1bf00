"""Mutants: their bench kills them, or they are proved equivalent; `make mutate` has more of them."""

from __future__ import annotations

import json

import pytest

from scripts.mutate import GOAL, MUTATION, VERDICTS, judge, place_of, survives
from scripts.provenance import ROOT
from sim_tests.bench.grids import GRIDS
from sim_tests.mutants import (
    SUBJECTS,
    Mutants,
    breaks_a_promise,
    build_mutants,
    is_equivalent,
    promises_hold,
)

COUNT = 10


@pytest.fixture(scope="module")
def mutants() -> Mutants:
    return build_mutants("sequencer", GRIDS["2x2x8"], COUNT, 13)


def test_the_original_is_none(mutants: Mutants) -> None:
    assert sorted(mutants.passes) == list(range(1, COUNT + 1))
    assert survives(mutants, SUBJECTS["sequencer"][0], 0, None)
    assert is_equivalent(mutants, 0)


def test_fates(mutants: Mutants) -> None:
    fates = [judge("sequencer", COUNT, number, [60.0], promised=False).fate for number in mutants.passes]
    assert fates.count("killed") >= COUNT // 2
    # What is killed gives other outputs, so that it cannot be equivalent.
    killed = next(number for number, fate in zip(mutants.passes, fates, strict=True) if fate == "killed")
    assert not is_equivalent(mutants, killed)


def test_promises_find_mutants(mutants: Mutants) -> None:
    """What is equivalent keeps all promises, and some of the others break one."""
    assert promises_hold("sequencer", GRIDS["2x2x8"])
    # The proof of these is about a module of its own, with other parameters.
    assert not promises_hold("collector", GRIDS["2x2x8"])
    broken = {number: breaks_a_promise(mutants, number) for number in mutants.passes}
    assert sum(broken.values()) >= COUNT // 2
    assert not any(broken[number] and is_equivalent(mutants, number) for number in broken)


@pytest.mark.parametrize("subject", ["output_stream", "memory"])
def test_modules_with_memories(subject: str) -> None:
    """The original passes and is equivalent to itself; some mutants are killed, and none of these is equivalent."""
    few = build_mutants(subject, GRIDS["2x2x8"], 6, 13)
    assert survives(few, SUBJECTS[subject][0], 0, None)
    assert is_equivalent(few, 0)
    killed = [number for number in few.passes if not survives(few, SUBJECTS[subject][0], number, 60)]
    assert killed
    assert not any(is_equivalent(few, number) for number in killed)


def test_record_is_complete() -> None:
    """All modules, enough mutants of each, enough killed, and a verdict on each survivor."""
    recorded = json.loads((ROOT / "results" / MUTATION).read_text(encoding="utf-8"))["subjects"]
    assert recorded.keys() == SUBJECTS.keys()
    fates = [(subject, one["fate"], one["mutation"]) for subject, entry in recorded.items() for one in entry["mutants"]]
    assert all(len(entry["mutants"]) >= 60 for subject, entry in recorded.items()), {
        subject: len(entry["mutants"]) for subject, entry in recorded.items()}
    different = [fate for _, fate, _ in fates if fate != "equivalent"]
    assert different.count("survived") <= (1 - GOAL) * len(different)
    for subject, fate, mutation in fates:
        assert fate != "survived" or place_of(mutation) in VERDICTS[subject], f"{subject}: {place_of(mutation)}"
