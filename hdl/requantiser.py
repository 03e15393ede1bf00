"""From an accumulator to a 16-bit pre-activation part."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.fixed_point import round_shift, saturate, saturate_int
from hdl.parameters import GridParameters

__all__ = ["Requantiser"]


class Requantiser(wiring.Component):
    """`part = sat16(round(total * multiplier, shift + 1))`, Q5.10.

    `total` and `multiplier` are sampled in one cycle, `shift` (0 to 30) in the next; `part` is valid two cycles after
    `total`. One value a cycle.
    """

    module_name = "requantiser"

    #: Cycles from `total` to `part`.
    latency = 2

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = parameters
        super().__init__({
            "total": In(signed(parameters.accumulator_bits)),
            "multiplier": In(16),
            "shift": In(5),
            "part": Out(signed(16)),
        })

    def model(self, total: int, multiplier: int, shift: int) -> int:
        """`part` for one value."""
        return saturate_int(round_shift(total * multiplier, shift + 1), 16)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        product = Signal(signed(self.parameters.accumulator_bits + 16), reset_less=True)
        m.d.sync += product.eq(self.total * self.multiplier)
        shifted = Signal(signed(len(product)))
        m.d.comb += shifted.eq(product >> self.shift)
        # Two bits more than the result are enough to round: a value beyond them saturates either way.
        near = saturate(m, shifted, 18, "near")
        rounded = Signal(signed(18))
        m.d.comb += rounded.eq((near + 1) >> 1)
        m.d.sync += self.part.eq(saturate(m, rounded, 16, "limited"))
        return m
