"""The arithmetic blocks equal the formulas of their models, for all inputs."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value, signed

from hdl.grid.activation import ActivationUnit
from hdl.grid.multiply_accumulate import MultiplyAccumulate
from hdl.grid.requantiser import Requantiser
from hdl.layouts import Activation, Keep
from hdl.numerics import KEPT_LEFT, PRESCALED_BITS, REQUANTISE_RIGHT
from hdl.parameters import GridParameters
from sim_tests.proofs.harness import Harness

__all__ = ["ActivationProof", "MultiplyAccumulateProof", "RequantiserProof"]


def _limited(value: Value, bits: int) -> Value:
    """A signed value, saturated to so many bits."""
    most = (1 << (bits - 1)) - 1
    return Mux(value > most, most, Mux(value < -most - 1, -most - 1, value))


class RequantiserProof(Harness):
    """`sat16(round(sat19((total << left) >> shift) * multiplier, 12))`, `latency` cycles after `total`."""

    free_registers = False

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = parameters
        super().__init__(Requantiser(parameters))

    def state(self, m: Module) -> None:
        dut, left = self.dut, self.parameters.arithmetic.prescale_left
        wide = self.parameters.accumulator_bits + left
        total, shifted = Signal(signed(wide)), Signal(signed(wide))
        prescaled, multiplier = Signal(signed(PRESCALED_BITS), reset_less=True), Signal.like(dut.multiplier)
        product = Signal(signed(PRESCALED_BITS + len(dut.multiplier) + 1))
        wanted, known = Signal(signed(16)), Signal(2)
        m.d.comb += [total.eq(dut.total << left), shifted.eq(total >> dut.shift), multiplier.eq(dut.multiplier)]
        m.d.sync += [
            prescaled.eq(_limited(shifted, PRESCALED_BITS)),
            product.eq(prescaled * multiplier),
            wanted.eq(_limited((product + (1 << (REQUANTISE_RIGHT - 1))) >> REQUANTISE_RIGHT, 16)),
            known.eq(Mux(known == 3, 3, known + 1)),
        ]
        self.promise("part is the formula", (known < 3) | (dut.part == wanted))
        self.reach("a part that is limited", (known == 3) & (dut.part == 32767))


class MultiplyAccumulateProof(Harness):
    """`sat16(round(x * (y - z) + addend, 15))`, two cycles after the operands."""

    free_registers = False

    def __init__(self, parameters: GridParameters) -> None:
        super().__init__(MultiplyAccumulate(parameters))

    def state(self, m: Module) -> None:
        dut = self.dut
        x, difference = Signal(signed(16), reset_less=True), Signal(signed(17), reset_less=True)
        product, total = Signal(signed(33), reset_less=True), Signal(signed(36))
        value, use_kept = Signal(signed(16), reset_less=True), Signal(reset_less=True)
        addend, kept = Signal(signed(32), reset_less=True), Signal(signed(32), reset_less=True)
        #: Cycles since the operations are known, whether a kept result is known, and whether the addend is.
        known, kept_known, addend_known = Signal(2), Signal(), Signal()
        m.d.sync += [
            x.eq(dut.x), difference.eq(dut.y - dut.z), value.eq(dut.value), use_kept.eq(dut.use_kept),
            product.eq(x * difference), addend.eq(Mux(use_kept, kept, value << 15)),
            addend_known.eq(~use_kept | kept_known), known.eq(Mux(known == 2, 2, known + 1)),
        ]
        m.d.comb += total.eq(product + addend + (1 << 14))
        with m.If((dut.keep == Keep.ACTIVATION) & (known == 2)):
            m.d.sync += [kept.eq(dut.result << KEPT_LEFT), kept_known.eq(1)]
        with m.Elif((dut.keep == Keep.PRE_ACTIVATION) & (known == 2)):
            m.d.sync += [kept.eq(dut.result << 15), kept_known.eq(1)]
        self.promise("result is the formula", (known < 2) | ~addend_known | (
            dut.result == _limited(total >> 15, 16)
        ))
        self.promise("total is the formula", (known < 2) | ~addend_known | (dut.total == total >> 15))
        self.reach("a kept result is used", (known == 2) & addend_known & (dut.result == 100))
        self.reach("a result that is limited", (known == 2) & (dut.result == -32768))


class ActivationProof(Harness):
    """Table positions, interpolation and the other functions; the table is whatever is read from it."""

    free_registers = False

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = parameters
        super().__init__(ActivationUnit(parameters))

    def state(self, m: Module) -> None:
        p, dut = self.parameters, self.dut
        limited, argument, position = Signal(signed(16)), Signal(signed(17)), Signal(16)
        tanh = dut.activation == Activation.TANH
        m.d.comb += [
            limited.eq(_limited(dut.value, 16)),
            argument.eq(_limited(Mux(tanh, limited << 1, limited), 16)),
            position.eq(_limited(argument, 15) + (1 << 14)),
        ]
        self.promise("segment is the upper part of the position", dut.segment == position[p.fraction_bits : 15])
        fraction, value = Signal(p.fraction_bits, reset_less=True), Signal(signed(16), reset_less=True)
        function, known = Signal(Activation, reset_less=True), Signal(2)
        rise, base = Signal(p.slope_bits + p.fraction_bits, reset_less=True), Signal(15, reset_less=True)
        later_value, later = Signal(signed(16), reset_less=True), Signal(Activation, reset_less=True)
        sigmoid, wanted = Signal(16), Signal(signed(17))
        m.d.sync += [
            fraction.eq(position), value.eq(limited), function.eq(dut.activation),
            rise.eq(dut.entry.rise * fraction), base.eq(dut.entry.base), later_value.eq(value), later.eq(function),
            known.eq(Mux(known == 3, 3, known + 1)),
        ]
        m.d.comb += sigmoid.eq(base + ((rise + (1 << (p.fraction_bits - 1))) >> p.fraction_bits))
        with m.Switch(later):
            with m.Case(Activation.IDENTITY):
                m.d.sync += wanted.eq(later_value)
            with m.Case(Activation.RELU):
                m.d.sync += wanted.eq(Mux(later_value < 0, 0, later_value))
            with m.Case(Activation.SIGMOID):
                m.d.sync += wanted.eq(sigmoid)
            with m.Case(Activation.TANH):
                m.d.sync += wanted.eq((sigmoid << 1) - 32768)
        # Knots of a table are from 0 to 1 (Q0.15), so that a segment's value stays below 2^15.
        self.assume((known < 2) | (sigmoid < 1 << 15))
        self.promise("result is the formula", (known < 3) | (dut.result == wanted))
        self.reach("tanh", (known == 3) & (dut.result == -5))
