"""Sigmoid by a table with linear interpolation, tanh from the same table, relu and identity."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.fixed_point import round_shift, saturate, saturate_int
from hdl.layouts import Activation, table_entry_layout
from hdl.parameters import GridParameters

__all__ = ["SUM_BITS", "ActivationUnit"]


#: Bits of the sum that an activation unit takes: as many as a multiply-accumulate has after rounding.
SUM_BITS = 19


class ActivationUnit(wiring.Component):
    """Limits a sum to 16 bits and applies an `Activation` to it: Q5.10 in, Q0.15 out for sigmoid and tanh.

    The table is a memory outside: `segment` is its read address (combinational from `value` and `activation`), and
    `entry` must hold the word `memory_registers` + 1 cycles later. `result` is valid `latency` cycles after `value` and
    `activation`. One value a cycle.
    """

    module_name = "srnn_activation_unit"

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = parameters
        super().__init__({
            "value": In(signed(SUM_BITS)),
            "activation": In(Activation),
            "segment": Out(parameters.segment_bits),
            "entry": In(table_entry_layout(parameters)),
            "result": Out(signed(16)),
        })

    @property
    def latency(self) -> int:
        """Cycles from `value` to `result`: table, multiply, add."""
        return 1 + self.parameters.memory_registers + 2

    def model(self, value: int, function: Activation, knots: Sequence[int]) -> int:
        """`result` for one value; `knots` are the table's `table_segments + 1` values (Q0.15)."""
        p, value = self.parameters, saturate_int(value, 16)
        if function == Activation.IDENTITY:
            return value
        if function == Activation.RELU:
            return max(value, 0)
        argument = saturate_int(2 * value, 16) if function == Activation.TANH else value
        position = saturate_int(argument, 15) + (1 << 14)
        segment, fraction = position >> p.fraction_bits, position & ((1 << p.fraction_bits) - 1)
        sigmoid = knots[segment] + round_shift((knots[segment + 1] - knots[segment]) * fraction, p.fraction_bits)
        return 2 * sigmoid - 32768 if function == Activation.TANH else sigmoid

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        position = Signal(15)
        # A sum beyond 16 bits is beyond the table as well: the position needs no limited value.
        m.d.comb += position.eq(Mux(self.activation == Activation.TANH, _clip(self.value, 14), _clip(self.value, 15)))
        m.d.comb += self.segment.eq(position[p.fraction_bits :])

        limited = saturate(m, self.value, 16, "limited")
        passed = Signal(signed(16))
        m.d.comb += passed.eq(Mux((self.activation == Activation.RELU) & limited[15], 0, limited))
        fraction, activation, value = position[: p.fraction_bits], self.activation, passed
        for number in range(1 + p.memory_registers):
            later = Signal(p.fraction_bits, name=f"fraction_{number}", reset_less=True)
            m.d.sync += later.eq(fraction)
            fraction = later
            activation, value = _delayed(m, activation, value, f"{number}")

        rise = Signal(p.slope_bits + p.fraction_bits, reset_less=True)
        base = Signal(15, reset_less=True)
        m.d.sync += [rise.eq(self.entry.rise * fraction), base.eq(self.entry.base)]
        activation, value = _delayed(m, activation, value, "multiplied")

        rounded = Signal(p.slope_bits + p.fraction_bits + 1)
        sigmoid = Signal(15)
        m.d.comb += [
            rounded.eq(rise + (1 << (p.fraction_bits - 1))),
            sigmoid.eq(base + (rounded >> p.fraction_bits)),
        ]
        with m.Switch(activation):
            with m.Case(Activation.SIGMOID):
                m.d.sync += self.result.eq(sigmoid)
            with m.Case(Activation.TANH):
                # 2 * sigmoid - 32768: the sign bit is the inverse of the top bit.
                m.d.sync += self.result.eq(Cat(0, sigmoid[:14], ~sigmoid[14]).as_signed())
            with m.Default():
                m.d.sync += self.result.eq(value)
        return m


def _delayed(m: Module, activation: Value, value: Value, name: str) -> tuple[Signal, Signal]:
    """The function and the value that it may pass on, one cycle later."""
    later = Signal(Activation, name=f"activation_{name}", reset_less=True)
    passed = Signal(signed(16), name=f"value_{name}", reset_less=True)
    m.d.sync += [later.eq(activation), passed.eq(value)]
    return later, passed


def _clip(value: Value, bits: int) -> Value:
    """Table position of a value: limited to `bits` bits, scaled to 15 bits, with zero at 2^14."""
    sign = value[-1]
    top = value[bits - 1 :]
    fits = (top == 0) | top.all()
    limited = Mux(fits, value[: bits - 1], (~sign).replicate(bits - 1))
    # A value beyond the table's right end takes its last position, whatever the scale.
    return Cat((~fits & ~sign).replicate(15 - bits), limited, ~sign)
