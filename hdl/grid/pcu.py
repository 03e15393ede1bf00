"""Pattern compute unit: dot product, partial-sum chain and epilogue of one site."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.dot_product import DotProduct
from hdl.grid.gate_path import GatePath
from hdl.grid.partial_chain import PartialChain
from hdl.grid.ports import Ports, connect, read_port, write_port
from hdl.grid.sharing import Shared
from hdl.grid.unit_path import UnitPath
from hdl.layouts import (
    LinkError,
    bias_layout,
    gate_entry_layout,
    instruction_layout,
    operand_tag_layout,
    result_layout,
    table_entry_layout,
    unit_entry_layout,
)
from hdl.parameters import GridParameters

__all__ = ["Pcu"]


class Pcu(wiring.Component):
    """Multiplies the operands that its PMU streams, chains the sums and runs the epilogue; `tag` carries all control.

    `weights`, `vector` and `tag` are one word each, one a cycle, without stalls. A matrix row is a run of words from
    `first` to `last`. `partial_out` carries the row's sum `partial_latency` cycles after its last word; `partial_in`
    is the sum of the western neighbour, whose words come one cycle earlier. The PCU with `tail` runs the epilogue. A
    result that instruction k of a unit's program emits is on `result_out` `result_latency` cycles after the last word,
    plus k trips round the ring (`ring_latency` each).
    The memories are outside the PCU, in its site; all other ports are read and write ports of memories.
    """

    module_name = "srnn_pcu"

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = p = parameters
        self.dot_product = DotProduct(p)
        self.partial_chain = PartialChain(p)
        self.gate_path = GatePath(p)
        self.unit_path = UnitPath(p)
        super().__init__(Ports({
            "weights": In(8 * p.lanes),
            "vector": In(p.operand_bits * p.lanes),
            "tag": In(operand_tag_layout(p)),
            "overrun": In(1),
            "partial_in": In(signed(p.accumulator_bits)),
            "partial_out": Out(signed(p.accumulator_bits)),
            "result_in": In(result_layout(p)),
            "result_out": Out(result_layout(p)),
            "bias_enable": Out(1),
            "bias_address": Out(p.gate_entry_bits),
            "bias": In(bias_layout(p)),
            "gate_enable": Out(1),
            "gate_address": Out(p.gate_entry_bits),
            "gate_entry": In(gate_entry_layout(p)),
            "stored_read": Out(read_port(p.stored_bits, 16)),
            "stored_write": Out(write_port(p.stored_bits, 16)),
            "gate_segment": Out(p.segment_bits),
            "gate_table_entry": In(table_entry_layout(p)),
            "fetch_enable": Out(1),
            "program_address": Out(p.program_bits),
            "instruction": In(instruction_layout(p)),
            "state_address": Out(p.state_address_bits),
            "state": In(16),
            "unit_enable": Out(1),
            "unit_address": Out(p.unit_bits),
            "unit_entry": In(unit_entry_layout(p)),
            "unit_segment": Out(p.segment_bits),
            "unit_table_entry": In(table_entry_layout(p)),
            "state_write": Out(write_port(p.state_address_bits, 16)),
        }))

    @property
    def partial_latency(self) -> int:
        """Cycles from the last word of a row to `partial_out`."""
        return self.dot_product.latency + self.partial_chain.latency

    @property
    def result_latency(self) -> int:
        """Cycles from the last word of a row to `result_out`, when the row's own instruction emits."""
        return self.partial_latency + self.gate_path.latency + self.unit_path.emit_latency + 1

    @property
    def ring_latency(self) -> int:
        """Cycles that each further instruction of a unit adds."""
        return self.unit_path.ring_latency

    @property
    def store_latency(self) -> int:
        """Cycles from the last word of a row that stores until its pre-activation is in the memory."""
        return self.partial_latency + self.gate_path.store_latency

    @property
    def store_distance(self) -> int:
        """Cycles from a row that stores to the first row that may read the stored pre-activation."""
        return self.gate_path.store_distance

    @property
    def kept_distance(self) -> int:
        """Cycles from an instruction that keeps its result to the first one that can use it."""
        return self.unit_path.kept_distance

    @property
    def state_distance(self) -> int:
        """Cycles from an instruction that writes a state word to the first one that reads the new value."""
        return self.unit_path.state_distance

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        m.submodules.dot_product = dot = Shared(self.dot_product)
        m.submodules.partial_chain = chain = Shared(self.partial_chain)
        m.submodules.gate_path = gate = Shared(self.gate_path)
        m.submodules.unit_path = unit = Shared(self.unit_path)

        # The tag keeps pace with the products and the adder tree.
        tags = [self.tag]
        for stage in range(self.dot_product.accumulate_latency):
            tag = Signal(operand_tag_layout(p), name=f"tag_q{stage + 1}", reset_less=True)
            valid = Signal(name=f"tag_q{stage + 1}_valid")
            m.d.sync += [tag.eq(tags[-1]), valid.eq(tags[-1].valid)]
            now = Signal(operand_tag_layout(p), name=f"tag_{stage + 1}")
            m.d.comb += [now.eq(tag), now.valid.eq(valid)]
            tags.append(now)
        summing, fetching = tags[-1], tags[-2 - p.memory_registers]
        keeps, starts = Signal(reset_less=True), Signal(reset_less=True)
        m.d.sync += [keeps.eq(~tags[-2].first), starts.eq(tags[-2].first & tags[-2].tail)]

        m.d.comb += [
            self.bias_enable.eq(fetching.valid & fetching.first & fetching.tail),
            self.bias_address.eq(fetching.entry),
            dot.weights.eq(self.weights),
            dot.vector.eq(self.vector),
            dot.keep.eq(keeps),
            dot.start.eq(starts),
            dot.zero.eq(summing.zero),
            dot.start_value.eq(self.bias.bias),
        ]

        # The row's sum goes through the accumulator and the chain's adder; its gate entry is read meanwhile.
        accumulated = Signal(operand_tag_layout(p), reset_less=True)
        accumulated_valid, chained_valid = Signal(), Signal()
        follows = Signal(reset_less=True)
        chained_fresh, chained_parity = Signal(reset_less=True), Signal(reset_less=True)
        m.d.sync += [
            accumulated.eq(summing),
            follows.eq(~summing.head),
            accumulated_valid.eq(summing.valid & summing.last & summing.tail),
            chained_valid.eq(accumulated_valid),
            chained_fresh.eq(accumulated.fresh),
            chained_parity.eq(accumulated.parity),
        ]
        m.d.comb += [
            chain.follows.eq(follows),
            chain.total.eq(dot.accumulator),
            chain.partial_in.eq(self.partial_in),
            self.partial_out.eq(chain.partial_out),
        ]
        if p.memory_registers:
            ends = summing.valid & summing.last & summing.tail
            m.d.comb += [self.gate_enable.eq(ends), self.gate_address.eq(summing.entry)]
        else:
            m.d.comb += [self.gate_enable.eq(accumulated_valid), self.gate_address.eq(accumulated.entry)]

        m.d.comb += [
            gate.total.eq(self.partial_out),
            gate.valid.eq(chained_valid),
            gate.entry.eq(self.gate_entry),
            gate.fresh.eq(chained_fresh),
            gate.parity.eq(chained_parity),
        ]
        connect(m, gate.stored_read, wiring.flipped(self.stored_read))
        connect(m, gate.stored_write, wiring.flipped(self.stored_write))
        m.d.comb += [
            self.gate_segment.eq(gate.segment),
            gate.table_entry.eq(self.gate_table_entry),
            unit.issue.eq(gate.issue),
            unit.value.eq(gate.value),
            unit.stored.eq(gate.stored),
            self.fetch_enable.eq(unit.fetch_enable),
            self.program_address.eq(unit.program_address),
            unit.instruction.eq(self.instruction),
            self.state_address.eq(unit.state_address),
            unit.state.eq(self.state),
            self.unit_enable.eq(unit.unit_enable),
            self.unit_address.eq(unit.unit_address),
            unit.unit_entry.eq(self.unit_entry),
            self.unit_segment.eq(unit.segment),
            unit.table_entry.eq(self.unit_table_entry),
        ]
        connect(m, unit.state_write, wiring.flipped(self.state_write))
        self._result_link(m, unit.own_result, unit.collision)
        return m

    def _result_link(self, m: Module, local: data.View, collision: Signal) -> None:
        p = self.parameters
        payload = Signal(result_layout(p), reset_less=True)
        valid = Signal()
        errors = Signal(len(LinkError))
        m.d.sync += [
            valid.eq(local.valid | self.result_in.valid),
            payload.eq(Mux(local.valid, local, self.result_in)),
            errors.eq(self.result_in.errors),
        ]
        with m.If(local.valid & self.result_in.valid):
            m.d.sync += errors[LinkError.RESULT_COLLISION].eq(1)
        with m.If(collision):
            m.d.sync += errors[LinkError.EPILOGUE_COLLISION].eq(1)
        with m.If(self.overrun):
            m.d.sync += errors[LinkError.SEQUENCER_OVERRUN].eq(1)
        m.d.comb += [self.result_out.eq(payload), self.result_out.valid.eq(valid), self.result_out.errors.eq(errors)]

