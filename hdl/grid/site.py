"""One site: a PMU, a PCU and their memories."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, ValueLike, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.memory import ExternalMemory
from hdl.grid.pcu import Pcu
from hdl.grid.pmu import SITE_MEMORIES, Pmu
from hdl.grid.ports import connect
from hdl.grid.sharing import Shared
from hdl.layouts import Memory, memory_shape, result_layout, write_word_layout
from hdl.naming import SITE_INSTANCES
from hdl.parameters import GridParameters

__all__ = ["Site"]


class Site(wiring.Component):
    """A PMU that feeds a PCU, and their memories.

    Links: `write_in` to `write_out` in one cycle (east), `partial_in` to `partial_out` (east, see `Pcu`), `result_in`
    to `result_out` in one cycle (west). `row` and `col` are constants that the top level supplies. `init_files` maps
    the instance name of a memory to the file with its contents; without it all sites are one Verilog module.
    """

    def __init__(
        self, parameters: GridParameters, name: str = "srnn_site", init_files: dict[str, str] | None = None
    ) -> None:
        self.parameters = p = parameters
        self.module_name = name
        self.init_files = init_files or {}
        self.pmu = Pmu(p)
        self.pcu = Pcu(p)
        super().__init__({
            "row": In(p.row_bits),
            "col": In(p.col_bits),
            "write_in": In(write_word_layout(p)),
            "write_out": Out(write_word_layout(p)),
            "partial_in": In(signed(p.accumulator_bits)),
            "partial_out": Out(signed(p.accumulator_bits)),
            "result_in": In(result_layout(p)),
            "result_out": Out(result_layout(p)),
        })

    @property
    def token_latency(self) -> int:
        """Cycles from a token on `write_in` to the first operands in the PCU, without the site's delay."""
        return self.pmu.hop_latency + self.pmu.token_latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        m.submodules.pmu = pmu = Shared(self.pmu)
        m.submodules.pcu = pcu = Shared(self.pcu)
        memories: dict[str, ExternalMemory] = {}
        for bit, memory in enumerate(SITE_MEMORIES):
            width, depth, _ = memory_shape(p, memory)
            for instance in SITE_INSTANCES[memory]:
                slice_width = width if memory == Memory.STATE else p.beat_bits
                registers = p.memory_registers if memory != Memory.PHASE else 0
                words = ExternalMemory(
                    width, depth, slice_width, self.init_files.get(instance, ""), registers,
                    p.weight_ports if memory == Memory.WEIGHT else 2,
                )
                memories[instance] = words
                m.submodules[instance] = words
                if memory != Memory.STATE:
                    m.d.comb += [
                        words.write.enable.eq(pmu.write_enable[bit]),
                        words.write.address.eq(pmu.write_bus.word),
                        words.write.slice.eq(pmu.write_bus.beat),
                        words.write.data.eq(pmu.write_bus.data),
                    ]
        m.submodules.stored_memory = stored = ExternalMemory(16, p.stored_depth, registers=p.memory_registers)

        m.d.comb += [
            pmu.row.eq(self.row),
            pmu.col.eq(self.col),
            pmu.write_in.eq(self.write_in),
            self.write_out.eq(pmu.write_out),
            _read(memories["phase_memory"], pmu.phase_enable, pmu.phase_address, pmu.configuration),
            _read(memories["weight_memory"], pmu.read, pmu.weight_address, pcu.weights),
            _read(memories["vector_memory"], pmu.read, pmu.vector_address, pcu.vector),
            pcu.tag.eq(pmu.tag),
            pcu.overrun.eq(pmu.overrun),
            pcu.partial_in.eq(self.partial_in),
            self.partial_out.eq(pcu.partial_out),
            pcu.result_in.eq(self.result_in),
            self.result_out.eq(pcu.result_out),
            _read(memories["bias_memory"], pcu.bias_enable, pcu.bias_address, pcu.bias),
            _read(memories["gate_memory"], pcu.gate_enable, pcu.gate_address, pcu.gate_entry),
        ]
        connect(m, stored.read, pcu.stored_read)
        m.d.comb += [
            stored.write.enable.eq(pcu.stored_write.enable),
            stored.write.address.eq(pcu.stored_write.address),
            stored.write.data.eq(pcu.stored_write.data),
            _read(memories["gate_table"], 1, pcu.gate_segment, pcu.gate_table_entry),
            _read(memories["program_memory"], pcu.fetch_enable, pcu.program_address, pcu.instruction),
            _read(memories["state_memory"], pcu.fetch_enable, pcu.state_address, pcu.state),
            _read(memories["unit_memory"], pcu.unit_enable, pcu.unit_address, pcu.unit_entry),
            _read(memories["unit_table"], 1, pcu.unit_segment, pcu.unit_table_entry),
        ]
        self._write_state(m, memories["state_memory"], pmu, pcu)
        return m

    def _write_state(self, m: Module, state: ExternalMemory, pmu: Shared, pcu: Shared) -> None:
        """The state has two writers: the epilogue, and the host while no phase runs."""
        load = pmu.write_enable[SITE_MEMORIES.index(Memory.STATE)]
        loaded: Value = pmu.write_bus.data[:16]
        if self.parameters.beat_bits < state.width:
            # A beat is one byte: the low byte waits for the high one.
            low = Signal(8, reset_less=True)
            with m.If(load):
                m.d.sync += low.eq(pmu.write_bus.data)
            loaded = Cat(low, pmu.write_bus.data)
            load = load & (pmu.write_bus.beat == 1)
        m.d.comb += [
            state.write.enable.eq(load | pcu.state_write.enable),
            state.write.address.eq(Mux(load, pmu.write_bus.word, pcu.state_write.address)),
            state.write.data.eq(Mux(load, loaded, pcu.state_write.data)),
        ]


def _read(memory: ExternalMemory, enable: ValueLike, address: Value, data: Value) -> list[object]:
    return [memory.read.enable.eq(enable), memory.read.address.eq(address), data.eq(memory.read.data)]
