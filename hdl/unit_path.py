"""Unit path of the epilogue: a ring of one multiply-accumulate and one activation unit, run by a program."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.activation import ActivationUnit
from hdl.gate_path import issue_layout
from hdl.layouts import (
    Activation,
    Addend,
    FactorX,
    FactorY,
    Hold,
    Keep,
    instruction_layout,
    result_layout,
    table_entry_layout,
    unit_entry_layout,
)
from hdl.multiply_accumulate import MultiplyAccumulate
from hdl.parameters import GridParameters
from hdl.sharing import Shared

__all__ = ["UnitPath"]


class UnitPath(wiring.Component):
    """Executes one instruction for each value that arrives.

    A value arrives from the gate path (`issue`, and `value` and `stored` one cycle later) or from the ring itself: an
    instruction with `proceed` sends its result through the activation unit to its `next` instruction,
    `ring_latency` cycles later. Two arrivals in one cycle lose the second and raise `collision`; the mapper spaces
    units so that this cannot happen. Memories beside this component: program and state (read with `issue`), unit
    entries (read with `value`), activation table.
    A gate's value with `hold` is kept without an instruction.
    An emitted result is in `local` `emit_latency` cycles after its value. HOLD0 exists twice, by the unit's parity, so
    it lives until the unit after next writes it; HOLD1 and the kept result live until the next unit does.
    """

    module_name = "srnn_unit_path"

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = p = parameters
        self.mac = MultiplyAccumulate()
        self.activation = ActivationUnit(p)
        super().__init__({
            "issue": In(issue_layout(p)),
            "value": In(signed(16)),
            "stored": In(signed(16)),
            "fetch_enable": Out(1),
            "program_address": Out(p.program_bits),
            "instruction": In(instruction_layout(p)),
            "state_address": Out(p.unit_bits),
            "state": In(signed(16)),
            "unit_enable": Out(1),
            "unit_address": Out(p.unit_bits),
            "unit_entry": In(unit_entry_layout(p)),
            "state_write_enable": Out(1),
            "state_write_address": Out(p.unit_bits),
            "state_write_data": Out(16),
            "segment": Out(p.segment_bits),
            "table_entry": In(table_entry_layout(p)),
            "local": Out(result_layout(p)),
            "collision": Out(1),
        })

    @property
    def emit_latency(self) -> int:
        """Cycles from a value to its result in `local`."""
        return self.mac.latency

    @property
    def ring_latency(self) -> int:
        """Cycles from a value to the value that its instruction sends on: compute, register, activate."""
        return self.mac.latency + 1 + self.activation.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        m.submodules.mac = mac = Shared(self.mac)
        m.submodules.activation = activation = Shared(self.activation)

        # Fetch: one cycle before the value.
        returning = Signal(issue_layout(p), reset_less=True)
        returning_valid = Signal()
        arriving = Signal(issue_layout(p))
        m.d.comb += [
            arriving.eq(Mux(self.issue.valid, self.issue, returning)),
            arriving.valid.eq(self.issue.valid | returning_valid),
            self.collision.eq(self.issue.valid & returning_valid),
            self.fetch_enable.eq(arriving.valid),
            self.program_address.eq(arriving.instruction),
            self.state_address.eq(arriving.unit),
        ]

        # Execute: the instruction, the state and the value are here.
        execute = Signal(issue_layout(p), reset_less=True)
        execute_valid = Signal()
        from_ring = Signal(reset_less=True)
        m.d.sync += [execute.eq(arriving), execute_valid.eq(arriving.valid), from_ring.eq(~self.issue.valid)]
        op = self.instruction
        value = Signal(signed(16))
        state = Signal(signed(16))
        bank = execute.unit[0]
        gate_hold = Signal(Hold)
        gate_bank = Signal(reset_less=True)
        m.d.sync += [gate_hold.eq(self.issue.hold), gate_bank.eq(self.issue.unit[0])]
        first_hold = Array(Signal(signed(16), name=f"hold0_{b}", reset_less=True) for b in range(2))
        second_hold = Signal(signed(16), name="hold1", reset_less=True)
        m.d.comb += [
            value.eq(Mux(from_ring, activation.result, self.value)),
            state.eq(Mux(execute.fresh, 0, self.state)),
            mac.y.eq(Mux(op.y == FactorY.STATE, state, value)),
            mac.z.eq(Mux(op.subtract_value, value, 0)),
            mac.use_kept.eq(op.addend == Addend.KEPT),
            self.unit_enable.eq(execute_valid),
            self.unit_address.eq(execute.unit),
        ]
        with m.Switch(op.x):
            with m.Case(FactorX.ZERO):
                m.d.comb += mac.x.eq(0)
            with m.Case(FactorX.VALUE):
                m.d.comb += mac.x.eq(value)
            with m.Case(FactorX.HOLD0):
                m.d.comb += mac.x.eq(first_hold[bank])
            with m.Case(FactorX.HOLD1):
                m.d.comb += mac.x.eq(second_hold)
        with m.Switch(op.addend):
            with m.Case(Addend.VALUE):
                m.d.comb += mac.value.eq(value)
            with m.Case(Addend.STORED):
                m.d.comb += mac.value.eq(self.stored)
            with m.Default():
                m.d.comb += mac.value.eq(0)
        with m.If(gate_hold == Hold.HOLD0):
            m.d.sync += first_hold[gate_bank].eq(self.value)
        with m.If(gate_hold == Hold.HOLD1):
            m.d.sync += second_hold.eq(self.value)

        # Round: the result leaves for the link.
        rounding = Signal(issue_layout(p), reset_less=True)
        rounding_op = Signal(instruction_layout(p), reset_less=True)
        rounding_valid = Signal()
        m.d.sync += [rounding.eq(execute), rounding_op.eq(op), rounding_valid.eq(execute_valid)]
        m.d.comb += [
            mac.keep.eq(Mux(rounding_valid, rounding_op.keep, Keep.NONE)),
            self.local.valid.eq(rounding_valid & rounding_op.emit),
            self.local.value.eq(mac.result),
            self.local.parity.eq(rounding.parity),
            self.local.unit.eq(self.unit_entry),
        ]

        # Write back and look up.
        result = Signal(signed(16), reset_less=True)
        done = Signal(issue_layout(p), reset_less=True)
        done_activation = Signal(Activation, reset_less=True)
        done_proceed = Signal()
        done_write = Signal()
        m.d.sync += [
            result.eq(mac.result),
            done.eq(rounding),
            done.instruction.eq(rounding_op.next),
            done_activation.eq(rounding_op.activation),
            done_proceed.eq(rounding_valid & rounding_op.proceed),
            done_write.eq(rounding_valid & rounding_op.write_state),
        ]
        m.d.comb += [
            self.state_write_enable.eq(done_write),
            self.state_write_address.eq(done.unit),
            self.state_write_data.eq(result),
            activation.value.eq(result),
            activation.function.eq(done_activation),
            self.segment.eq(activation.segment),
            activation.entry.eq(self.table_entry),
        ]
        m.d.sync += [returning.eq(done), returning_valid.eq(done_proceed)]
        return m
