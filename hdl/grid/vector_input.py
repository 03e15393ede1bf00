"""Input vectors: from AXI4-Stream beats to the double-buffered input vector in every PMU."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.ports import axi_stream
from hdl.layouts import WriteKind, schedule_header_layout, vector_address_layout, write_word_layout
from hdl.parameters import GridParameters

__all__ = ["VectorInput"]


class VectorInput(wiring.Component):
    """Writes `header.input_beats` beats a step, for `steps` steps, to alternating halves of the input vector.

    `begin_sequence` starts a sequence, whose first step goes to half `parity`. While `running`, a beat is taken when
    one of the two halves is free (`free` returns one) and the write stream takes the word (`taken`); `tready` follows
    combinationally. Without input beats nothing is taken. `available` is high while a loaded step has not been taken by
    `consume`.
    `tlast` belongs on the last beat of the last step. `framing_early` reports an earlier one, and no further beat is
    taken until the next sequence. After a missing one
    (`framing_late`) and during `flush`, beats are dropped up to the next `tlast` of a packet under way (`in_packet`).
    """

    module_name = "srnn_vector_input"

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = p = parameters
        super().__init__({
            **axi_stream(p.beat_bits).flip().members,
            "begin_sequence": In(1),
            "running": In(1),
            "flush": In(1),
            "steps": In(32),
            "parity": In(1),
            "header": In(schedule_header_layout(p)),
            "free": In(1),
            "consume": In(1),
            "available": Out(1),
            "word": Out(write_word_layout(p)),
            "word_valid": Out(1),
            "taken": In(1),
            "in_packet": Out(1),
            "framing_early": Out(1),
            "framing_late": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        layout = vector_address_layout(p)
        target = Signal(layout)
        beats_left = Signal(16)
        steps_left = Signal(32)
        #: Of the two counts: the next beat is the last of its step, the step is the last, and there is none.
        last_beat, last_step, is_over = Signal(), Signal(), Signal(init=1)
        room = Signal(2)
        late = Signal()
        accepting, dropping, accepted = Signal(), Signal(), Signal()
        last, step_done = Signal(), Signal()
        m.d.comb += [
            dropping.eq(late | (self.flush & self.in_packet)),
            accepting.eq(self.running & ~dropping & (room != 0) & ~is_over),
            self.word.kind.eq(WriteKind.VECTOR),
            self.word.address.eq(target),
            self.word.data.eq(self.tdata),
            self.word_valid.eq(accepting & self.tvalid),
            self.tready.eq((accepting & self.taken) | dropping),
            accepted.eq(self.tvalid & self.tready),
            last.eq(last_beat & last_step),
        ]
        with m.If(accepted):
            m.d.sync += self.in_packet.eq(~self.tlast)
        with m.If(accepted & dropping & self.tlast):
            m.d.sync += late.eq(0)
        with m.If(accepted & accepting):
            m.d.comb += [
                self.framing_early.eq(self.tlast & ~last),
                self.framing_late.eq(last & ~self.tlast),
                step_done.eq(last_beat),
            ]
            m.d.sync += [beats_left.eq(beats_left - 1), last_beat.eq(beats_left == 2)]
            self._advance(m, target)
            with m.If(self.framing_late):
                m.d.sync += late.eq(1)
            with m.If(last_beat):
                m.d.sync += [
                    beats_left.eq(self.header.input_beats), last_beat.eq(self.header.input_beats == 1),
                    target.offset.eq(self.header.input_offset), target.beat.eq(0), target.parity.eq(~target.parity),
                    steps_left.eq(steps_left - 1), last_step.eq(steps_left == 2), is_over.eq(last_step),
                ]
            with m.If(self.framing_early):
                m.d.sync += is_over.eq(1)
        self._count(m, step_done, room)
        without_input = self.header.input_beats == 0
        with m.If(self.begin_sequence):
            m.d.sync += [
                beats_left.eq(self.header.input_beats), last_beat.eq(self.header.input_beats == 1),
                target.offset.eq(self.header.input_offset), target.beat.eq(0), target.parity.eq(self.parity),
                # A sequence without input leaves every packet to the next one.
                steps_left.eq(Mux(without_input, 0, self.steps)), last_step.eq((self.steps == 1) & ~without_input),
                is_over.eq(without_input),
            ]
        return m

    def _advance(self, m: Module, target: Value) -> None:
        """Next beat of the vector, in this vector word or at the beginning of the next."""
        with m.If(target.beat == self.parameters.word_beats - 1):
            m.d.sync += [target.beat.eq(0), target.offset.eq(target.offset + 1)]
        with m.Else():
            m.d.sync += target.beat.eq(target.beat + 1)

    def _count(self, m: Module, step_done: Value, room: Signal) -> None:
        """Free halves, and loaded steps that are not yet consumed."""
        loaded = Signal(2)
        m.d.comb += self.available.eq(loaded != 0)
        m.d.sync += [
            room.eq(Mux(self.begin_sequence, 2, room + self.free - step_done)),
            loaded.eq(Mux(self.begin_sequence, 0, loaded + step_done - self.consume)),
        ]
