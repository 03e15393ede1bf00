"""Pattern memory unit: one hop of the write stream, the decoder of a site's memories, and the sequencer."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.sequencer import Sequencer
from hdl.grid.sharing import Shared
from hdl.layouts import (
    Memory,
    WriteKind,
    memory_address_layout,
    operand_tag_layout,
    phase_layout,
    token_layout,
    vector_address_layout,
    write_bus_layout,
    write_word_layout,
)
from hdl.parameters import GridParameters

__all__ = ["SITE_MEMORIES", "Pmu"]

#: The loadable memories of a site, in the order of the bits of `Pmu.write_enable`.
SITE_MEMORIES = tuple(memory for memory in Memory if memory != Memory.SCHEDULE)


class Pmu(wiring.Component):
    """Passes the write stream on, writes the site's memories and streams operands to the PCU.

    `write_out` is `write_in` one cycle later. A write reaches its memory through `write_bus` one cycle after that.
    A token's first operands (`tag`, together with the data from the weight and vector memories) appear `token_latency`
    cycles after the token is on `write_out`. Its reads see all writes before it in the stream; writes after it do not
    disturb the reads of earlier phases. `row` and `col` are the site's position.
    """

    module_name = "srnn_pmu"

    #: Cycles of one hop of the write stream.
    hop_latency = 1

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = p = parameters
        self.sequencer = Sequencer(p)
        super().__init__({
            "row": In(p.row_bits),
            "col": In(p.col_bits),
            "write_in": In(write_word_layout(p)),
            "write_out": Out(write_word_layout(p)),
            "phase_enable": Out(1),
            "phase_address": Out(p.phase_bits),
            "configuration": In(phase_layout(p)),
            "read": Out(1),
            "weight_address": Out(p.weight_address_bits),
            "vector_address": Out(p.vector_address_bits),
            "tag": Out(operand_tag_layout(p)),
            "write_enable": Out(len(SITE_MEMORIES)),
            "write_bus": Out(write_bus_layout(p)),
            "overrun": Out(1),
        })

    @property
    def token_latency(self) -> int:
        """Cycles from a token on `write_out` to its first operands, without the site's delay."""
        return self.sequencer.latency + 1 + self.parameters.memory_registers

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        m.submodules.sequencer = sequencer = Shared(self.sequencer)

        word = Signal(write_word_layout(p), reset_less=True)
        kind = Signal(WriteKind)
        m.d.sync += [word.eq(self.write_in), kind.eq(self.write_in.kind)]
        m.d.comb += [self.write_out.eq(word), self.write_out.kind.eq(kind)]

        # The configuration is read while the token arrives, so that both are here in the same cycle. Its memory is
        # small: it has no register at its output.
        token = token_layout(p)
        incoming = Signal(token)
        here = Signal(token)
        m.d.comb += [
            incoming.eq(self.write_in.address),
            here.eq(word.address),
            self.phase_enable.eq(self.write_in.kind == WriteKind.TOKEN),
            self.phase_address.eq(incoming.phase),
            sequencer.token_valid.eq(kind == WriteKind.TOKEN),
            sequencer.token.eq(here),
            sequencer.configuration.eq(self.configuration),
            self.read.eq(sequencer.read),
            self.weight_address.eq(sequencer.weight_address),
            self.vector_address.eq(sequencer.vector_address),
            self.overrun.eq(sequencer.overrun),
        ]
        tag, tag_valid = sequencer.tag, sequencer.tag.valid
        for number in range(1 + p.memory_registers):
            later = Signal(operand_tag_layout(p), name=f"tag_{number}", reset_less=True)
            valid = Signal(name=f"tag_{number}_valid")
            m.d.sync += [later.eq(tag), valid.eq(tag_valid)]
            tag, tag_valid = later, valid
        m.d.comb += [self.tag.eq(tag), self.tag.valid.eq(tag_valid)]

        self._decode(m, word, kind)
        return m

    def _decode(self, m: Module, word: Signal, kind: Signal) -> None:
        p = self.parameters
        vector = Signal(vector_address_layout(p))
        target = Signal(memory_address_layout(p))
        mine = Signal()
        enable = Signal(len(SITE_MEMORIES))
        bus = Signal(write_bus_layout(p), reset_less=True)
        m.d.comb += [
            vector.eq(word.address),
            target.eq(word.address),
            mine.eq(
                (kind == WriteKind.MEMORY)
                & (target.all_rows | (target.row == self.row))
                & (target.all_cols | (target.col == self.col))
            ),
        ]
        m.d.sync += [bus.data.eq(word.data), bus.beat.eq(target.beat), bus.word.eq(target.word)]
        for bit, memory in enumerate(SITE_MEMORIES):
            m.d.sync += enable[bit].eq(mine & (target.memory == int(memory)))
        with m.If(kind == WriteKind.VECTOR):
            m.d.sync += [
                bus.beat.eq(vector.beat),
                bus.word.eq(vector.offset | (vector.parity << p.vector_offset_bits)),
                enable[SITE_MEMORIES.index(Memory.VECTOR)].eq(1),
            ]
        m.d.comb += [self.write_enable.eq(enable), self.write_bus.eq(bus)]
