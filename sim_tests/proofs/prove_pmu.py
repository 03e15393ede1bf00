"""The PMU: what a word of the write stream writes, and where."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal

from hdl.grid.pmu import SITE_MEMORIES, Pmu
from hdl.layouts import Memory, WriteKind, memory_address_layout, token_layout, vector_address_layout
from hdl.parameters import GridParameters
from sim_tests.proofs.harness import Harness, at_most_one

__all__ = ["PmuProof"]


class PmuProof(Harness):
    """Promises of `hdl.grid.pmu`; those of its sequencer are in `prove_sequencer`."""

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = parameters
        super().__init__(Pmu(parameters))

    def state(self, m: Module) -> None:
        p, dut = self.parameters, self.dut
        # The position is wired to constants.
        row, col = self.constant(m, "some_row", p.row_bits), self.constant(m, "some_col", p.col_bits)
        self.assume((dut.row == row) & (dut.col == col))
        # The word on `write_out`, and the one that was there in the cycle before.
        word = [Signal.like(dut.write_in, name=f"word_{age}") for age in range(2)]
        known = [Signal(name=f"known_{age}") for age in range(2)]
        m.d.sync += [word[0].eq(dut.write_in), word[1].eq(word[0]), known[0].eq(1), known[1].eq(known[0])]
        self.promise("the write stream goes on after one cycle", ~known[0] | (
            dut.write_out.as_value() == word[0].as_value()
        ))
        self.promise("after a reset the write stream is idle", known[0] | (dut.write_out.kind == WriteKind.IDLE))
        written, vector, token = word[1], Signal(vector_address_layout(p)), Signal(token_layout(p))
        target = Signal(memory_address_layout(p))
        m.d.comb += [
            vector.eq(written.address), target.eq(written.address), token.eq(dut.write_in.address)
        ]
        here = (target.all_rows | (target.row == row)) & (target.all_cols | (target.col == col))
        is_load, is_vector = written.kind == WriteKind.MEMORY, written.kind == WriteKind.VECTOR
        enables = dict(zip(SITE_MEMORIES, dut.write_enable, strict=True))
        self.promise("a word writes one memory at most", at_most_one(*enables.values()))
        for memory, enable in enables.items():
            wanted = known[1] & is_load & here & (target.memory == int(memory))
            if memory == Memory.VECTOR:
                wanted = wanted | (known[1] & is_vector)
            self.promise(f"{memory.name} is written by the words for it and for this site, and by no others",
                         enable == wanted)
        bus = dut.write_bus
        self.promise("the word and the place are those of the stream", ~Cat(*enables.values()).any() | (
            (bus.data == written.data)
            & (~is_load | ((bus.beat == target.beat) & (bus.word == target.word)))
            & (~is_vector | (
                (bus.beat == vector.beat) & (bus.word == (vector.offset | (vector.parity << p.vector_offset_bits)))
            ))
        ))
        self.promise("the configuration of a token is read when it arrives", (
            dut.phase_enable == (dut.write_in.kind == WriteKind.TOKEN)
        ) & (~dut.phase_enable | (dut.phase_address == token.phase)))
        reads = Signal()
        m.d.sync += reads.eq(dut.read)
        self.promise("a tag follows a read after one cycle", dut.tag.valid == reads)
        self.reach("a vector word is written", enables[Memory.VECTOR] & is_vector)
        self.reach("a load for all sites", enables[Memory.WEIGHT] & target.all_rows & target.all_cols)
        self.reach("a load for another site", known[1] & is_load & ~here)
        self.reach("operands", dut.tag.valid)
