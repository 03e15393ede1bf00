"""Output vectors: from groups of results in any order to AXI4-Stream beats in order."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.memory import ExternalMemory
from hdl.layouts import schedule_header_layout
from hdl.parameters import GridParameters

__all__ = ["OutputStream"]


class OutputStream(wiring.Component):
    """Buffers two steps of results and sends each in order, `rows` 16-bit values a beat.

    `group_valid`, `group`, `group_parity` and `values` store one group of results. The output of a step begins once
    `header.output_start` of its groups have arrived; the mapper has proven that the rest arrive in time.
    `tlast` marks the last beat of the last of `steps` steps, `tkeep` the values that belong to the output.
    `begin_sequence`, under `flush`, starts a sequence whose first step is in half `parity`. `steps_sent` counts steps
    whose last beat was fetched (their half can be written again). `flush` stops after the beat that is being offered.
    `idle` says that no beat is being offered.
    """

    module_name = "srnn_output_stream"

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = p = parameters
        super().__init__({
            "m_axis_tdata": Out(16 * p.rows),
            "m_axis_tkeep": Out(2 * p.rows),
            "m_axis_tvalid": Out(1),
            "m_axis_tready": In(1),
            "m_axis_tlast": Out(1),
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
            "idle": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        half = 1 << p.group_bits
        m.submodules.buffer = buffer = ExternalMemory(16 * p.rows, 2 * half)
        arrived = Array(Signal(p.group_bits + 1, name=f"arrived_{parity}") for parity in range(2))
        parity = Signal()
        sending = Signal(p.group_bits)
        started, ready, fetch, last_group = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            buffer.write_enable.eq(self.group_valid),
            buffer.write_address.eq(self.group | (self.group_parity << p.group_bits)),
            buffer.write_data.eq(self.values),
            buffer.read_address.eq((self.header.output_base + sending)[: p.group_bits] | (parity << p.group_bits)),
            buffer.read_enable.eq(fetch),
            self.m_axis_tdata.eq(buffer.read_data),
            started.eq(arrived[parity] >= self.header.output_start),
            ready.eq(~self.m_axis_tvalid | self.m_axis_tready),
            fetch.eq(started & ready & ~self.flush & (self.steps_sent != self.steps)),
            last_group.eq(sending == self.header.output_groups),
            self.idle.eq(~self.m_axis_tvalid),
        ]
        with m.If(self.m_axis_tready):
            m.d.sync += self.m_axis_tvalid.eq(0)
        for index in range(2):
            with m.If(self.group_valid & (self.group_parity == index)):
                m.d.sync += arrived[index].eq(arrived[index] + 1)
        with m.If(fetch):
            m.d.sync += [
                self.m_axis_tvalid.eq(1),
                self.m_axis_tlast.eq(last_group & (self.steps_sent == self.steps - 1)),
                self.m_axis_tkeep.eq(Mux(last_group, (4 << (self.header.output_last << 1)) - 1, -1)),
                sending.eq(Mux(last_group, 0, sending + 1)),
            ]
        with m.If(self.skip_step | (fetch & last_group)):
            m.d.sync += [self.steps_sent.eq(self.steps_sent + 1), parity.eq(~parity), arrived[parity].eq(0)]
        with m.If(self.begin_sequence):
            m.d.sync += [
                parity.eq(self.parity), sending.eq(0), self.steps_sent.eq(0), arrived[0].eq(0), arrived[1].eq(0)
            ]
        return m
