"""The skid buffer at the ports of the grid: no transfer is lost, doubled or reordered."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.skid import skid_buffer
from hdl.parameters import GridParameters
from sim_tests.proofs.harness import Harness

__all__ = ["SkidProof"]


class _SkidBuffer(wiring.Component):
    """`hdl.grid.skid` alone, as the top level has it at `s_axis`."""

    module_name = "skid_buffer"

    def __init__(self, bits: int) -> None:
        super().__init__({
            "valid": In(1), "ready": Out(1), "payload": In(bits), "taken": In(1), "valid_out": Out(1),
            "payload_out": Out(bits),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        valid, (payload,) = skid_buffer(m, "port", self.valid, self.ready, [self.payload], self.taken)
        m.d.comb += [self.valid_out.eq(valid), self.payload_out.eq(payload)]
        return m


class SkidProof(Harness):
    """Promises of `hdl.grid.skid`."""

    def __init__(self, parameters: GridParameters) -> None:
        super().__init__(_SkidBuffer(parameters.beat_bits))

    def state(self, m: Module) -> None:
        dut = self.dut
        # What was accepted at the port and not taken behind it, at most one.
        waits, kept = Signal(), Signal.like(dut.payload)
        accepted = dut.valid & dut.ready
        m.d.sync += waits.eq((waits | accepted) & ~dut.taken)
        with m.If(accepted):
            m.d.sync += kept.eq(dut.payload)
        self.promise("ready while nothing waits", dut.ready == ~waits)
        self.promise("what was accepted is offered until it is taken", dut.valid_out == (waits | dut.valid))
        self.promise("in order and as it came", ~dut.valid_out | (
            ((dut.payload_out == kept) | ~waits) & ((dut.payload_out == dut.payload) | waits)
        ))
        self.reach("one waits while another is offered", waits & dut.valid)
