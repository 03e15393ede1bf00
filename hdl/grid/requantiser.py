"""From an accumulator to a 16-bit pre-activation part."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.carry_save import carry_save, partial_products, upper_sum
from hdl.grid.fixed_point import round_shift, saturate, saturate_int
from hdl.numerics import MULTIPLIER_BITS, PRESCALED_BITS, REQUANTISE_RIGHT
from hdl.parameters import GridParameters

__all__ = ["Requantiser"]


class Requantiser(wiring.Component):
    """Requantises: `part = sat16(round(sat19((total << prescale_left) >> shift) * multiplier, 12))`, Q5.10.

    `total` and `shift` (0 to 31) are sampled in one cycle, `multiplier` in the next; `part` is valid `latency` cycles
    after `total`. One value a cycle. Shifting before multiplying keeps the multiplier at 19 x 11 bits.
    """

    module_name = "srnn_requantiser"

    #: Cycles from `total` to `part`: shift, multiply, round.
    latency = 3

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = parameters
        self.left = parameters.arithmetic.prescale_left
        super().__init__({
            "total": In(signed(parameters.accumulator_bits)),
            "shift": In(5),
            "multiplier": In(MULTIPLIER_BITS),
            "part": Out(signed(16)),
        })

    def model(self, total: int, multiplier: int, shift: int) -> int:
        """`part` for one value."""
        prescaled = saturate_int((total << self.left) >> shift, PRESCALED_BITS)
        return saturate_int(round_shift(prescaled * multiplier, REQUANTISE_RIGHT), 16)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        prescaled = Signal(signed(PRESCALED_BITS), reset_less=True)
        m.d.sync += prescaled.eq(self._prescale(m))
        half = 1 << (REQUANTISE_RIGHT - 1)
        bits = PRESCALED_BITS + MULTIPLIER_BITS + 1
        rounded = Signal(signed(bits - REQUANTISE_RIGHT))
        if self.parameters.carry_save:
            rows = partial_products(m, prescaled, self.multiplier, bits, half, "row")
            m.d.comb += rounded.eq(upper_sum(m, carry_save(m, rows, bits, "rows"), REQUANTISE_RIGHT, bits, "product"))
        else:
            product = Signal(signed(bits), reset_less=True)
            m.d.sync += product.eq(prescaled * self.multiplier)
            m.d.comb += rounded.eq((product + half)[REQUANTISE_RIGHT:bits])
        m.d.sync += self.part.eq(saturate(m, rounded, 16, "limited_part"))
        return m

    def _prescale(self, m: Module) -> Value:
        """`sat19((total << prescale_left) >> shift)`.

        Whether the value fits is found beside the shift, not after it: the bits that the shift leaves above the result,
        and that must equal the sign, begin where `shift` says.
        """
        total = self.total << self.left
        sign, top = total[-1], PRESCALED_BITS - 1
        above = total[top:-1]
        # Whether the shift leaves a bit above the result; no shift removes the highest.
        most = (1 << len(self.shift)) - 1
        within = [self.shift <= place if place < most else Const(1) for place in range(len(above))]
        shifted, limit, fits = Signal(PRESCALED_BITS), Signal(PRESCALED_BITS), Signal()
        m.d.comb += [
            shifted.eq(total >> self.shift),
            limit.eq(Cat((~sign).replicate(top), sign)),
            fits.eq(~Cat((bit ^ sign) & reaches for bit, reaches in zip(above, within, strict=True)).any()),
        ]
        return Mux(fits, shifted, limit).as_signed()
