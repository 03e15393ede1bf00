"""Saturation and rounding, as hardware and as integers."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed

__all__ = ["round_shift", "saturate", "saturate_int"]


def saturate(m: Module, value: Value, bits: int, name: str) -> Signal:
    """A signal of `bits` bits with the signed `value` limited to its range."""
    value = value.as_signed()
    limited = Signal(signed(bits), name=name)
    if len(value) <= bits:
        m.d.comb += limited.eq(value)
        return limited
    sign = value[-1]
    top = value[bits - 1 :]
    fits = Signal(name=f"{name}_fits")
    m.d.comb += [
        fits.eq((top == 0) | top.all()),
        limited.eq(Mux(fits, value[:bits], Cat((~sign).replicate(bits - 1), sign)).as_signed()),
    ]
    return limited


def round_shift(value: int, shift: int) -> int:
    """`value / 2^shift` rounded to the nearest integer, halves upward; `shift` 0 returns `value`."""
    return value if shift == 0 else (value + (1 << (shift - 1))) >> shift


def saturate_int(value: int, bits: int) -> int:
    """`value` limited to the range of `bits`-bit two's complement."""
    return max(-(1 << (bits - 1)), min((1 << (bits - 1)) - 1, value))
