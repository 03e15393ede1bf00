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
    """`sat16(round(sat19((total << left) >> shift) * multiplier, 12))`, two cycles after `total`."""

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
        m.d.sync += prescaled.eq(_limited(shifted, PRESCALED_BITS))
        m.d.comb += product.eq(prescaled * multiplier)
        m.d.sync += [
            wanted.eq(_limited((product + (1 << (REQUANTISE_RIGHT - 1))) >> REQUANTISE_RIGHT, 16)),
            known.eq(Mux(known == 2, 2, known + 1)),
        ]
        self.promise("part is the formula", (known < 2) | (dut.part == wanted))
        self.reach("a part that is limited", (known == 2) & (dut.part == 32767))


class MultiplyAccumulateProof(Harness):
    """`sat16(round(x * (y - z) + addend, 15))`, one cycle after the operands."""

    def __init__(self, parameters: GridParameters) -> None:
        super().__init__(MultiplyAccumulate())

    def state(self, m: Module) -> None:
        dut = self.dut
        difference, product = Signal(signed(17)), Signal(signed(33), reset_less=True)
        value, use_kept = Signal(signed(16), reset_less=True), Signal(reset_less=True)
        kept, kept_known, known = Signal(signed(32), reset_less=True), Signal(), Signal()
        total = Signal(signed(36))
        m.d.comb += difference.eq(dut.y - dut.z)
        m.d.sync += [
            product.eq(dut.x * difference), value.eq(dut.value), use_kept.eq(dut.use_kept), known.eq(1),
        ]
        m.d.comb += total.eq(product + Mux(use_kept, kept, value << 15) + (1 << 14))
        with m.If((dut.keep == Keep.ACTIVATION) & known):
            m.d.sync += [kept.eq(dut.result << KEPT_LEFT), kept_known.eq(1)]
        with m.Elif((dut.keep == Keep.PRE_ACTIVATION) & known):
            m.d.sync += [kept.eq(dut.result << 15), kept_known.eq(1)]
        self.promise("result is the formula", ~known | (use_kept & ~kept_known) | (
            dut.result == _limited(total >> 15, 16)
        ))
        self.reach("a kept result is used", known & use_kept & kept_known & (dut.result == 100))
        self.reach("a result that is limited", known & (dut.result == -32768))


class ActivationProof(Harness):
    """Table positions, interpolation and the other functions; the table is whatever is read from it."""

    free_registers = False

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = parameters
        super().__init__(ActivationUnit(parameters))

    def state(self, m: Module) -> None:
        p, dut = self.parameters, self.dut
        argument, position = Signal(signed(17)), Signal(16)
        tanh = dut.activation == Activation.TANH
        m.d.comb += [
            argument.eq(_limited(Mux(tanh, dut.value << 1, dut.value), 16)),
            position.eq(_limited(argument, 15) + (1 << 14)),
        ]
        self.promise("segment is the upper part of the position", dut.segment == position[p.fraction_bits : 15])
        fraction, value = Signal(p.fraction_bits, reset_less=True), Signal(signed(16), reset_less=True)
        function, known = Signal(Activation, reset_less=True), Signal(2)
        sigmoid, wanted = Signal(16), Signal(signed(17))
        m.d.sync += [fraction.eq(position), value.eq(dut.value), function.eq(dut.activation)]
        m.d.comb += sigmoid.eq(
            dut.entry.base + ((dut.entry.rise * fraction + (1 << (p.fraction_bits - 1))) >> p.fraction_bits)
        )
        with m.Switch(function):
            with m.Case(Activation.IDENTITY):
                m.d.sync += wanted.eq(value)
            with m.Case(Activation.RELU):
                m.d.sync += wanted.eq(Mux(value < 0, 0, value))
            with m.Case(Activation.SIGMOID):
                m.d.sync += wanted.eq(sigmoid)
            with m.Case(Activation.TANH):
                m.d.sync += wanted.eq((sigmoid << 1) - 32768)
        m.d.sync += known.eq(Mux(known == 2, 2, known + 1))
        # Knots of a table are from 0 to 1 (Q0.15), so that a segment's value stays below 2^15.
        self.assume(sigmoid < 1 << 15)
        self.promise("result is the formula", (known < 2) | (dut.result == wanted))
        self.reach("tanh", (known == 2) & (function == Activation.TANH) & (dut.result == -5))
