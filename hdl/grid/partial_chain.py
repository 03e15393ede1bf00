"""The adder that chains the partial sums of a row across its PCUs."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.parameters import GridParameters

__all__ = ["PartialChain"]


class PartialChain(wiring.Component):
    """Adds the sum of the western neighbour to a row's own.

    `partial_out` is `total` of the cycle before, with `follows` plus its `partial_in`. The sum wraps.
    """

    module_name = "srnn_partial_chain"

    #: Cycles from the inputs to `partial_out`.
    latency = 1

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = parameters
        shape = signed(parameters.accumulator_bits)
        super().__init__({
            "follows": In(1),
            "total": In(shape),
            "partial_in": In(shape),
            "partial_out": Out(shape),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        total = Signal(self.partial_out.shape(), reset_less=True)
        before = self.partial_in & self.follows.replicate(self.parameters.accumulator_bits)
        m.d.sync += total.eq(self.total + before.as_signed())
        m.d.comb += self.partial_out.eq(total)
        return m
