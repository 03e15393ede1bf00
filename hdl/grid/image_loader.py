"""Load packets: from AXI4-Stream beats to the memories of the sites and of the controller."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.ports import axi_stream
from hdl.layouts import Memory, WriteKind, memory_address_layout, memory_shape, write_word_layout
from hdl.parameters import GridParameters

__all__ = ["HEADER_BYTES", "LOAD_CHECK", "ImageLoader", "load_header_layout"]

#: Bytes of a load packet's header.
HEADER_BYTES = 16
#: The four 32-bit words of a header are combined with exclusive or to this value: "LOAD". Beats that are no header,
#: such as the rest of a packet that a reset has cut, have another with a chance of all but one in 2^32.
LOAD_CHECK = 0x4C4F4144


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
        #: Words that follow, at least one.
        "words": 32,
        #: Exclusive or of the three 32-bit words before it and of `LOAD_CHECK`.
        "check": 32,
    })


class ImageLoader(wiring.Component):
    """Writes the words of load packets.

    A packet is a header (`load_header_layout`) and then its memory words, each in `memory_shape` beats, least
    significant beat first; `tlast` is on the last beat. Words of site memories are offered to the write stream
    (`word`, `word_valid`), which takes them with `taken`; words of the schedule ROM are written with `schedule_write`,
    at `word_address` and `word_beat`. Three cycles after the header, in which no beat is taken, the packet either
    begins (`begun`, with `begun_state` if it carries a state or a vector while `model_loaded`) or is dropped up to its
    `tlast`, and the reason is reported for one cycle:
    - `load_while_busy`: `busy` is high;
    - `load_header`: the check of the header is wrong, or its reserved bits are not zero;
    - `load_address`: a memory, a site or a word that does not exist, or no words.
    A packet that begins ends with `finished` (and `finished_state`) when `tlast` is where the header says. Otherwise it
    ends with `failed`, and `load_framing` says why: a beat with `tlast` comes too early, none at the end, or `abort`
    ends the packet. A packet that ends in its header has written nothing, and is reported by `load_framing` alone.
    With `abort` the packet under way has ended, and the next beat is a header; that of the same cycle belongs to the
    packet, unless it is the first of one.
    `loading` is high from the second beat of a packet on, until it ends or is dropped; `busy` must not rise meanwhile.
    """

    module_name = "srnn_image_loader"

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = p = parameters
        super().__init__({
            **axi_stream(p.beat_bits).flip().members,
            "busy": In(1),
            "abort": In(1),
            "model_loaded": In(1),
            "word": Out(write_word_layout(p)),
            "word_valid": Out(1),
            "taken": In(1),
            "schedule_write": Out(1),
            "word_address": Out(p.schedule_bits),
            "word_beat": Out(memory_address_layout(p)["beat"].shape),
            "loading": Out(1),
            "begun": Out(1),
            "begun_state": Out(1),
            "finished": Out(1),
            "finished_state": Out(1),
            "failed": Out(1),
            "load_while_busy": Out(1),
            "load_header": Out(1),
            "load_address": Out(1),
            "load_framing": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        header_beats = -(-HEADER_BYTES // p.beat_bytes)
        received = Signal(8 * max(HEADER_BYTES, p.beat_bytes), reset_less=True)
        header = Signal(load_header_layout())
        count = Signal(range(max(2, header_beats)))
        target = Signal(memory_address_layout(p))
        deepest = max(memory_shape(p, kind)[1] for kind in Memory)
        word = Signal(range(deepest + 1), reset_less=True)
        words_left = Signal(range(deepest + 1), reset_less=True)
        last_beat = Signal(target.beat.shape(), reset_less=True)
        of_state = Signal(reset_less=True)
        to_schedule = Signal()
        checks = self._check(m, header)
        m.d.comb += [
            header.eq(received),
            to_schedule.eq(target.memory == int(Memory.SCHEDULE)),
        ]
        with m.FSM(name="packet"):
            with m.State("HEADER"):
                m.d.comb += [self.tready.eq(1), self.loading.eq(count != 0)]
                with m.If(self.tvalid):
                    m.d.sync += [received.eq(Cat(received, self.tdata)[p.beat_bits :]), count.eq(count + 1)]
                with m.If((self.tvalid & self.tlast) | (self.abort & (count != 0))):
                    m.d.sync += count.eq(0)
                    m.d.comb += self.load_framing.eq(1)
                with m.Elif(self.tvalid & (count == header_beats - 1)):
                    m.d.sync += count.eq(0)
                    m.next = "CHECK"
            for state, following in (("CHECK", "COMPARE"), ("COMPARE", "BEGIN")):
                with m.State(state):
                    m.d.comb += self.loading.eq(1)
                    m.next = following
                    with m.If(self.abort):
                        m.d.comb += self.load_framing.eq(1)
                        m.next = "HEADER"
            with m.State("BEGIN"):
                m.d.comb += self.loading.eq(1)
                self._begin(m, checks)
                m.d.sync += [
                    word.eq(header.word), words_left.eq(header.words), target.memory.eq(header.memory),
                    target.row.eq(header.row), target.col.eq(header.col), target.all_rows.eq(header.all_rows),
                    target.all_cols.eq(header.all_cols), target.beat.eq(0), of_state.eq(self.begun_state),
                ]
                with m.Switch(header.memory):
                    for kind in Memory:
                        with m.Case(int(kind)):
                            m.d.sync += last_beat.eq(memory_shape(p, kind)[2] - 1)
                m.next = "DROP"
                with m.If(self.abort):
                    m.next = "HEADER"
                with m.Elif(self.begun):
                    m.next = "DATA"
            with m.State("DATA"):
                accepted, last = Signal(), Signal()
                m.d.comb += [
                    self.loading.eq(1),
                    self.word_valid.eq(self.tvalid & ~to_schedule),
                    self.schedule_write.eq(self.tvalid & to_schedule),
                    self.tready.eq(self.taken | to_schedule),
                    accepted.eq(self.tvalid & self.tready),
                    last.eq((target.beat == last_beat) & (words_left == 1)),
                    self.finished.eq(accepted & last & self.tlast),
                    self.finished_state.eq(self.finished & of_state),
                    self.failed.eq(~self.finished & (self.abort | (accepted & (last | self.tlast)))),
                    self.load_framing.eq(self.failed),
                ]
                with m.If(accepted):
                    m.d.sync += target.beat.eq(target.beat + 1)
                    with m.If(target.beat == last_beat):
                        m.d.sync += [target.beat.eq(0), word.eq(word + 1), words_left.eq(words_left - 1)]
                with m.If(self.finished | self.failed):
                    m.next = "HEADER"
                    with m.If(accepted & ~self.tlast & ~self.abort):
                        m.next = "DROP"
            with m.State("DROP"):
                m.d.comb += self.tready.eq(1)
                with m.If((self.tvalid & self.tlast) | self.abort):
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

    def _check(self, m: Module, header: Value) -> _Checks:
        """What is wrong with a header, and whether it is for a state, two cycles later."""
        p = self.parameters
        bits = header.as_value()
        depth = Signal(range(max(memory_shape(p, kind)[1] for kind in Memory) + 1), reset_less=True)
        # The sum is no wider than the memories need; what lies in the bits above is beyond them all.
        low, high = slice(None, len(depth)), slice(len(depth), None)
        end = Signal(len(depth) + 1, reset_less=True)
        beyond = Signal(reset_less=True)
        checks = _Checks()
        with m.Switch(header.memory):
            for kind in Memory:
                with m.Case(int(kind)):
                    m.d.sync += depth.eq(memory_shape(p, kind)[1])
            with m.Default():
                m.d.sync += depth.eq(0)
        m.d.sync += [
            end.eq(header.word[low] + header.words[low]),
            beyond.eq((header.word[high] | header.words[high]) != 0),
            checks.no_header.eq(
                ((bits[:32] ^ bits[32:64] ^ bits[64:96] ^ bits[96:]) != LOAD_CHECK) | (header.reserved != 0)
            ),
            checks.nowhere.eq(
                (header.words == 0)
                | beyond
                | (end > depth)
                | (~header.all_rows & (header.row >= p.rows))
                | (~header.all_cols & (header.col >= p.cols))
            ),
            checks.of_state.eq((header.memory == int(Memory.STATE)) | (header.memory == int(Memory.VECTOR))),
        ]
        return checks

    def _begin(self, m: Module, checks: _Checks) -> None:
        """Whether the packet begins, or why it is dropped."""
        with m.If(self.busy):
            m.d.comb += self.load_while_busy.eq(1)
        with m.Elif(checks.no_header):
            m.d.comb += self.load_header.eq(1)
        with m.Elif(checks.nowhere):
            m.d.comb += self.load_address.eq(1)
        with m.Else():
            # Before a model is loaded, words of these memories are constants that belong to it.
            m.d.comb += [
                self.begun.eq(~self.abort), self.begun_state.eq(checks.of_state & self.model_loaded & ~self.abort),
                self.load_framing.eq(self.abort),
            ]


class _Checks:
    """What is known of a header two cycles after its last beat."""

    def __init__(self) -> None:
        #: It is none; its words do not exist; they are a state, or a vector that belongs to one.
        self.no_header = Signal(reset_less=True)
        self.nowhere = Signal(reset_less=True)
        self.of_state = Signal(name="is_state", reset_less=True)
