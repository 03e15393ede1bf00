"""Skid buffers, which cut the combinational path from a handshake's inputs to its ready output."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, Value

__all__ = ["skid_buffer"]


def skid_buffer(
    m: Module, name: str, valid: Value, ready: Value, payload: Sequence[Value], taken: Value
) -> tuple[Value, list[Value]]:
    """One transfer of room behind a port: `ready` is a register, and the transfer goes on without a cycle of delay.

    `valid` and `payload` are the port's inputs, `ready` is its output. Returns valid and payload for the logic behind
    the port, which answers with `taken` in the same cycle; what it does not take is kept for it, and meanwhile `ready`
    is low. A transfer in every cycle is possible. In reset `ready` is high and nothing is kept.
    """
    full = Signal(name=f"{name}_full")
    m.d.comb += ready.eq(~full)
    m.d.sync += full.eq((full | valid) & ~taken)
    values = []
    for index, value in enumerate(payload):
        kept = Signal.like(value, name=f"{name}_kept_{index}", reset_less=True)
        with m.If(~full):
            m.d.sync += kept.eq(value)
        values.append(Mux(full, kept, value))
    return full | valid, values
