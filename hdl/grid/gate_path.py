"""Row path of the epilogue: from the sum of one matrix row to the activated value of one gate."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.activation import ActivationUnit
from hdl.grid.fixed_point import saturate
from hdl.grid.ports import Ports, read_port, write_port
from hdl.grid.requantiser import Requantiser
from hdl.grid.sharing import Shared
from hdl.layouts import Hold, gate_entry_layout, table_entry_layout
from hdl.parameters import GridParameters

__all__ = ["GatePath", "issue_layout"]


def issue_layout(p: GridParameters) -> data.StructLayout:
    """A value on its way to the unit path: the instruction that receives it (with `valid`), and its unit."""
    return data.StructLayout({
        "valid": 1,
        "hold": Hold,
        "instruction": p.program_bits,
        "unit": p.unit_bits,
        "fresh": 1,
        "parity": 1,
    })


class GatePath(wiring.Component):
    """Requantise, add the stored pre-activation, saturate, and activate or store.

    `valid`, `entry`, `fresh` and `parity` belong to `total`, the sum of a matrix row. The memory of stored
    pre-activations (`stored_read`, `stored_write`) and the activation table (`segment`, `table_entry`) are outside.
    `value` (activated) and `stored` (as read) follow `latency` cycles after `total`; `issue` announces them
    `memory_registers` + 1 cycles earlier. A row can read a stored value `store_distance` cycles after the row that
    stores it. One row a cycle, no stalls.
    """

    module_name = "srnn_gate_path"

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = p = parameters
        self.requantiser = Requantiser(p)
        self.activation = ActivationUnit(p)
        super().__init__(Ports({
            "total": In(signed(p.accumulator_bits)),
            "valid": In(1),
            "entry": In(gate_entry_layout(p)),
            "fresh": In(1),
            "parity": In(1),
            "stored_read": Out(read_port(p.stored_bits, signed(16))),
            "stored_write": Out(write_port(p.stored_bits, 16)),
            "segment": Out(p.segment_bits),
            "table_entry": In(table_entry_layout(p)),
            "issue": Out(issue_layout(p)),
            "value": Out(signed(16)),
            "stored": Out(signed(16)),
        }))

    @property
    def latency(self) -> int:
        """Cycles from `total` to `value`: requantise, add and look up, activate."""
        return self.requantiser.latency + self.activation.latency

    @property
    def store_latency(self) -> int:
        """Cycles from `total` until its pre-activation is in the memory: requantise, add and write."""
        return self.requantiser.latency + 1

    @property
    def store_distance(self) -> int:
        """Cycles from a row that stores to the first row that can read the stored value: a row reads so that the word
        is there after its own requantisation."""
        return self.store_latency - (self.requantiser.latency - 1 - self.parameters.memory_registers)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        m.submodules.requantiser = requantiser = Shared(self.requantiser)
        m.submodules.activation = activation = Shared(self.activation)

        # One control word for each pipeline stage, by the cycles since the row's sum.
        stages: list[GatePath | _Stage] = [self]
        for age in range(1, self.latency - p.memory_registers):
            stages.append(_control(m, p, f"stage_{age}", stages[-1]))
        multiplying = stages[1]
        reading = stages[self.requantiser.latency - 1 - p.memory_registers]
        adding = stages[self.requantiser.latency]
        issuing = stages[-1]

        total = Signal(signed(17))
        m.d.comb += [
            requantiser.total.eq(self.total),
            requantiser.shift.eq(self.entry.shift),
            requantiser.multiplier.eq(multiplying.entry.multiplier),
            self.stored_read.enable.eq(reading.valid & (~reading.entry.store | reading.entry.add_stored)),
            self.stored_read.address.eq(reading.entry.stored),
            total.eq(requantiser.part + Mux(adding.entry.add_stored, self.stored_read.data, 0)),
            self.stored_write.enable.eq(adding.valid & adding.entry.store),
            self.stored_write.address.eq(adding.entry.stored),
            self.stored_write.data.eq(saturate(m, total, 16, "limited")),
            activation.value.eq(total),
            activation.activation.eq(adding.entry.activation),
            self.segment.eq(activation.segment),
            activation.entry.eq(self.table_entry),
        ]
        stored: Value = self.stored_read.data
        for number in range(self.activation.latency):
            later = Signal(signed(16), name=f"stored_{number}", reset_less=True)
            m.d.sync += later.eq(stored)
            stored = later
        m.d.comb += [
            self.issue.valid.eq(issuing.valid & issuing.entry.run),
            self.issue.hold.eq(Mux(issuing.valid, issuing.entry.hold, Hold.NONE)),
            self.issue.instruction.eq(issuing.entry.instruction),
            self.issue.unit.eq(issuing.entry.unit),
            self.issue.fresh.eq(issuing.fresh),
            self.issue.parity.eq(issuing.parity),
            self.value.eq(activation.result),
            self.stored.eq(stored),
        ]
        return m


class _Stage:
    """Control word of one pipeline stage. Synthesis removes registers that nothing reads."""

    def __init__(self, p: GridParameters, name: str) -> None:
        self.valid = Signal(name=f"{name}_valid")
        self.entry = Signal(gate_entry_layout(p), name=f"{name}_entry", reset_less=True)
        self.fresh = Signal(name=f"{name}_fresh", reset_less=True)
        self.parity = Signal(name=f"{name}_parity", reset_less=True)


def _control(m: Module, p: GridParameters, name: str, previous: GatePath | _Stage) -> _Stage:
    stage = _Stage(p, name)
    m.d.sync += [
        stage.valid.eq(previous.valid),
        stage.entry.eq(previous.entry),
        stage.fresh.eq(previous.fresh),
        stage.parity.eq(previous.parity),
    ]
    return stage
