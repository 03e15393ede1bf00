"""Load packets: from AXI4-Stream beats to the memories of the sites and of the controller."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.ports import axi_stream
from hdl.layouts import Memory, WriteKind, memory_address_layout, memory_shape, write_word_layout
from hdl.parameters import GridParameters, bits_for

__all__ = ["HEADER_BYTES", "ImageLoader", "load_header_layout"]

#: Bytes of a load packet's header.
HEADER_BYTES = 8


def load_header_layout() -> data.StructLayout:
    """Header of a load packet. It fills whole beats; the rest of its last beat is ignored."""
    return data.StructLayout({
        #: A `Memory` number.
        "memory": 8,
        #: For every row; `row` is ignored.
        "all_rows": 1,
        #: For every column; `col` is ignored.
        "all_cols": 1,
        #: Zero.
        "reserved": 6,
        #: Row of the site.
        "row": 8,
        #: Column of the site, 0 in the west.
        "col": 8,
        #: Address of the first word.
        "word": 32,
    })


class ImageLoader(wiring.Component):
    """Writes the words of load packets.

    A packet is a header (`load_header_layout`) and then memory words up to `tlast`, each in `memory_shape` beats, least
    significant beat first. Words of site memories are offered to the write stream (`word`, `word_valid`), which takes
    them with `taken`; words of the schedule ROM are written with `schedule_write`, at `word_address` and `word_beat`.
    A packet that begins while `busy` is dropped (`load_while_busy`). So are packets for a memory or site that does not
    exist, and words beyond the end of a memory (`load_address`). `loading` is high inside a packet; `begun` goes high
    for one cycle when a packet is accepted, together with `begun_state` if the packet carries a state or a vector.
    """

    module_name = "srnn_image_loader"

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = p = parameters
        super().__init__({
            **axi_stream(p.beat_bits).flip().members,
            "busy": In(1),
            "word": Out(write_word_layout(p)),
            "word_valid": Out(1),
            "taken": In(1),
            "schedule_write": Out(1),
            "word_address": Out(p.schedule_bits),
            "word_beat": Out(memory_address_layout(p)["beat"].shape),
            "loading": Out(1),
            "begun": Out(1),
            "begun_state": Out(1),
            "load_while_busy": Out(1),
            "load_address": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        layout = load_header_layout()
        header_beats = -(-HEADER_BYTES // p.beat_bytes)
        shift = Signal(8 * max(HEADER_BYTES, p.beat_bytes), reset_less=True)
        header = Signal(layout)
        count = Signal(bits_for(header_beats + 1))
        target = Signal(memory_address_layout(p))
        # A packet may go on beyond the end of any memory, so its words are counted in full width.
        word = Signal(32, reset_less=True)
        memory = Signal(4, reset_less=True)
        last_beat, depth = Signal(target.beat.shape()), Signal(32)
        m.d.comb += header.eq(Cat(shift[p.beat_bits :], self.tdata) if p.beat_bytes < HEADER_BYTES else self.tdata)
        with m.Switch(memory):
            for kind in Memory:
                _, words, beats = memory_shape(p, kind)
                with m.Case(int(kind)):
                    m.d.comb += [last_beat.eq(beats - 1), depth.eq(words)]
            with m.Default():
                m.d.comb += depth.eq(0)

        with m.FSM(name="packet"):
            with m.State("HEADER"):
                m.d.comb += [self.tready.eq(1), self.loading.eq(count != 0)]
                with m.If(self.tvalid):
                    m.d.sync += [shift.eq(Cat(shift[p.beat_bits :], self.tdata)), count.eq(count + 1)]
                    with m.If(self.tlast):
                        # A packet without data is an error.
                        m.d.sync += count.eq(0)
                        m.d.comb += self.load_address.eq(1)
                    with m.Elif(self.busy):
                        m.d.comb += self.load_while_busy.eq(1)
                        m.d.sync += count.eq(0)
                        m.next = "DROP"
                    with m.Elif(count == header_beats - 1):
                        m.d.sync += [
                            count.eq(0), target.eq(0), memory.eq(header.memory), word.eq(header.word),
                            target.memory.eq(header.memory), target.row.eq(header.row), target.col.eq(header.col),
                            target.all_rows.eq(header.all_rows), target.all_cols.eq(header.all_cols),
                        ]
                        wrong = (
                            (header.memory > int(max(Memory)))
                            | (~header.all_rows & (header.row >= p.rows))
                            | (~header.all_cols & (header.col >= p.cols))
                        )
                        with m.If(wrong):
                            m.d.comb += self.load_address.eq(1)
                            m.next = "DROP"
                        with m.Else():
                            m.d.comb += [
                                self.begun.eq(1),
                                self.begun_state.eq(
                                    (header.memory == int(Memory.STATE)) | (header.memory == int(Memory.VECTOR))
                                ),
                            ]
                            m.next = "DATA"
            with m.State("DATA"):
                schedule = Signal()
                inside = Signal()
                m.d.comb += [
                    self.loading.eq(1),
                    schedule.eq(memory == int(Memory.SCHEDULE)),
                    inside.eq(word < depth),
                    self.word_valid.eq(self.tvalid & inside & ~schedule),
                    self.schedule_write.eq(self.tvalid & inside & schedule),
                    self.tready.eq(self.taken | schedule | ~inside),
                    self.load_address.eq(self.tvalid & ~inside),
                ]
                with m.If(self.tvalid & self.tready):
                    with m.If(target.beat == last_beat):
                        m.d.sync += [target.beat.eq(0), word.eq(word + 1)]
                    with m.Else():
                        m.d.sync += target.beat.eq(target.beat + 1)
                    with m.If(self.tlast):
                        m.next = "HEADER"
            with m.State("DROP"):
                m.d.comb += [self.tready.eq(1), self.loading.eq(1)]
                with m.If(self.tvalid & self.tlast):
                    m.next = "HEADER"
        address = Signal(memory_address_layout(p))
        m.d.comb += [
            address.eq(target),
            address.word.eq(word),
            self.word.kind.eq(WriteKind.MEMORY),
            self.word.address.eq(address),
            self.word.data.eq(self.tdata),
            self.word_address.eq(word),
            self.word_beat.eq(target.beat),
        ]
        return m
