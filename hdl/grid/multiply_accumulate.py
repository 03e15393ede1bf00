"""The multiply-accumulate of the epilogue."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.activation import SUM_BITS
from hdl.grid.carry_save import carry_save, partial_products, upper_sum
from hdl.grid.fixed_point import round_shift, saturate, saturate_int
from hdl.layouts import Keep
from hdl.numerics import KEPT_LEFT
from hdl.parameters import GridParameters

__all__ = ["MultiplyAccumulate"]


class MultiplyAccumulate(wiring.Component):
    """Multiplies and accumulates: `result = sat16(round(x * (y - z) + addend, 15))`.

    `addend` is `value * 2^15` or a kept result.

    `y` is from -32768 to 32768. `y - z` has 17 bits; only 32768 - (-32768) does not fit and wraps to -65536.

    `x`, `y`, `z`, `value` and `use_kept` are sampled in one cycle, and `result` is valid `latency` cycles later
    (combinational from the registers of the product and the addend, so that it can go straight to a link); `total` is
    the same before it is limited. With `keep` in the cycle of `result`, that result is kept, times 2^10 (ACTIVATION) or
    2^15 (PRE_ACTIVATION), for the operations from `kept_distance` cycles after its own on. One operation a cycle.
    """

    module_name = "srnn_multiply_accumulate"

    #: Cycles from operands to `result`: subtract, multiply.
    latency = 2
    #: Cycles from an operation that is kept to the first that can use it; the addend is chosen beside the product.
    kept_distance = 2

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = parameters
        super().__init__({
            "x": In(signed(16)),
            "y": In(signed(17)),
            "z": In(signed(16)),
            "value": In(signed(16)),
            "use_kept": In(1),
            "keep": In(Keep),
            "total": Out(signed(SUM_BITS)),
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
        x = Signal(signed(16), name="x_q", reset_less=True)
        difference = Signal(signed(17), reset_less=True)
        value = Signal(signed(16), name="value_q", reset_less=True)
        use_kept = Signal(name="use_kept_q", reset_less=True)
        m.d.sync += [
            x.eq(self.x), difference.eq(self.y - self.z), value.eq(self.value), use_kept.eq(self.use_kept),
        ]

        kept = Signal(signed(16), reset_less=True)
        kept_finer = Signal(reset_less=True)
        with m.Switch(self.keep), m.Case(Keep.ACTIVATION, Keep.PRE_ACTIVATION):
            m.d.sync += [kept.eq(self.result), kept_finer.eq(self.keep == Keep.ACTIVATION)]
        finer = use_kept & kept_finer
        coarse = Mux(use_kept, kept, value)
        bits = 15 + SUM_BITS
        if self.parameters.carry_save:
            addend = Signal(signed(bits))
            m.d.comb += addend.eq(Mux(finer, kept << KEPT_LEFT, coarse << 15))
            rows = [*partial_products(m, x, difference, bits, 1 << 14, "row"), addend]
            m.d.comb += self.total.eq(upper_sum(m, carry_save(m, rows, bits, "rows"), 15, bits, "product"))
        else:
            # Every addend includes half of the result's unit, so that rounding needs no adder of its own.
            product = Signal(signed(33), reset_less=True)
            addend = Signal(signed(32), reset_less=True)
            half = 1 << (14 - KEPT_LEFT)
            m.d.sync += [
                product.eq(x * difference),
                addend.eq(Mux(finer, (kept + half) << KEPT_LEFT, Cat(Const(0, 14), Const(1, 1), coarse).as_signed())),
            ]
            total = Signal(signed(bits), name="sum")
            m.d.comb += [total.eq(product + addend), self.total.eq(total[15:])]
        m.d.comb += self.result.eq(saturate(m, self.total, 16, "limited"))
        return m
