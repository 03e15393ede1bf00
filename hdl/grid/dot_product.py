"""The multipliers, adder tree and accumulator of a PCU."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.parameters import GridParameters

__all__ = ["DotProduct"]


class DotProduct(wiring.Component):
    """Accumulates `lanes` products of a signed byte and a signed operand in every cycle.

    `weights` (8 bits each) and `vector` (`operand_bits` each) are packed, lane 0 in the least significant bits.
    `keep`, `start`, `start_value` and `zero` belong to the sum that leaves the adder tree, `accumulate_latency` cycles
    after its operands: it is added to the accumulator with `keep`, to `start_value` with `start`, and to nothing with
    neither (never both: the two are separate so that no choice is made from a choice); with `zero` the sum counts as
    zero.
    `accumulator` includes the operands of up to `latency` cycles before. One sum a cycle, no stalls. The accumulator
    wraps; the mapper proves that it cannot overflow.
    """

    module_name = "srnn_dot_product"

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = p = parameters
        super().__init__({
            "weights": In(8 * p.lanes),
            "vector": In(p.operand_bits * p.lanes),
            "keep": In(1),
            "start": In(1),
            "zero": In(1),
            "start_value": In(signed(p.accumulator_bits)),
            "accumulator": Out(signed(p.accumulator_bits)),
        })

    @property
    def tree_latency(self) -> int:
        """Pipeline registers in the adder tree; the last is at its root."""
        levels = (self.parameters.lanes - 1).bit_length()
        return -(-levels // self.parameters.tree_levels_per_register)

    @property
    def accumulate_latency(self) -> int:
        """Cycles from operands to the root of the tree: the register of the products and the registers of the tree."""
        return 1 + self.tree_latency

    @property
    def latency(self) -> int:
        """Cycles from operands to `accumulator`."""
        return self.accumulate_latency + 1

    def model(self, weights: Sequence[int], vector: Sequence[int], start: int) -> int:
        """`accumulator` after one pair of words, from the value `start`."""
        total = start + sum(w * v for w, v in zip(weights, vector, strict=True))
        half = 1 << (self.parameters.accumulator_bits - 1)
        return (total + half) % (2 * half) - half

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        values: list[Value] = []
        for lane in range(p.lanes):
            product = Signal(signed(8 + p.operand_bits), name=f"product_{lane}", reset_less=True)
            weight = self.weights.word_select(lane, 8).as_signed()
            m.d.sync += product.eq(weight * self.vector.word_select(lane, p.operand_bits).as_signed())
            values.append(product)
        level = 0
        while len(values) > 1:
            level += 1
            registered = level % p.tree_levels_per_register == 0 or len(values) == 2
            values = self._level(m, values, level, registered)
        before, total = Signal(signed(p.accumulator_bits)), Signal(signed(p.accumulator_bits), reset_less=True)
        m.d.comb += before.eq(
            (total & self.keep.replicate(p.accumulator_bits))
            | (self.start_value & self.start.replicate(p.accumulator_bits))
        )
        m.d.sync += total.eq(before + Mux(self.zero, 0, values[0]))
        m.d.comb += self.accumulator.eq(total)
        return m

    @staticmethod
    def _level(m: Module, values: list[Value], level: int, registered: bool) -> list[Value]:
        sums: list[Value] = []
        for index in range(0, len(values), 2):
            pair = values[index : index + 2]
            total = pair[0] + pair[1] if len(pair) == 2 else pair[0]
            node = Signal(total.shape(), name=f"sum_{level}_{index // 2}", reset_less=True)
            domain = m.d.sync if registered else m.d.comb
            domain += node.eq(total)
            sums.append(node)
        return sums
