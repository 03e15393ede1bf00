"""The sequencer: the reads of a phase, in their order and in their cycles, and no others."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, ShapeLike, Signal

from hdl.grid.sequencer import Sequencer
from hdl.parameters import GridParameters
from sim_tests.proofs.harness import Harness

__all__ = ["SequencerProof"]


class SequencerProof(Harness):
    """Promises of `hdl.grid.sequencer`, until a token comes too early."""

    # A token loads all registers that have no reset, and no promise looks at them before.
    free_registers = False

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = parameters
        super().__init__(Sequencer(parameters))

    def state(self, m: Module) -> None:
        p, dut = self.parameters, self.dut
        config = dut.configuration

        # A token waits for its delay; its configuration stays until its reads begin.
        arrived, waiting, load = Signal(), Signal(), Signal()
        to_go, delay = Signal(8), Signal(8)
        load_parity, load_fresh = Signal(), Signal()
        parity, fresh = Signal(reset_less=True), Signal(reset_less=True)
        m.d.comb += [
            arrived.eq(dut.token_valid & (config.units != 0)),
            delay.eq(Mux(dut.token.fresh, config.fresh_delay, config.delay)),
            load.eq(Mux(arrived, delay == 0, waiting & (to_go == 1))),
            load_parity.eq(Mux(arrived, dut.token.parity, parity)),
            load_fresh.eq(Mux(arrived, dut.token.fresh, fresh)),
        ]
        with m.If(arrived):
            m.d.sync += [
                waiting.eq(delay != 0), to_go.eq(delay), parity.eq(dut.token.parity), fresh.eq(dut.token.fresh)
            ]
        with m.Elif(waiting):
            m.d.sync += [waiting.eq(to_go != 1), to_go.eq(to_go - 1)]
        before = Signal(len(config.as_value()))
        m.d.sync += before.eq(config.as_value())
        self.assume(~waiting | (config.as_value() == before))

        # What is left of the phase: units, gates of the unit, words of the gate, idle cycles; and what is read next.
        running = Signal()

        def register(name: str, shape: ShapeLike) -> Signal:
            return Signal(shape, name=name, reset_less=True)

        phase = Signal.like(config, name="phase", reset_less=True)
        phase_fresh, phase_parity, first = (register(name, 1) for name in ("phase_fresh", "phase_parity", "first"))
        words, words_left, vector = (
            register(name, p.vector_offset_bits) for name in ("words", "words_left", "vector")
        )
        pad, idle = register("pad", 8), Signal(8)
        units_left, gates_left = register("units_left", config.units.shape()), register("gates_left", 3)
        weight, entry = register("weight", p.weight_address_bits), register("entry", p.gate_entry_bits)
        last_word, last_gate, last_unit = words_left == 0, gates_left == 0, units_left == 1
        reading = running & (idle == 0)
        with m.If(running & (idle != 0)):
            m.d.sync += idle.eq(idle - 1)
        with m.Elif(running):
            m.d.sync += [weight.eq(weight + 1), vector.eq(vector + 1), first.eq(0), words_left.eq(words_left - 1)]
            with m.If(last_word):
                m.d.sync += [
                    vector.eq(phase.vector_base), first.eq(1), words_left.eq(words), gates_left.eq(gates_left - 1),
                    entry.eq(entry + 1),
                ]
                with m.If(last_gate):
                    m.d.sync += [
                        gates_left.eq(phase.gates), units_left.eq(units_left - 1), idle.eq(pad), running.eq(~last_unit)
                    ]
        with m.If(load):
            m.d.sync += [
                running.eq(1), phase.eq(config), words.eq(Mux(load_fresh, config.fresh_words, config.words)),
                pad.eq(Mux(load_fresh, config.fresh_pad, config.pad)), idle.eq(0), first.eq(1),
                units_left.eq(config.units), gates_left.eq(config.gates),
                words_left.eq(Mux(load_fresh, config.fresh_words, config.words)), weight.eq(config.weight_base),
                vector.eq(config.vector_base), entry.eq(config.entry_base), phase_fresh.eq(load_fresh),
                phase_parity.eq(load_parity),
            ]
        over = reading & last_word & last_gate & last_unit
        early = (dut.token_valid & waiting) | (load & running & ~over)
        spoiled = Signal()
        m.d.sync += spoiled.eq(spoiled | early)

        tag = dut.tag
        half = phase_parity ^ phase.previous
        self.promise("a token that is too early is reported, and no other", spoiled | (dut.overrun == early))
        self.promise("reads in the cycles of the phase, and in no others", spoiled | (dut.read == reading))
        self.promise("one tag for each read", dut.tag.valid == dut.read)
        read = dut.read & ~spoiled
        self.promise("weight words one after the other from the base", ~read | (dut.weight_address == weight))
        self.promise("vector words of a gate from the base, in the half of the step", ~read | (
            dut.vector_address == (vector | (half << p.vector_offset_bits))
        ))
        self.promise("a row begins and ends with its words", ~read | (
            (tag.first == first) & (tag.last == last_word)
        ))
        self.promise("one entry for each row", ~read | (tag.entry == entry))
        self.promise("the rest of the tag is that of the token and the phase", ~read | (
            (tag.zero == (phase_fresh & phase.previous)) & (tag.fresh == phase_fresh) & (tag.parity == phase_parity)
            & (tag.head == phase.head) & (tag.tail == phase.tail)
        ))
        self.reach("a phase of several units, gates and words ends", read & over & (phase.units == 2)
                   & (phase.gates == 1) & (words == 1) & (pad == 1))
        self.reach("a phase right behind another", read & over & load)
        self.reach("a token that is too early", ~spoiled & dut.overrun)
