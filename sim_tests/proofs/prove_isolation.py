"""Isolation: two copies of a component that differ in what belongs to a neighbour give the same results."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.dot_product import DotProduct
from hdl.grid.sharing import Shared
from hdl.parameters import GridParameters
from sim_tests.proofs.harness import Harness

__all__ = ["RowIsolationProof"]


#: Bits of an operand that are free; the others repeat its sign. What is isolated is a matter of control.
_OPERAND = 2


class _TwoDotProducts(wiring.Component):
    """Two dot products with the same control and other operands, which are small for the sake of the proof."""

    module_name = "two_dot_products"

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = p = parameters
        self.dot_product = DotProduct(parameters)
        operands = {"weights": In(_OPERAND * p.lanes), "vector": In(_OPERAND * p.lanes),
                    "start_value": In(signed(p.accumulator_bits)), "accumulator": Out(signed(p.accumulator_bits))}
        super().__init__({
            "keep": In(1), "start": In(1), "zero": In(1),
            **{f"{name}_{copy}": member for copy in range(2) for name, member in operands.items()},
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for copy in range(2):
            m.submodules[f"copy_{copy}"] = one = Shared(self.dot_product)
            m.d.comb += [
                one.keep.eq(self.keep), one.start.eq(self.start), one.zero.eq(self.zero),
                one.start_value.eq(getattr(self, f"start_value_{copy}")),
                one.weights.eq(self._wide(getattr(self, f"weights_{copy}"), 8)),
                one.vector.eq(self._wide(getattr(self, f"vector_{copy}"), self.parameters.operand_bits)),
                getattr(self, f"accumulator_{copy}").eq(one.accumulator),
            ]
        return m

    def _wide(self, values: Value, bits: int) -> Value:
        """A word whose values have so many bits."""
        lanes = [values.word_select(lane, _OPERAND) for lane in range(self.parameters.lanes)]
        return Cat(Cat(value, value[-1].replicate(bits - _OPERAND)) for value in lanes)


class RowIsolationProof(Harness):
    """A row's sum depends on its own words and its own start value, whatever rows ran before it."""

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = parameters
        super().__init__(_TwoDotProducts(self.parameters))

    def state(self, m: Module) -> None:
        dut = self.dut
        depth = self.component.dot_product.accumulate_latency
        # Words that belong to one client are the same in both copies; all others are free.
        mine = self.free("mine", 1)
        self.assume(~mine | ((dut.weights_0 == dut.weights_1) & (dut.vector_0 == dut.vector_1)))
        sums = [mine]
        for age in range(depth):
            before = Signal(name=f"mine_{age}")
            m.d.sync += before.eq(sums[-1])
            sums.append(before)
        self.assume(~(dut.keep & dut.start))
        self.assume(~(dut.start & sums[-1]) | (dut.start_value_0 == dut.start_value_1))
        # Whether the sum is of the client's words alone, from the first of its row on.
        own = Signal()
        m.d.sync += own.eq(sums[-1] & (~dut.keep | own))
        self.promise("the sum of a row does not depend on the words of others",
                     ~own | (dut.accumulator_0 == dut.accumulator_1))
        self.reach("a row behind one that differs", own & (dut.accumulator_0 != 0))
        self.reach("sums that differ", ~own & (dut.accumulator_0 != dut.accumulator_1))
