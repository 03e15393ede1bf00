"""The prover finds what is true and what is not; most components keep their promises (all: `make formal`)."""

from __future__ import annotations

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sim_tests.proofs.catalogue import PROOF_GRID, PROOFS, claims
from sim_tests.proofs.harness import Harness
from sim_tests.proofs.prover import Verdict, decide, mutations


class Counter(wiring.Component):
    """Counts up to nine and begins again."""

    module_name = "counter"

    def __init__(self) -> None:
        super().__init__({"enable": In(1), "value": Out(4)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.If(self.enable):
            m.d.sync += self.value.eq(self.value + 1)
            with m.If(self.value == 9):
                m.d.sync += self.value.eq(0)
        return m


class CounterProof(Harness):
    def __init__(self) -> None:
        super().__init__(Counter())

    def state(self, m: Module) -> None:
        before, known = Signal(4), Signal()
        m.d.sync += [before.eq(self.dut.value), known.eq(1)]
        self.promise("below ten", self.dut.value < 10)
        self.promise("below nine", self.dut.value < 9)
        self.promise("by one at most", ~known | (self.dut.value - before <= 1) | (self.dut.value == 0))
        self.reach("nine", self.dut.value == 9)
        self.reach("ten", self.dut.value == 10)


def test_verdicts() -> None:
    proof = CounterProof()
    assert decide(proof, promise="below ten").verdict == Verdict.PROVED
    assert decide(proof, promise="by one at most").verdict == Verdict.PROVED
    wrong = decide(proof, promise="below nine")
    assert (wrong.verdict, wrong.depth) == (Verdict.BROKEN, 10)
    assert decide(proof, situation="nine").verdict == Verdict.BROKEN
    assert decide(proof, situation="ten").verdict == Verdict.PROVED


def test_broken_variants() -> None:
    proof = CounterProof()
    found = [decide(proof, promise="below ten", mutation=one).verdict for one in mutations(proof, 12, 1)]
    assert found.count(Verdict.BROKEN) >= 3
    assert Verdict.UNDECIDED not in found


@pytest.mark.parametrize("component", [
    "registers", "vector_input", "multiply_accumulate", "sequencer", "pmu", "unit_path", "collector", "dot_product",
    "skid_buffer", "top",
])
def test_promises(component: str) -> None:
    proof = PROOFS[component](PROOF_GRID)
    assert decide(proof).verdict == Verdict.PROVED
    for claim in claims(component):
        if not claim.is_promise:
            assert decide(proof, situation=claim.text).verdict == Verdict.BROKEN, claim.text
