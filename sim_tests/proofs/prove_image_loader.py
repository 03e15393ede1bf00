"""The image loader: nothing is written beside what a header allows, and every packet has one outcome."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data

from hdl.grid.image_loader import HEADER_BYTES, LOAD_CHECK, ImageLoader, load_header_layout
from hdl.layouts import Memory, memory_address_layout, memory_shape
from hdl.parameters import GridParameters
from sim_tests.proofs.harness import Harness, at_most_one, exactly_one

__all__ = ["ImageLoaderProof", "LoadPacketProof"]


class _LoaderHarness(Harness):
    """The image loader and what surrounds it."""

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = parameters
        super().__init__(ImageLoader(parameters))

    def surroundings(self, m: Module) -> tuple[Signal, Signal, data.View]:
        """Assume what the controller sees to; returns whether a beat is accepted, whether it is written, and where."""
        dut = self.dut
        # The controller refuses to start while a packet is arriving.
        was_loading, was_busy = Signal(), Signal()
        m.d.sync += [was_loading.eq(dut.loading), was_busy.eq(dut.busy)]
        self.assume(~(dut.busy & ~was_busy & was_loading))
        # ABORT is for a load only while no sequence runs.
        self.assume(~(dut.abort & dut.busy))
        accepted, writes = Signal(), Signal()
        address = Signal(memory_address_layout(self.parameters))
        m.d.comb += [
            accepted.eq(dut.tvalid & dut.tready),
            writes.eq((dut.word_valid & dut.taken) | dut.schedule_write),
            address.eq(dut.word.address),
        ]
        return accepted, writes, address


class ImageLoaderProof(_LoaderHarness):
    """Promises of `hdl.grid.image_loader`."""

    def state(self, m: Module) -> None:
        p, dut = self.parameters, self.dut
        accepted, writes, address = self.surroundings(m)
        reasons = [dut.load_while_busy, dut.load_header, dut.load_address, dut.load_framing]
        # What came last fills the header when a packet begins; its beats are counted down.
        history = Signal(max(8 * HEADER_BYTES, p.beat_bits))
        header, came = Signal(load_header_layout()), Signal(load_header_layout())
        open_, words_left, beat, last_beat = Signal(), Signal(8), Signal(8), Signal(8)
        m.d.comb += came.eq(history)
        with m.If(accepted):
            m.d.sync += history.eq(Cat(history, dut.tdata)[len(dut.tdata) :])
        with m.If(dut.begun):
            m.d.sync += [open_.eq(1), words_left.eq(came.words), beat.eq(0), header.eq(came)]
            with m.Switch(came.memory):
                for memory in Memory:
                    with m.Case(int(memory)):
                        m.d.sync += last_beat.eq(memory_shape(p, memory)[2] - 1)
        with m.Elif(dut.finished | dut.failed):
            m.d.sync += open_.eq(0)
        with m.If(writes):
            m.d.sync += beat.eq(beat + 1)
            with m.If(beat == last_beat):
                m.d.sync += [beat.eq(0), words_left.eq(words_left - 1)]
        words = came.as_value()
        self.promise("what begins is a header", ~dut.begun | (
            (words[:32] ^ words[32:64] ^ words[64:96] ^ words[96:]) == LOAD_CHECK
        ))
        offered = dut.word_valid | dut.schedule_write
        self.promise("a word is written only inside a packet that has begun", ~offered | open_)
        self.promise("nothing is written while a sequence runs", ~offered | ~dut.busy)
        self.promise("a packet ends only if it is open", ~(dut.finished | dut.failed) | open_)
        self.promise("a packet does not both finish and fail", ~(dut.finished & dut.failed))
        self.promise("each beat of an open packet is written, and none twice", ~open_ | (accepted == writes))
        self.promise("a beat is written as it came", ~dut.word_valid | (dut.word.data == dut.tdata))
        self.promise("a packet that fails says why", ~dut.failed | dut.load_framing)
        self.promise("at most one reason", at_most_one(*reasons))
        self.promise("loading while a packet is open", ~open_ | dut.loading)
        self.promise("only a packet of a state finishes as one", ~dut.finished_state | dut.finished)
        for memory in Memory:
            _, depth, beats = memory_shape(p, memory)
            inside = (
                (address.word < depth) & (address.beat < beats)
                & (address.all_rows | (address.row < p.rows)) & (address.all_cols | (address.col < p.cols))
            )
            if memory == Memory.SCHEDULE:
                self.promise("the schedule is written inside its depth",
                             ~dut.schedule_write | ((dut.word_address < depth) & (dut.word_beat < beats)))
            else:
                self.promise(f"{memory.name} is written inside its depth and its sites",
                             ~(dut.word_valid & (address.memory == int(memory))) | inside)
        self.promise("no other memory is written", ~dut.word_valid | exactly_one(
            *(address.memory == int(memory) for memory in Memory if memory != Memory.SCHEDULE)
        ))
        self.reach("a packet finishes", dut.finished & (header.words == 2))
        self.reach("a packet of a state finishes", dut.finished_state)
        self.reach("a packet fails inside", dut.failed & (header.words == 3) & (words_left == 2) & (beat == 0))
        self.reach("a schedule is written", dut.schedule_write)
        for name in ("load_while_busy", "load_header", "load_address"):
            self.reach(name, getattr(dut, name))


class LoadPacketProof(_LoaderHarness):
    """Promises of `hdl.grid.image_loader` on length and place of what a packet writes.

    The proof follows each beat through the packet's parts, so that its registers are those of the component.
    """

    # What is shifted in whole hides that it equals the proof's copy, if its registers are free at first.
    other_registers = frozenset({
        "the first beat goes to the word that the header says", "a packet begins only while none is open",
    })

    def state(self, m: Module) -> None:
        p, dut = self.parameters, self.dut
        accepted, writes, address = self.surroundings(m)
        # Beats that are in no packet which has begun, and are not dropped, are a header's. Its words are counted down.
        history = Signal(max(8 * HEADER_BYTES, p.beat_bits), reset_less=True)
        header, came = Signal(load_header_layout()), Signal(load_header_layout())
        deepest = max(memory_shape(p, memory)[1] for memory in Memory)
        open_, drops, words_left = Signal(), Signal(), Signal(range(deepest + 1))
        beat, last_beat, begins = Signal(8), Signal(8), Signal()
        dropped = dut.load_while_busy | dut.load_header | dut.load_address
        m.d.comb += came.eq(history)
        with m.If(accepted & ~open_ & ~drops):
            m.d.sync += history.eq(Cat(history, dut.tdata)[len(dut.tdata) :])
        with m.If(drops):
            m.d.sync += drops.eq(~((dut.tvalid & dut.tlast) | dut.abort))
        with m.Else():
            m.d.sync += drops.eq((dropped | (dut.failed & accepted & ~dut.tlast)) & ~dut.abort)
        with m.If(dut.begun):
            m.d.sync += [open_.eq(1), words_left.eq(came.words), beat.eq(0), header.eq(came), begins.eq(1)]
            with m.Switch(came.memory):
                for memory in Memory:
                    with m.Case(int(memory)):
                        m.d.sync += last_beat.eq(memory_shape(p, memory)[2] - 1)
        with m.Elif(dut.finished | dut.failed):
            m.d.sync += open_.eq(0)
        with m.If(writes):
            m.d.sync += [beat.eq(beat + 1), begins.eq(0)]
            with m.If(beat == last_beat):
                m.d.sync += [beat.eq(0), words_left.eq(words_left - 1)]
        last = (beat == last_beat) & (words_left == 1)
        self.promise("a packet finishes with as many beats as its header says", ~dut.finished | (writes & last))
        self.promise("the first beat goes to the word that the header says", ~(dut.word_valid & begins) | (
            (address.word == header.word[: len(address.word)]) & (address.memory == header.memory)
            & (address.beat == 0)
        ))
        self.promise("a packet begins only while none is open", ~dut.begun | ~open_)
        self.reach("a packet of two words finishes", dut.finished & (header.words == 2))
