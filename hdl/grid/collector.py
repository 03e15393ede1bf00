"""Collector at the west edge: results of all rows become a vector word and a word of the output buffer."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.fixed_point import round_shift, saturate, saturate_int
from hdl.layouts import LinkError, result_layout, unit_entry_layout, vector_address_layout
from hdl.parameters import GridParameters, bits_for

__all__ = ["Collector"]


class Collector(wiring.Component):
    """Turns one group of results (`rows` values with one tag, in one cycle) into write-stream beats and outputs.

    `beat_valid` and `beat_address` carry the group's operands to the vector memories: the first beat in the cycle of
    the results (combinational), `group_beats - 1` more in the following cycles. Beats cannot wait. `beat_data` is one
    cycle later than its address: the values become operands behind a register.
    `complete` goes high with the last beat of the last result of phase `complete_phase`.
    `output_valid`, `output_group`, `output_parity` and `output_values` (16-bit values) belong to the cycle of the
    results. `row_mismatch` reports rows that delivered in different cycles, `overlap` a group that arrived during the
    beats of another.
    """

    module_name = "srnn_collector"

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = p = parameters
        super().__init__({
            **{f"result_{row}": In(result_layout(p)) for row in range(p.rows)},
            "beat_valid": Out(1),
            "beat_address": Out(vector_address_layout(p)),
            "beat_data": Out(p.beat_bits),
            "complete": Out(1),
            "complete_phase": Out(p.phase_bits),
            "output_valid": Out(1),
            "output_group": Out(p.group_bits),
            "output_parity": Out(1),
            "output_values": Out(16 * p.rows),
            "errors": Out(len(LinkError)),
            "row_mismatch": Out(1),
            "overlap": Out(1),
        })

    def model(self, value: int, feedback_shift: int) -> int:
        """The operand for a 16-bit result that is fed back."""
        bits = self.parameters.operand_bits
        return saturate_int(round_shift(value, feedback_shift), bits) if bits < 16 else value

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        results = [getattr(self, f"result_{row}") for row in range(p.rows)]
        first = results[0]
        entry = first.unit

        with m.If(Cat(result.valid != first.valid for result in results).any()):
            m.d.comb += self.row_mismatch.eq(1)
        errors: Value = first.errors
        for result in results[1:]:
            errors = errors | result.errors
        m.d.comb += [
            self.errors.eq(errors),
            self.output_valid.eq(first.valid & entry.to_host),
            self.output_group.eq(entry.group),
            self.output_parity.eq(first.parity),
            self.output_values.eq(Cat(result.value for result in results)),
        ]
        self._beats(m, first, Cat(result.value for result in results))
        return m

    def _operands(self, m: Module, values: Value, entry: data.View) -> None:
        """The operands of a beat of `entry`, one cycle after its values: `sat8(round(value, feedback_shift))` of each,
        for 8-bit operands. They are shifted before the register, and rounded behind it."""
        p = self.parameters
        operands: list[Value] = []
        for place in range(p.beat_values):
            value = values[16 * place : 16 * (place + 1)]
            if p.operand_bits == 16:
                operand = Signal(16, name=f"operand_{place}", reset_less=True)
                m.d.sync += operand.eq(value)
                operands.append(operand)
                continue
            # Twice the value first, so that the rounding bit exists with shift 0 too.
            doubled = Signal(signed(17), name=f"doubled_{place}", reset_less=True)
            rounded = Signal(signed(17), name=f"rounded_{place}")
            m.d.sync += doubled.eq(Cat(0, value).as_signed() >> entry.feedback_shift)
            m.d.comb += rounded.eq((doubled + 1) >> 1)
            operands.append(saturate(m, rounded, p.operand_bits, f"narrow_{place}"))
        m.d.comb += self.beat_data.eq(Cat(*operands))

    def _beats(self, m: Module, first: data.View, group: Value) -> None:
        p = self.parameters
        entry = first.unit
        fresh = Signal()
        m.d.comb += fresh.eq(first.valid & entry.to_vector)
        if p.group_beats == 1:
            m.d.comb += [
                self.beat_valid.eq(fresh),
                self.complete.eq(first.valid & entry.final),
                self.complete_phase.eq(entry.phase),
            ]
            self._address(m, entry.group, first.parity)
            self._operands(m, group, entry)
            return
        left = Signal(bits_for(p.group_beats))
        beat_bits = 16 * p.beat_values
        rest = Signal(16 * p.rows - beat_bits, reset_less=True)
        held = Signal(unit_entry_layout(p), reset_less=True)
        parity = Signal(reset_less=True)
        beat = Signal(p.group_bits + bits_for(p.group_beats))
        with m.If(left != 0):
            m.d.sync += [left.eq(left - 1), rest.eq(rest >> beat_bits)]
            m.d.comb += [
                self.beat_valid.eq(1),
                beat.eq(held.group * p.group_beats + (p.group_beats - left)),
                self.complete.eq(held.final & (left == 1)),
                self.complete_phase.eq(held.phase),
                self.overlap.eq(first.valid),
            ]
            self._address(m, beat, parity)
        with m.Else():
            m.d.comb += [
                self.beat_valid.eq(fresh),
                beat.eq(entry.group * p.group_beats),
                # A group that is not fed back has no further beats.
                self.complete.eq(first.valid & entry.final & ~entry.to_vector),
                self.complete_phase.eq(entry.phase),
            ]
            self._address(m, beat, first.parity)
            with m.If(fresh):
                m.d.sync += [
                    left.eq(p.group_beats - 1), rest.eq(group >> beat_bits), held.eq(entry),
                    parity.eq(first.parity),
                ]
        source = Signal(unit_entry_layout(p))
        m.d.comb += source.eq(Mux(left != 0, held, entry))
        self._operands(m, Mux(left != 0, rest[:beat_bits], group[:beat_bits]), source)

    def _address(self, m: Module, beat: Value, parity: Value) -> None:
        """Vector word of a beat number, and beat inside it: a division by a constant, free for powers of two."""
        word_beats = self.parameters.word_beats
        m.d.comb += [
            self.beat_address.parity.eq(parity),
            self.beat_address.offset.eq(beat // word_beats),
            self.beat_address.beat.eq(beat % word_beats if word_beats > 1 else 0),
        ]
