"""Sigmoid by a table with linear interpolation, tanh from the same table, relu and identity."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.fixed_point import round_shift, saturate_int
from hdl.layouts import Activation, table_entry_layout
from hdl.parameters import GridParameters

__all__ = ["ActivationUnit"]


class ActivationUnit(wiring.Component):
    """Applies an `Activation` to a 16-bit value: Q5.10 in, Q0.15 out for sigmoid and tanh.

    The table is a memory outside: `segment` is its read address (combinational from `value`), and `entry` must hold
    the word one cycle later. `result` is valid two cycles after `value` and `activation`. One value a cycle.
    """

    module_name = "srnn_activation_unit"

    #: Cycles from `value` to `result`.
    latency = 2

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = parameters
        super().__init__({
            "value": In(signed(16)),
            "activation": In(Activation),
            "segment": Out(parameters.segment_bits),
            "entry": In(table_entry_layout(parameters)),
            "result": Out(signed(16)),
        })

    def model(self, value: int, function: Activation, knots: Sequence[int]) -> int:
        """`result` for one value; `knots` are the table's `table_segments + 1` values (Q0.15)."""
        p = self.parameters
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
        m.d.comb += position.eq(Mux(self.activation == Activation.TANH, _clip(self.value, 14), _clip(self.value, 15)))
        m.d.comb += self.segment.eq(position[p.fraction_bits :])

        fraction = Signal(p.fraction_bits, reset_less=True)
        activation = Signal(Activation, reset_less=True)
        value = Signal(signed(16), reset_less=True)
        m.d.sync += [
            fraction.eq(position[: p.fraction_bits]),
            activation.eq(self.activation),
            value.eq(self.value),
        ]

        rise = Signal(p.slope_bits + p.fraction_bits + 1)
        sigmoid = Signal(15)
        m.d.comb += [
            rise.eq(self.entry.rise * fraction + (1 << (p.fraction_bits - 1))),
            sigmoid.eq(self.entry.base + (rise >> p.fraction_bits)),
        ]
        with m.Switch(activation):
            with m.Case(Activation.IDENTITY):
                m.d.sync += self.result.eq(value)
            with m.Case(Activation.SIGMOID):
                m.d.sync += self.result.eq(sigmoid)
            with m.Case(Activation.TANH):
                # 2 * sigmoid - 32768: the sign bit is the inverse of the top bit.
                m.d.sync += self.result.eq(Cat(0, sigmoid[:14], ~sigmoid[14]).as_signed())
            with m.Case(Activation.RELU):
                m.d.sync += self.result.eq(Mux(value[15], 0, value))
        return m


def _clip(value: Value, bits: int) -> Value:
    """Table position of a 16-bit value: limited to `bits` bits, scaled to 15 bits, with zero at 2^14."""
    sign = value[15]
    top = value[bits - 1 :]
    fits = (top == 0) | top.all()
    limited = Mux(fits, value[: bits - 1], (~sign).replicate(bits - 1))
    # A value beyond the table's right end takes its last position, whatever the scale.
    return Cat((~fits & ~sign).replicate(15 - bits), limited, ~sign)
