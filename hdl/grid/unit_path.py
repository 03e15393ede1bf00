"""Unit path of the epilogue: a ring of one multiply-accumulate and one activation unit, run by a program."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.activation import ActivationUnit
from hdl.grid.gate_path import issue_layout
from hdl.grid.multiply_accumulate import MultiplyAccumulate
from hdl.grid.ports import Ports, write_port
from hdl.grid.sharing import Shared
from hdl.layouts import (
    Addend,
    FactorX,
    FactorY,
    Hold,
    Keep,
    Subtrahend,
    instruction_layout,
    result_layout,
    table_entry_layout,
    unit_entry_layout,
)
from hdl.parameters import GridParameters

__all__ = ["UnitPath"]


class UnitPath(wiring.Component):
    """Executes one instruction for each value that arrives.

    A value arrives from the gate path (`issue`, then `value` and `stored` `memory_registers` + 1 cycles later) or from
    the ring itself: an instruction with `proceed` sends its result through the activation unit to its `next`
    instruction, `ring_latency` cycles later. The memories are outside this component: program and state (read with
    `issue`), unit entries (read for the cycle of `own_result`), activation table. The cycles below are those of values.

    A gate's value with `hold`, and the activated result of an instruction with `hold` (`ring_latency` cycles after
    the instruction), are kept whether or not an instruction runs on them; instructions see them from the next cycle on.
    HOLD0 exists twice, by the lowest bit of the unit, so that a value lives until the unit after next writes it; HOLD1
    and the kept result live until the next unit does. Instructions see a kept result from `kept_distance` cycles after
    its own on, and the one before it until then.
    A gate's value and a returning value that both run an instruction in the same cycle, or are kept in the same
    register, raise `collision` (in the cycle of `issue`), and the returning value is lost. The mapper spaces units so
    that this cannot happen. A returning value without `proceed` collides only in a hold register.

    A unit has `state_words` state words. An instruction reads the word whose number is in the low bits of its own
    address, and writes word `write_slot`. Instructions read a new state word from `state_distance` cycles after the
    instruction that writes it, and the old one until then.
    An emitted result is in `own_result` `emit_latency` cycles after its value, with the unit entry at the unit plus
    `destination`.
    """

    module_name = "srnn_unit_path"

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = p = parameters
        self.mac = MultiplyAccumulate(p)
        self.activation = ActivationUnit(p)
        super().__init__(Ports({
            "issue": In(issue_layout(p)),
            "value": In(signed(16)),
            "stored": In(signed(16)),
            "fetch_enable": Out(1),
            "program_address": Out(p.program_bits),
            "instruction": In(instruction_layout(p)),
            "state_address": Out(p.state_address_bits),
            "state": In(signed(16)),
            "unit_enable": Out(1),
            "unit_address": Out(p.unit_bits),
            "unit_entry": In(unit_entry_layout(p)),
            "state_write": Out(write_port(p.state_address_bits, 16)),
            "segment": Out(p.segment_bits),
            "table_entry": In(table_entry_layout(p)),
            "own_result": Out(result_layout(p)),
            "collision": Out(1),
        }))

    @property
    def emit_latency(self) -> int:
        """Cycles from a value to its result in `own_result`."""
        return self.mac.latency

    @property
    def ring_latency(self) -> int:
        """Cycles from a value to the value that its instruction passes on: compute and look up, activate."""
        return self.mac.latency + self.activation.latency

    @property
    def state_distance(self) -> int:
        """Cycles from an instruction that writes a state word to the first one that reads the new value."""
        # Compute and write; the word is read before the value arrives.
        return self.mac.latency + 1 + 1 + self.parameters.memory_registers

    @property
    def kept_distance(self) -> int:
        """Cycles from an instruction that keeps its result to the first one that can use it."""
        return self.mac.kept_distance

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        m.submodules.mac = mac = Shared(self.mac)
        m.submodules.activation = activation = Shared(self.activation)

        # Fetch: so early that instruction and state are there with the value.
        returning = Signal(issue_layout(p), reset_less=True)
        returning_valid = Signal()
        returning_hold = Signal(Hold)
        arriving = Signal(issue_layout(p))
        gate_writes, ring_writes, both_write = Signal(_HOLDS), Signal(_HOLDS), Signal(_HOLDS)
        m.d.comb += [
            arriving.eq(Mux(self.issue.valid, self.issue, returning)),
            arriving.valid.eq(self.issue.valid | returning_valid),
            gate_writes.eq(_hold_registers(self.issue.hold, self.issue.unit)),
            ring_writes.eq(_hold_registers(returning_hold, returning.unit)),
            both_write.eq(gate_writes & ring_writes),
            self.collision.eq((self.issue.valid & returning_valid) | both_write.any()),
            self.fetch_enable.eq(arriving.valid),
            self.program_address.eq(arriving.instruction),
            self.state_address.eq(Cat(arriving.instruction[: p.slot_bits], arriving.unit)),
        ]

        # Execute: the instruction, the state and the value are here.
        execute = arriving
        execute_valid = arriving.valid
        from_ring = Signal(name="from_ring")
        m.d.comb += from_ring.eq(~self.issue.valid)
        for number in range(1 + p.memory_registers):
            execute = _later(m, execute, f"execute_{number}")
            execute_valid = _later(m, execute_valid, f"execute_{number}_valid", reset=True)
            from_ring = _later(m, from_ring, f"from_ring_{number}")
            gate_writes = _later(m, gate_writes, f"gate_writes_{number}", reset=True)
            ring_writes = _later(m, ring_writes, f"ring_writes_{number}", reset=True)
        op = self.instruction
        value = Signal(signed(16))
        state = Signal(signed(16))
        holds = [Signal(signed(16), name=name, reset_less=True) for name in ("hold0_0", "hold0_1", "hold1")]
        for index, hold in enumerate(holds):
            with m.If(gate_writes[index] | ring_writes[index]):
                m.d.sync += hold.eq(Mux(gate_writes[index], self.value, activation.result))
        m.d.comb += [
            value.eq(Mux(from_ring, activation.result, self.value)),
            state.eq(Mux(execute.fresh & op.carried, 0, self.state)),
            mac.use_kept.eq(op.addend == Addend.KEPT),
        ]
        self._operands(m, mac, (value, state, Mux(execute.unit[0], holds[1], holds[0]), holds[2]))

        # Multiply; the entry of the unit is read for the cycle in which the result leaves.
        multiply, multiply_op = _later(m, execute, "multiply"), _later(m, op, "multiply_op")
        multiply_valid = _later(m, execute_valid, "multiply_valid", reset=True)
        entry_of, entry_op, entry_valid = (multiply, multiply_op, multiply_valid)
        if p.memory_registers:
            entry_of, entry_op, entry_valid = execute, op, execute_valid
        m.d.comb += [
            self.unit_enable.eq(entry_valid & entry_op.emit),
            self.unit_address.eq(entry_of.unit + entry_op.destination),
        ]

        # Add: the result leaves for the link and the state, and looks up its activation.
        adding, adding_op = _later(m, multiply, "adding"), _later(m, multiply_op, "adding_op")
        adding_valid = _later(m, multiply_valid, "adding_valid", reset=True)
        m.d.comb += [
            mac.keep.eq(Mux(adding_valid, adding_op.keep, Keep.NONE)),
            self.own_result.valid.eq(adding_valid & adding_op.emit),
            self.own_result.value.eq(mac.result),
            self.own_result.parity.eq(adding.parity),
            self.own_result.unit.eq(self.unit_entry),
            self.state_write.enable.eq(adding_valid & adding_op.write_state),
            self.state_write.address.eq(Cat(adding_op.write_slot[: p.slot_bits], adding.unit)),
            self.state_write.data.eq(mac.result),
            activation.value.eq(mac.total),
            activation.activation.eq(adding_op.activation),
            self.segment.eq(activation.segment),
            activation.entry.eq(self.table_entry),
        ]

        # Round the ring: announced as early before its value as a gate's value is.
        proceed, hold_ = adding_valid & adding_op.proceed, Mux(adding_valid, adding_op.hold, Hold.NONE)
        looking = Signal(issue_layout(p))
        m.d.comb += [looking.eq(adding), looking.instruction.eq(adding_op.next)]
        onward: Value = looking
        for number in range(self.ring_latency - self.mac.latency - 1 - p.memory_registers - 1):
            onward = _later(m, onward, f"onward_{number}")
            proceed = _later(m, proceed, f"proceed_{number}", reset=True)
            hold_ = _later(m, hold_, f"hold_{number}", reset=True)
        m.d.sync += [returning.eq(onward), returning_valid.eq(proceed), returning_hold.eq(hold_)]
        return m

    def _operands(self, m: Module, mac: Shared, sources: tuple[Value, Value, Value, Value]) -> None:
        """The operands of the multiply-accumulate, from the arriving value, the state word, HOLD0 and HOLD1."""
        op = self.instruction
        value, state, hold0, hold1 = sources
        with m.Switch(op.x):
            with m.Case(FactorX.ZERO):
                m.d.comb += mac.x.eq(0)
            with m.Case(FactorX.VALUE):
                m.d.comb += mac.x.eq(value)
            with m.Case(FactorX.HOLD0):
                m.d.comb += mac.x.eq(hold0)
            with m.Case(FactorX.HOLD1):
                m.d.comb += mac.x.eq(hold1)
        with m.Switch(op.y):
            with m.Case(FactorY.VALUE):
                m.d.comb += mac.y.eq(value)
            with m.Case(FactorY.STATE):
                m.d.comb += mac.y.eq(state)
            with m.Case(FactorY.ONE):
                m.d.comb += mac.y.eq(1 << 15)
            with m.Default():
                m.d.comb += mac.y.eq(0)
        with m.Switch(op.subtract):
            with m.Case(Subtrahend.VALUE):
                m.d.comb += mac.z.eq(value)
            with m.Case(Subtrahend.STATE):
                m.d.comb += mac.z.eq(state)
            with m.Default():
                m.d.comb += mac.z.eq(0)
        with m.Switch(op.addend):
            with m.Case(Addend.VALUE):
                m.d.comb += mac.value.eq(value)
            with m.Case(Addend.STORED):
                m.d.comb += mac.value.eq(self.stored)
            with m.Case(Addend.STATE):
                m.d.comb += mac.value.eq(state)
            with m.Default():
                m.d.comb += mac.value.eq(0)


def _later(m: Module, value: Value, name: str, reset: bool = False) -> Value:
    """A value of the cycle before; with `reset`, a register that a reset clears."""
    register = Signal.like(value, name=name, reset_less=not reset)
    m.d.sync += register.eq(value)
    return register


#: Hold registers: HOLD0 of an even and of an odd unit, HOLD1.
_HOLDS = 3


def _hold_registers(hold: Value, unit: Value) -> Value:
    """One bit for each hold register: whether a value with this `hold` and unit is kept there."""
    first = hold == Hold.HOLD0
    return Cat(first & ~unit[0], first & unit[0], hold == Hold.HOLD1)
