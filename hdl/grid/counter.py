"""Long counters."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, Value

__all__ = ["counter"]


def counter(m: Module, value: Signal, counts: Value, clear: Value, *, first: int = 0, part: int = 16) -> None:
    """`value` counts up by one with `counts`, and becomes `first` with `clear`.

    Without a long carry: `value` consists of parts of `part` bits, and a register beside each says whether it is full.
    """
    for low in range(0, len(value), part):
        bits = value[low : low + part]
        full = Signal(name=f"{value.name}_full_{low}")
        with m.If(clear):
            m.d.sync += [bits.eq(first if low == 0 else 0), full.eq(0)]
        with m.Elif(counts):
            m.d.sync += [bits.eq(bits + 1), full.eq(bits == (1 << len(bits)) - 2)]
        counts = counts & full
