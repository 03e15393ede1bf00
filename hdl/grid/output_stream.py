"""Output vectors: from groups of results in any order to AXI4-Stream beats in order."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.memory import ExternalMemory
from hdl.grid.ports import Ports, axi_stream
from hdl.layouts import schedule_header_layout
from hdl.parameters import GridParameters

__all__ = ["OutputStream"]


class OutputStream(wiring.Component):
    """Buffers two steps of results and sends each in order, `rows` 16-bit values a beat.

    `group_valid`, `group`, `group_parity` and `values` store one group of results. The output of a step begins when
    `header.output_start` of its groups have arrived; the mapper proves that the others arrive in time.
    `tlast` marks the last beat of the last of `steps` steps, `tkeep` the values that belong to the output.
    `begin_sequence`, during `flush`, starts a sequence whose first step is in half `parity`. `steps_sent` counts the
    steps whose last beat was fetched, so that their half can be written again, and `all_sent` is high when there are no
    more; `skip_step` counts a step without output. `flush` stops the stream after the beat on offer. If the packet has
    begun and not ended by then, one more beat ends it: with `tlast`, and with values that mean nothing, so that no
    later sequence continues the packet.
    `idle` is high while no beat is on offer and none is missing.
    """

    module_name = "srnn_output_stream"

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = p = parameters
        super().__init__(Ports({
            "m_axis": Out(axi_stream(16 * p.rows, keep_bits=2 * p.rows)),
            "begin_sequence": In(1),
            "flush": In(1),
            "steps": In(32),
            "parity": In(1),
            "header": In(schedule_header_layout(p)),
            "group_valid": In(1),
            "group": In(p.group_bits),
            "group_parity": In(1),
            "values": In(16 * p.rows),
            "skip_step": In(1),
            "steps_sent": Out(32),
            "all_sent": Out(1),
            "idle": Out(1),
        }))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        stream = self.m_axis
        half = 1 << p.group_bits
        m.submodules.buffer = buffer = ExternalMemory(16 * p.rows, 2 * half)
        arrived = Array(Signal(p.group_bits + 1, name=f"arrived_{parity}") for parity in range(2))
        parity = Signal()
        #: Steps that are left, and whether there is one.
        steps_left, last_step = Signal(32, reset_less=True), Signal(reset_less=True)
        sending = Signal(p.group_bits)
        #: Whether the first of its groups have arrived, for each half.
        begun = Array(Signal(name=f"begun_{parity}") for parity in range(2))
        begins_empty = self.header.output_start == 0
        #: The next group is the last one of its step.
        last_group = Signal()
        ready, fetch = Signal(), Signal()
        #: A beat was offered, and tlast was not.
        in_packet, last, ends_early = Signal(), Signal(), Signal()
        m.d.comb += [
            buffer.write.enable.eq(self.group_valid),
            buffer.write.address.eq(self.group | (self.group_parity << p.group_bits)),
            buffer.write.data.eq(self.values),
            buffer.read.address.eq((self.header.output_base + sending)[: p.group_bits] | (parity << p.group_bits)),
            buffer.read.enable.eq(fetch),
            stream.tdata.eq(buffer.read.data),
            ready.eq(~stream.tvalid | stream.tready),
            fetch.eq(begun[parity] & ready & ~self.flush & ~self.all_sent),
            last.eq(last_group & last_step),
            ends_early.eq(self.flush & in_packet & ready),
            self.idle.eq(~stream.tvalid & ~in_packet),
        ]
        with m.If(stream.tready):
            m.d.sync += stream.tvalid.eq(0)
        for index in range(2):
            with m.If(self.group_valid & (self.group_parity == index)):
                m.d.sync += arrived[index].eq(arrived[index] + 1)
                with m.If(arrived[index] + 1 == self.header.output_start):
                    m.d.sync += begun[index].eq(1)
        with m.If(fetch):
            m.d.sync += [
                stream.tvalid.eq(1),
                stream.tlast.eq(last),
                in_packet.eq(~last),
                stream.tkeep.eq(Mux(last_group, (4 << (self.header.output_last << 1)) - 1, -1)),
                sending.eq(Mux(last_group, 0, sending + 1)),
                last_group.eq(Mux(last_group, 0, sending + 1) == self.header.output_groups),
            ]
        with m.Elif(ends_early):
            m.d.sync += [stream.tvalid.eq(1), stream.tlast.eq(1), stream.tkeep.eq(-1), in_packet.eq(0)]
        with m.If(self.skip_step | (fetch & last_group)):
            m.d.sync += [
                self.steps_sent.eq(self.steps_sent + 1), parity.eq(~parity), arrived[parity].eq(0),
                begun[parity].eq(begins_empty),
                steps_left.eq(steps_left - 1), last_step.eq(steps_left == 2), self.all_sent.eq(last_step),
            ]
        with m.If(self.begin_sequence):
            m.d.sync += [
                parity.eq(self.parity), sending.eq(0), self.steps_sent.eq(0), arrived[0].eq(0), arrived[1].eq(0),
                begun[0].eq(begins_empty), begun[1].eq(begins_empty), last_group.eq(self.header.output_groups == 0),
                steps_left.eq(self.steps), last_step.eq(self.steps == 1), self.all_sent.eq(0),
            ]
        return m
