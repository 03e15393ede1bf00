"""Sequencer of a PMU: a nested counter chain over units, gates and vector words."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import operand_tag_layout, phase_layout, token_layout
from hdl.parameters import GridParameters

__all__ = ["Sequencer"]


class Sequencer(wiring.Component):
    """Reads the weights and the vector of one phase, one word of each a cycle.

    `token_valid`, `token` and `configuration` (the phase's configuration word) arrive together. `read` goes high
    `latency` plus `configuration.delay` cycles later, and the addresses and `tag` belong to that cycle. The reads of a
    unit have no gaps; `pad` idle cycles follow each unit. The phase takes `units * (gates * words + pad) - pad` cycles,
    and the next phase's reads may begin in the cycle after. For a token with `fresh`, `words`, `pad` and `delay` are
    `fresh_words`, `fresh_pad` and `fresh_delay` of the configuration. `configuration` must not change until the reads
    begin. `overrun` reports a token that came too early.
    """

    module_name = "srnn_sequencer"

    #: Cycles from a token to its first read, without `delay`.
    latency = 1

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = p = parameters
        super().__init__({
            "token_valid": In(1),
            "token": In(token_layout(p)),
            "configuration": In(phase_layout(p)),
            "read": Out(1),
            "weight_address": Out(p.weight_address_bits),
            "vector_address": Out(p.vector_address_bits),
            "tag": Out(operand_tag_layout(p)),
            "overrun": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        config = self.configuration

        waiting, load, load_parity, load_fresh = self._delay(m)
        active = Signal()
        words_left = Signal(p.vector_offset_bits, reset_less=True)
        gates_left = Signal(3, reset_less=True)
        units_left = Signal(config.units.shape(), reset_less=True)
        pad_left = Signal(8)
        word_base = Signal(p.vector_offset_bits, reset_less=True)
        offset = Signal(p.vector_offset_bits, reset_less=True)
        half = Signal(reset_less=True)
        words, gates, pad = (
            Signal(p.vector_offset_bits, reset_less=True), Signal(3, reset_less=True), Signal(8, reset_less=True)
        )
        weight_address = Signal(p.weight_address_bits, reset_less=True)
        tag = Signal(operand_tag_layout(p), reset_less=True)
        # Of the counts, so that no path begins with a comparison: this word, gate or unit is the last; a gate has a
        # single word, a unit a single gate; units have padding; this cycle is padding. They begin as the counts say.
        last_word, last_gate = Signal(init=1, reset_less=True), Signal(init=1, reset_less=True)
        single_word, single_gate = Signal(init=1, reset_less=True), Signal(init=1, reset_less=True)
        last_unit, pads, padding = Signal(reset_less=True), Signal(reset_less=True), Signal()
        m.d.comb += [
            self.read.eq(active & ~padding),
            self.weight_address.eq(weight_address),
            self.vector_address.eq(offset | (half << p.vector_offset_bits)),
            self.tag.eq(tag),
            self.tag.valid.eq(self.read),
            self.tag.last.eq(last_word),
            self.overrun.eq(
                (self.token_valid & waiting) | (load & active & ~(self.read & last_word & last_gate & last_unit))
            ),
        ]
        with m.If(active & padding):
            m.d.sync += [pad_left.eq(pad_left - 1), padding.eq(pad_left != 1)]
        with m.Elif(active):
            m.d.sync += [
                weight_address.eq(weight_address + 1),
                offset.eq(offset + 1),
                words_left.eq(words_left - 1),
                last_word.eq(words_left == 1),
                tag.first.eq(0),
            ]
            with m.If(last_word):
                m.d.sync += [
                    words_left.eq(words), last_word.eq(single_word), offset.eq(word_base),
                    gates_left.eq(gates_left - 1), last_gate.eq(gates_left == 1), tag.first.eq(1),
                    tag.entry.eq(tag.entry + 1),
                ]
                with m.If(last_gate):
                    m.d.sync += [
                        gates_left.eq(gates), last_gate.eq(single_gate), units_left.eq(units_left - 1),
                        last_unit.eq(units_left == 2), pad_left.eq(pad), padding.eq(pads), active.eq(~last_unit),
                    ]
        load_words, load_pad = Signal(config.words.shape()), Signal(config.pad.shape())
        is_single, is_padded = Signal(), Signal()
        m.d.comb += [
            load_words.eq(Mux(load_fresh, config.fresh_words, config.words)),
            load_pad.eq(Mux(load_fresh, config.fresh_pad, config.pad)),
            is_single.eq(Mux(load_fresh, config.fresh_words == 0, config.words == 0)),
            is_padded.eq(Mux(load_fresh, config.fresh_pad != 0, config.pad != 0)),
        ]
        with m.If(load):
            m.d.sync += [
                active.eq(1),
                words_left.eq(load_words), words.eq(load_words), last_word.eq(is_single), single_word.eq(is_single),
                gates_left.eq(config.gates), gates.eq(config.gates),
                last_gate.eq(config.gates == 0), single_gate.eq(config.gates == 0),
                units_left.eq(config.units), last_unit.eq(config.units == 1),
                padding.eq(0), pad.eq(load_pad), pads.eq(is_padded),
                weight_address.eq(config.weight_base),
                offset.eq(config.vector_base), word_base.eq(config.vector_base),
                half.eq(load_parity ^ config.previous),
                tag.first.eq(1),
                tag.zero.eq(load_fresh & config.previous),
                tag.fresh.eq(load_fresh),
                tag.parity.eq(load_parity),
                tag.head.eq(config.head),
                tag.tail.eq(config.tail),
                tag.entry.eq(config.entry_base),
            ]
        return m

    def _delay(self, m: Module) -> tuple[Signal, Signal, Signal, Signal]:
        """A token waits for its delay, then its configuration is loaded into the counters.

        Returns whether a token waits, and whether one is loaded in this cycle, with its `parity` and `fresh`.
        """
        config = self.configuration
        waiting = Signal()
        countdown = Signal(8)
        parity, fresh = Signal(reset_less=True), Signal(reset_less=True)
        arrived = Signal()
        load = Signal()
        load_parity, load_fresh = Signal(), Signal()
        delay = Signal(config.delay.shape())
        m.d.comb += [
            arrived.eq(self.token_valid & (config.units != 0)),
            delay.eq(Mux(self.token.fresh, config.fresh_delay, config.delay)),
        ]
        with m.If(arrived):
            m.d.sync += [
                waiting.eq(delay != 0), countdown.eq(delay), parity.eq(self.token.parity), fresh.eq(self.token.fresh),
            ]
            m.d.comb += [load.eq(delay == 0), load_parity.eq(self.token.parity), load_fresh.eq(self.token.fresh)]
        with m.Elif(waiting):
            m.d.sync += [countdown.eq(countdown - 1), waiting.eq(countdown != 1)]
            m.d.comb += [load.eq(countdown == 1), load_parity.eq(parity), load_fresh.eq(fresh)]
        return waiting, load, load_parity, load_fresh
