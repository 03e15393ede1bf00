"""The output stream: AXI4-Stream, packets with one end each, and every group in its place."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal

from hdl.grid.output_stream import OutputStream
from hdl.parameters import GridParameters
from sim_tests.proofs.harness import Harness, at_most_one

__all__ = ["OutputStreamProof"]


#: Most steps of a sequence in the proof. The counters of the hardware are wider.
_STEPS = 3


class OutputStreamProof(Harness):
    """Promises of `hdl.grid.output_stream`."""

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = parameters
        super().__init__(OutputStream(parameters))

    def state(self, m: Module) -> None:
        dut = self.dut
        stream, header = dut.m_axis, dut.header
        # The controller: nothing but the flush around a sequence; its values are held.
        started = Signal()
        held_steps, held_header = Signal(32), Signal(len(header.as_value()))
        with m.If(dut.begin_sequence):
            m.d.sync += [started.eq(1), held_steps.eq(dut.steps), held_header.eq(header.as_value())]
        self.assume(~dut.begin_sequence | (dut.flush & (dut.steps != 0) & dut.idle))
        self.assume(dut.flush | started)
        self.assume(dut.begin_sequence | ~started | ((dut.steps == held_steps) & (header.as_value() == held_header)))
        self.assume(~dut.skip_step | ~dut.flush)
        self.assume((header.output_groups < 2) & (dut.steps <= _STEPS))
        before_valid, before_ready, fresh_reset = Signal(), Signal(), Signal(init=1)
        payload = (stream.tkeep, stream.tlast)
        before = [Signal.like(value) for value in payload]
        m.d.sync += [before_valid.eq(stream.tvalid), before_ready.eq(stream.tready), fresh_reset.eq(0)]
        m.d.sync += [kept.eq(value) for kept, value in zip(before, payload, strict=True)]
        before_data = Signal.like(stream.tdata)
        m.d.sync += before_data.eq(stream.tdata)
        stalled = before_valid & ~before_ready
        self.promise("an offer is not withdrawn", ~stalled | stream.tvalid)
        self.promise("an offer does not change", ~stalled | (
            (before[0] == stream.tkeep) & (before[1] == stream.tlast) & (before_data == stream.tdata)
        ))
        # Packets: each ends once; none is open when the stream is idle.
        taken, in_packet = Signal(), Signal()
        m.d.comb += taken.eq(stream.tvalid & stream.tready)
        with m.If(taken):
            m.d.sync += in_packet.eq(~stream.tlast)
        self.promise("an idle stream has no packet open", ~dut.idle | ~in_packet)
        self.promise("an idle stream offers nothing", ~dut.idle | ~stream.tvalid)
        # Beats of one sequence.
        beats, steps_left, flushed = Signal(len(header.output_groups)), Signal(2), Signal()
        last_group = beats == header.output_groups
        last = last_group & (steps_left == 1)
        with m.If(dut.begin_sequence):
            m.d.sync += [beats.eq(0), steps_left.eq(dut.steps), flushed.eq(0)]
        with m.Else():
            with m.If(dut.flush):
                m.d.sync += flushed.eq(1)
            with m.If(taken):
                m.d.sync += [beats.eq(Mux(last_group, 0, beats + 1)), steps_left.eq(steps_left - last_group)]
        skipped = Signal()
        with m.If(dut.begin_sequence):
            m.d.sync += skipped.eq(0)
        with m.Elif(dut.skip_step):
            m.d.sync += skipped.eq(1)
        plain = ~flushed & ~dut.flush & ~skipped & ~dut.skip_step
        self.promise("tlast is on the last beat of the last step, and on no other", ~(stream.tvalid & plain) | (
            stream.tlast == last
        ))
        self.promise("tkeep leaves out what is beyond the output", ~(stream.tvalid & plain) | (
            stream.tkeep == Mux(last_group, (4 << (header.output_last << 1)) - 1, -1)[: len(stream.tkeep)]
        ))
        self.promise("no beat after the last", ~(stream.tvalid & plain) | (steps_left != 0))
        self.promise("what tkeep keeps begins at the first value", ~stream.tvalid | (
            (stream.tkeep & (stream.tkeep + 1)) == 0
        ))
        # After a flush: the beat on offer, and one that ends the packet.
        after = Signal(2)
        with m.If(~dut.flush | dut.begin_sequence):
            m.d.sync += after.eq(0)
        with m.Elif(taken & (after != 3)):
            m.d.sync += after.eq(after + 1)
        self.promise("a flush lets at most two beats go", ~(dut.flush & stream.tvalid) | (after < 2))
        self.promise("the second of them ends the packet", ~(dut.flush & stream.tvalid & (after == 1)) | stream.tlast)
        self.promise("only one of the two counts", at_most_one(dut.begin_sequence, dut.skip_step))
        self.reach("a whole packet of two steps", taken & stream.tlast & plain & (dut.steps == 2))
        self.reach("a packet that a flush ends", taken & stream.tlast & dut.flush & (after == 1))
        self.reach("a beat waits", stalled & stream.tvalid)
