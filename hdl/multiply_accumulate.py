"""The multiply-accumulate of the epilogue."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.fixed_point import round_shift, saturate, saturate_int

__all__ = ["MultiplyAccumulate"]


class MultiplyAccumulate(wiring.Component):
    """`result = sat16(round(x * (y - z) + addend, 15))`, where `addend` is `value * 2^15` or the kept product.

    `x`, `y`, `z`, `value` and `use_partial` are sampled in one cycle, and `result` is valid in the next
    (combinational from the product's register, so that it can go straight to a link). With `keep` in the cycle of
    `result`, the product rounded by 5 bits is kept for the instructions that follow. One operation a cycle.
    """

    module_name = "multiply_accumulate"

    #: Cycles from operands to `result`.
    latency = 1
    #: Bits by which a kept product is rounded: Q0.30 becomes Q5.25, the format of a gate times a Q5.10 state.
    partial_shift = 5

    def __init__(self) -> None:
        super().__init__({
            "x": In(signed(16)),
            "y": In(signed(16)),
            "z": In(signed(16)),
            "value": In(signed(16)),
            "use_partial": In(1),
            "keep": In(1),
            "result": Out(signed(16)),
        })

    def model(self, x: int, y: int, z: int = 0, value: int = 0, partial: int | None = None) -> tuple[int, int]:
        """`result` and the product as it would be kept; `partial` is a kept product, used instead of `value`."""
        product = x * (y - z)
        addend = value << 15 if partial is None else partial
        return saturate_int(round_shift(product + addend, 15), 16), round_shift(product, self.partial_shift)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        product = Signal(signed(33), reset_less=True)
        value = Signal(signed(16), reset_less=True)
        use_partial = Signal(reset_less=True)
        m.d.sync += [
            product.eq(self.x * (self.y - self.z)),
            value.eq(self.value),
            use_partial.eq(self.use_partial),
        ]
        # Half of the result's unit rides along with either addend, so that rounding needs no adder of its own.
        partial = Signal(signed(33 - self.partial_shift + 1), reset_less=True)
        with m.If(self.keep):
            m.d.sync += partial.eq((product + (1 << (14 + self.partial_shift)) + (1 << (self.partial_shift - 1)))
                                   >> self.partial_shift)
        addend = Signal(signed(32))
        total = Signal(signed(34))
        m.d.comb += [
            addend.eq(Mux(use_partial, partial, Cat(Const(0, 14), Const(1, 1), value).as_signed())),
            total.eq(product + addend),
            self.result.eq(saturate(m, total[15:], 16, "limited")),
        ]
        return m
