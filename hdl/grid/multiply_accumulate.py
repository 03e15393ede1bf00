"""The multiply-accumulate of the epilogue."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.fixed_point import round_shift, saturate, saturate_int
from hdl.layouts import Keep
from hdl.numerics import KEPT_LEFT

__all__ = ["MultiplyAccumulate"]


class MultiplyAccumulate(wiring.Component):
    """Multiplies and accumulates: `result = sat16(round(x * (y - z) + addend, 15))`.

    `addend` is `value * 2^15` or a kept result.

    `y` is from -32768 to 32768. `y - z` has 17 bits; only 32768 - (-32768) does not fit and wraps to -65536.

    `x`, `y`, `z`, `value` and `use_kept` are sampled in one cycle, and `result` is valid in the next (combinational
    from the register of the product, so that it can go straight to a link). With `keep` in the cycle of `result`, that
    result is kept for the following operations, the very next one included, times 2^10 (ACTIVATION) or 2^15
    (PRE_ACTIVATION). One operation a cycle.
    """

    module_name = "srnn_multiply_accumulate"

    #: Cycles from operands to `result`.
    latency = 1

    def __init__(self) -> None:
        super().__init__({
            "x": In(signed(16)),
            "y": In(signed(17)),
            "z": In(signed(16)),
            "value": In(signed(16)),
            "use_kept": In(1),
            "keep": In(Keep),
            "result": Out(signed(16)),
        })

    def model(self, x: int, y: int, z: int = 0, value: int = 0, kept: tuple[int, Keep] | None = None) -> int:
        """`result`; `kept` is a kept result with its format, used instead of `value`."""
        addend = value << 15
        if kept is not None:
            addend = kept[0] << (KEPT_LEFT if kept[1] == Keep.ACTIVATION else 15)
        difference = (y - z + (1 << 16)) % (1 << 17) - (1 << 16)
        return saturate_int(round_shift(x * difference + addend, 15), 16)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        difference = Signal(signed(17))
        product = Signal(signed(33), reset_less=True)
        value = Signal(signed(16), reset_less=True)
        use_kept = Signal(reset_less=True)
        m.d.comb += difference.eq(self.y - self.z)
        m.d.sync += [
            product.eq(self.x * difference),
            value.eq(self.value),
            use_kept.eq(self.use_kept),
        ]
        # Both addends include half of the result's unit, so that rounding needs no adder of its own.
        half = 1 << (14 - KEPT_LEFT)
        kept = Signal(signed(16 + 15 - KEPT_LEFT + 1), reset_less=True)
        with m.Switch(self.keep):
            with m.Case(Keep.ACTIVATION):
                m.d.sync += kept.eq(self.result + half)
            with m.Case(Keep.PRE_ACTIVATION):
                m.d.sync += kept.eq((self.result << (15 - KEPT_LEFT)) | half)
        addend = Signal(signed(32))
        total = Signal(signed(34))
        m.d.comb += [
            addend.eq(Mux(use_kept, kept << KEPT_LEFT, Cat(Const(0, 14), Const(1, 1), value).as_signed())),
            total.eq(product + addend),
            self.result.eq(saturate(m, total[15:], 16, "limited")),
        ]
        return m
