"""The input of vectors: no beat is lost, doubled or reordered, and none is taken that is not of the sequence."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal

from hdl.grid.vector_input import VectorInput
from hdl.layouts import vector_address_layout
from hdl.parameters import GridParameters
from sim_tests.proofs.harness import Harness, at_most_one

__all__ = ["VectorInputProof"]

class VectorInputProof(Harness):
    """Promises of `hdl.grid.vector_input`."""

    # All of its registers have a reset.
    free_registers = False

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = parameters
        super().__init__(VectorInput(parameters))

    def state(self, m: Module) -> None:
        p, dut = self.parameters, self.dut
        # The controller: a sequence begins, runs, and is perhaps flushed; it consumes what is there and frees it after.
        began, started = Signal(), Signal()
        m.d.sync += began.eq(dut.begin_sequence)
        with m.If(dut.begin_sequence):
            m.d.sync += started.eq(1)
        self.assume(at_most_one(dut.begin_sequence, dut.running, dut.flush))
        self.assume(~dut.running | started)
        held_steps, held_beats = Signal(32), Signal(16)
        with m.If(dut.begin_sequence):
            m.d.sync += [held_steps.eq(dut.steps), held_beats.eq(dut.header.input_beats)]
        self.assume(dut.begin_sequence | ~started | (
            (dut.steps == held_steps) & (dut.header.input_beats == held_beats)
        ))
        self.assume(dut.steps != 0)
        # Steps that are loaded and not consumed, and those whose halves are not free again.
        waiting, in_use = Signal(2), Signal(2)
        self.assume(~dut.consume | (dut.running & dut.available))
        self.assume(~dut.free | (in_use != 0))

        # Places in the sequence: steps and beats that were taken, and the address of the next beat.
        address = Signal(vector_address_layout(p))
        beats_left, word_beat, steps_left = Signal(16), Signal(range(p.word_beats)), Signal(32)
        parity, offset = Signal(), Signal(p.vector_offset_bits)
        written = Signal()
        last_beat, last = Signal(), Signal()
        m.d.comb += [
            address.eq(dut.word.address), written.eq(dut.word_valid & dut.taken),
            last_beat.eq(beats_left == 1), last.eq(last_beat & (steps_left == 1)),
        ]
        with m.If(dut.begin_sequence):
            m.d.sync += [
                beats_left.eq(dut.header.input_beats), word_beat.eq(0),
                parity.eq(dut.parity), offset.eq(dut.header.input_offset),
                waiting.eq(0), in_use.eq(0), steps_left.eq(Mux(dut.header.input_beats == 0, 0, dut.steps)),
            ]
        with m.Else():
            m.d.sync += [
                waiting.eq(waiting + (written & last_beat) - dut.consume), in_use.eq(in_use + dut.consume - dut.free)
            ]
            with m.If(written):
                m.d.sync += [beats_left.eq(beats_left - 1), word_beat.eq(word_beat + 1)]
                with m.If(word_beat == p.word_beats - 1):
                    m.d.sync += [word_beat.eq(0), offset.eq(offset + 1)]
                with m.If(last_beat):
                    m.d.sync += [
                        beats_left.eq(dut.header.input_beats), word_beat.eq(0), steps_left.eq(steps_left - 1),
                        parity.eq(~parity),
                        offset.eq(dut.header.input_offset),
                    ]
        accepted = dut.tvalid & dut.tready
        in_packet = Signal()
        with m.If(accepted):
            m.d.sync += in_packet.eq(~dut.tlast)

        self.promise("a beat is written as it came", ~dut.word_valid | (dut.word.data == dut.tdata))
        self.promise("a beat is written only when it is on the bus", ~dut.word_valid | dut.tvalid)
        self.promise("a beat that is written is taken from the bus", ~written | accepted)
        self.promise("beats go one after the other to the words of their step", ~dut.word_valid | (
            (address.beat == word_beat) & (address.parity == parity) & (address.offset == offset)
        ))
        self.promise("nothing is written unless a sequence runs", ~dut.word_valid | dut.running)
        self.promise("no step beyond the last is written", ~dut.word_valid | (steps_left != 0))
        self.promise("at most two steps ahead of what is free", ~dut.word_valid | (waiting + in_use < 2))
        self.promise("a sequence without input takes nothing",
                     ~(dut.running & (dut.header.input_beats == 0)) | ~written)
        ended = Signal()
        m.d.sync += ended.eq(~dut.begin_sequence & (ended | dut.framing_early))
        self.promise("nothing is written after an early end", ~(ended & written))
        self.promise("available says whether a step waits", dut.begin_sequence | began | (
            dut.available == (waiting != 0)
        ) | ~started)
        self.promise("in_packet follows tlast", dut.in_packet == in_packet)
        self.promise("an early end is reported", ~(written & dut.tlast & ~last)
                     | dut.framing_early)
        self.promise("a missing end is reported", ~(written & ~dut.tlast & last) | dut.framing_late)
        self.promise("no other report", at_most_one(dut.framing_early, dut.framing_late)
                     & (~(dut.framing_early | dut.framing_late) | written))
        self.reach("a second step is written", written & (steps_left == 1) & last_beat & (dut.steps == 2))
        self.reach("an early end", dut.framing_early)
        self.reach("a late end", dut.framing_late)
        self.reach("a beat is dropped", accepted & ~written)
        self.reach("a sequence without input", dut.running & (dut.header.input_beats == 0) & dut.tvalid)
