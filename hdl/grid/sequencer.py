"""Sequencer of a PMU: a nested counter chain over units, gates and vector words."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value
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
        last_word, last_gate = Signal(), Signal()
        m.d.comb += [
            last_word.eq(words_left == 0),
            last_gate.eq(gates_left == 0),
            self.read.eq(active & (pad_left == 0)),
            self.weight_address.eq(weight_address),
            self.vector_address.eq(offset | (half << p.vector_offset_bits)),
            self.tag.eq(tag),
            self.tag.valid.eq(self.read),
            self.tag.last.eq(last_word),
            self.overrun.eq(
                (self.token_valid & waiting) | (load & active & ~self._ending(last_word, last_gate, units_left))
            ),
        ]
        with m.If(active & (pad_left != 0)):
            m.d.sync += pad_left.eq(pad_left - 1)
        with m.Elif(active):
            m.d.sync += [
                weight_address.eq(weight_address + 1),
                offset.eq(offset + 1),
                words_left.eq(words_left - 1),
                tag.first.eq(0),
            ]
            with m.If(last_word):
                m.d.sync += [
                    words_left.eq(words), offset.eq(word_base), gates_left.eq(gates_left - 1), tag.first.eq(1),
                    tag.entry.eq(tag.entry + 1),
                ]
                with m.If(last_gate):
                    m.d.sync += [
                        gates_left.eq(gates), units_left.eq(units_left - 1), pad_left.eq(pad),
                        active.eq(units_left != 1),
                    ]
        load_words = Signal(config.words.shape())
        m.d.comb += load_words.eq(Mux(load_fresh, config.fresh_words, config.words))
        with m.If(load):
            m.d.sync += [
                active.eq(1),
                words_left.eq(load_words), words.eq(load_words),
                gates_left.eq(config.gates), gates.eq(config.gates),
                units_left.eq(config.units),
                pad_left.eq(0), pad.eq(Mux(load_fresh, config.fresh_pad, config.pad)),
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

    def _ending(self, last_word: Signal, last_gate: Signal, units_left: Signal) -> Value:
        """Whether this cycle reads the last word of the phase."""
        return self.read & last_word & last_gate & (units_left == 1)
