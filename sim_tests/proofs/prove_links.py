"""The links: the write stream reaches every row, results reach the collector, and errors are not lost."""

from __future__ import annotations

from dataclasses import replace

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed

from hdl.grid.collector import Collector
from hdl.grid.distributor import Distributor
from hdl.grid.pcu import Pcu
from hdl.layouts import LinkError, WriteKind, result_layout
from hdl.parameters import GridParameters
from sim_tests.proofs.harness import Harness

__all__ = ["CollectorProof", "DistributorProof", "ResultLinkProof"]


class DistributorProof(Harness):
    """Promises of `hdl.grid.distributor`, for eight rows: a tree of two levels, not full."""

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = replace(parameters, rows=8)
        super().__init__(Distributor(self.parameters))

    def state(self, m: Module) -> None:
        dut, depth = self.dut, self.component.latency
        words = [dut.source]
        for age in range(depth):
            word = Signal.like(dut.source, name=f"word_{age}")
            m.d.sync += word.eq(words[-1])
            words.append(word)
        known = Signal(range(depth + 1))
        m.d.sync += known.eq(Mux(known == depth, depth, known + 1))
        heads = [getattr(dut, f"head_{row}") for row in range(self.parameters.rows)]
        for row, head in enumerate(heads):
            self.promise(f"head {row} has the word of so many cycles ago", (known < depth) | (
                head.as_value() == words[-1].as_value()
            ))
            self.promise(f"head {row} is idle after a reset", (known == depth) | (head.kind == WriteKind.IDLE))
        self.reach("a token", (known == depth) & (heads[0].kind == WriteKind.TOKEN))


class CollectorProof(Harness):
    """Promises of `hdl.grid.collector`, for groups of two beats and vector words of three."""

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = replace(parameters, rows=4, lanes=6)
        assert (self.parameters.group_beats, self.parameters.word_beats) == (2, 3)
        super().__init__(Collector(self.parameters))

    def state(self, m: Module) -> None:
        p, dut = self.parameters, self.dut
        results = [getattr(dut, f"result_{row}") for row in range(p.rows)]
        first, entry = results[0], results[0].unit
        # The operands of a group: each result rounded to nearest, halves upward, and limited.
        group = Signal(p.operand_bits * p.rows)
        most = (1 << (p.operand_bits - 1)) - 1
        for row, result in enumerate(results):
            rounded = Signal(signed(18), name=f"wanted_{row}")
            value = result.value.as_signed()
            m.d.comb += [
                rounded.eq((value + ((1 << entry.feedback_shift) >> 1)) >> entry.feedback_shift),
                group.word_select(row, p.operand_bits).eq(
                    Mux(rounded > most, most, Mux(rounded < -most - 1, -most - 1, rounded))
                ),
            ]
        # A group whose beats are under way.
        sent, rest, held = Signal(range(p.group_beats)), Signal.like(group), Signal.like(first)
        taken = first.valid & entry.to_vector & (sent == 0)
        with m.If(sent != 0):
            m.d.sync += sent.eq(Mux(sent == p.group_beats - 1, 0, sent + 1))
        with m.Elif(taken):
            m.d.sync += [sent.eq(1), rest.eq(group), held.eq(first)]
        source = Mux(sent != 0, held.as_value(), first.as_value())
        of = Signal(result_layout(p))
        m.d.comb += of.eq(source)
        beat, number = Signal(p.beat_bits), Signal(p.group_bits + 4)
        m.d.comb += [
            beat.eq(Mux(sent != 0, rest, group).word_select(sent, p.beat_bits)),
            number.eq(of.unit.group * p.group_beats + sent),
        ]
        address = dut.beat_address
        found = Signal(p.vector_offset_bits + 4)
        m.d.comb += found.eq(address.offset * p.word_beats + address.beat)
        # The mapper numbers the groups that a half of the vector memory has.
        self.assume((entry.group < p.vector_groups) | ~first.valid)
        under_way = sent != 0
        self.promise("all beats of a group that is fed back, one a cycle, and no others",
                     dut.beat_valid == (taken | under_way))
        operands, came = Signal.like(beat), Signal()
        m.d.sync += [operands.eq(beat), came.eq(dut.beat_valid)]
        self.promise("a beat has its operands a cycle later", ~came | (dut.beat_data == operands))
        self.promise("beats follow one another in the vector memory", ~dut.beat_valid | (
            (found == number) & (address.beat < p.word_beats) & (address.parity == of.parity)
        ))
        last = under_way & (sent == p.group_beats - 1)
        done = Mux(under_way, last & held.unit.final, first.valid & entry.final & ~entry.to_vector)
        self.promise("a phase is complete with the last beat of its last result", dut.complete == done)
        self.promise("the phase is that of the result", ~dut.complete | (dut.complete_phase == of.unit.phase))
        self.promise("a group for the host is passed on as it is", (
            dut.output_valid == (first.valid & entry.to_host)
        ) & (~dut.output_valid | (
            (dut.output_group == entry.group) & (dut.output_parity == first.parity)
            & (dut.output_values == Cat(result.value for result in results))
        )))
        self.promise("a group in the beats of another is reported", dut.overlap == (under_way & first.valid))
        self.promise("rows that differ in time are reported",
                     dut.row_mismatch == Cat(result.valid != first.valid for result in results).any())
        errors: Value = first.errors
        for result in results[1:]:
            errors = errors | result.errors
        self.promise("errors of all rows are passed on", dut.errors == errors)
        self.reach("a phase is complete after two beats", last & dut.complete)
        shift = Signal.like(entry.feedback_shift)
        m.d.sync += shift.eq(entry.feedback_shift)
        self.reach("a limited operand", came & under_way & (dut.beat_data[: p.operand_bits] == most) & (shift == 3))
        self.reach("a group in the beats of another", dut.overlap)


class ResultLinkProof(Harness):
    """The result link through `hdl.grid.pcu`."""

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = parameters
        super().__init__(Pcu(parameters))

    def state(self, m: Module) -> None:
        dut, out = self.dut, self.dut.result_out
        arrived, overrun = Signal.like(dut.result_in, name="arrived"), Signal()
        m.d.sync += [arrived.eq(dut.result_in), overrun.eq(dut.overrun)]
        known = Signal()
        m.d.sync += known.eq(1)
        came = known & arrived.valid
        collision = out.errors[LinkError.RESULT_COLLISION] & ~arrived.errors[LinkError.RESULT_COLLISION]
        same = (
            (out.value == arrived.value) & (out.parity == arrived.parity)
            & (out.unit.as_value() == arrived.unit.as_value())
        )
        self.promise("a result that arrives leaves in the next cycle, as it is, or a collision is reported",
                     ~came | (out.valid & (same | out.errors[LinkError.RESULT_COLLISION])))
        self.promise("a collision is of two results", ~collision | came)
        self.promise("an error that arrives is passed on", ~known | ((arrived.errors & ~out.errors) == 0))
        self.promise("an overrun is reported", ~(known & overrun) | out.errors[LinkError.SEQUENCER_OVERRUN])
        self.promise("no overrun out of nothing", ~known | overrun | (
            out.errors[LinkError.SEQUENCER_OVERRUN] == arrived.errors[LinkError.SEQUENCER_OVERRUN]
        ))
        self.promise("after a reset the link is idle", known | (~out.valid & (out.errors == 0)))
        self.reach("a result of the site's own", known & ~arrived.valid & out.valid)
        self.reach("a collision", collision)
