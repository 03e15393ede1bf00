"""Row path of the epilogue: from the sum of one matrix row to the activated value of one gate."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
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
    `value` (activated) and `stored` (as read) follow `latency` cycles after `total`; `issue` announces them one cycle
    earlier. A row can read a stored value `store_distance` cycles after the row that stores it. One row a cycle, no
    stalls.
    """

    module_name = "srnn_gate_path"

    #: Cycles from a row that stores to the first row that can read the stored value.
    store_distance = 3

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
        """Cycles from `total` to `value`: requantise, add, activate."""
        return self.requantiser.latency + 1 + self.activation.latency

    @property
    def store_latency(self) -> int:
        """Cycles from `total` until its pre-activation is in the memory: requantise, add, write."""
        return self.requantiser.latency + 2

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        m.submodules.requantiser = requantiser = Shared(self.requantiser)
        m.submodules.activation = activation = Shared(self.activation)

        # One control word for each pipeline stage, named after the data of the stage.
        prescaled = _control(m, p, "prescaled", self)
        m.d.comb += [
            requantiser.total.eq(self.total),
            requantiser.shift.eq(self.entry.shift),
            requantiser.multiplier.eq(prescaled.entry.multiplier),
            self.stored_read.enable.eq(prescaled.valid & (~prescaled.entry.store | prescaled.entry.add_stored)),
            self.stored_read.address.eq(prescaled.entry.stored),
        ]

        requantised = _control(m, p, "requantised", prescaled)
        added = _control(m, p, "added", requantised)
        pre_activation = Signal(signed(16), reset_less=True)
        total = Signal(signed(17))
        stored = Signal(signed(16), reset_less=True)
        m.d.comb += total.eq(requantiser.part + Mux(requantised.entry.add_stored, self.stored_read.data, 0))
        m.d.sync += [
            pre_activation.eq(saturate(m, total, 16, "limited")),
            stored.eq(self.stored_read.data),
        ]
        m.d.comb += [
            self.stored_write.enable.eq(added.valid & added.entry.store),
            self.stored_write.address.eq(added.entry.stored),
            self.stored_write.data.eq(pre_activation),
            activation.value.eq(pre_activation),
            activation.activation.eq(added.entry.activation),
            self.segment.eq(activation.segment),
            activation.entry.eq(self.table_entry),
        ]

        looked_up = _control(m, p, "looked_up", added)
        stored_q = Signal(signed(16), reset_less=True)
        m.d.sync += [stored_q.eq(stored), self.stored.eq(stored_q)]
        m.d.comb += [
            self.issue.valid.eq(looked_up.valid & looked_up.entry.run),
            self.issue.hold.eq(Mux(looked_up.valid, looked_up.entry.hold, Hold.NONE)),
            self.issue.instruction.eq(looked_up.entry.instruction),
            self.issue.unit.eq(looked_up.entry.unit),
            self.issue.fresh.eq(looked_up.fresh),
            self.issue.parity.eq(looked_up.parity),
            self.value.eq(activation.result),
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
