"""AXI4-Lite subordinate with the control and status registers."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.ports import Ports, axi_lite
from hdl.grid.skid import skid_buffer
from hdl.parameters import GridParameters
from hdl.register_map import (
    ADDRESS_BITS,
    IDENTIFICATION,
    REGISTERS,
    VERSION,
    Access,
    Control,
    Error,
    Status,
    Stream,
    held_bits,
)

__all__ = ["Registers", "grid_value"]


def grid_value(parameters: GridParameters) -> int:
    """Value of the register GRID."""
    p = parameters
    return p.rows | p.cols << 8 | p.lanes << 16 | (p.operand_bits // 8 - 1) << 24


class Registers(wiring.Component):
    """The registers of `register_map`, and the interrupt.

    A write takes place when its address and its data have come and the response channel is free; `start` and `abort` go
    high for one cycle after it. A read is answered two cycles after its address. Every output to the bus is a register:
    an address or data that cannot be used at once is kept in a skid buffer. Unknown addresses read as zero, ignore
    writes and answer SLVERR; bits that a register does not have read as zero (`held_bits`). Byte strobes are honoured.
    A read of the lower half of a counter keeps its upper half for the read of that which follows; without one before
    it, the upper half is read as it is.
    `errors` are pulses, which set sticky flags; the other inputs are readable as they are.
    """

    module_name = "srnn_registers"

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = p = parameters
        super().__init__(Ports({
            "s_axil": In(axi_lite(ADDRESS_BITS)),
            "interrupt": Out(1),
            "start": Out(1),
            "abort": Out(1),
            "keep_state": Out(1),
            "model": Out(32),
            "steps": Out(32),
            "phase_enable": Out(p.phases),
            "ignore_tdest": Out(1),
            "load": Out(1),
            "busy": In(1),
            "done": In(1),
            "aborted": In(1),
            "state_valid": In(1),
            "errors": In(len(Error)),
            "steps_done": In(32),
            "cycles": In(p.counter_bits),
            "stall_input": In(p.counter_bits),
            "stall_output": In(p.counter_bits),
            "stall_result": In(p.counter_bits),
        }))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        sticky = Signal(len(Error))
        status = Signal(32)
        m.d.comb += [
            status[Status.BUSY].eq(self.busy),
            status[Status.DONE].eq(self.done),
            status[Status.ABORTED].eq(self.aborted),
            status[Status.STATE_VALID].eq(self.state_valid),
        ]
        held: dict[str, Signal] = {}
        for register in REGISTERS:
            bits = held_bits(register, p.phases) if register.access == Access.READ_WRITE else 0
            if bits:
                init = register.reset & ((1 << bits) - 1)
                held[register.name] = Signal(bits, name=register.name.lower(), init=init)
        enables = [held[name] for name in ("PHASE_ENABLE_LOW", "PHASE_ENABLE_HIGH") if name in held]
        readable = {
            **held,
            "ID": Const(IDENTIFICATION, 32),
            "VERSION": Const(VERSION, 32),
            "GRID": Const(grid_value(p), 32),
            "STATUS": status,
            "ERRORS": sticky,
            "STEPS_DONE": self.steps_done,
        }
        m.d.comb += [
            self.keep_state.eq(held["MODE"][0]),
            self.model.eq(held["MODEL"]),
            self.steps.eq(held["STEPS"]),
            self.phase_enable.eq(Cat(enables)),
            self.ignore_tdest.eq(held["STREAM"][Stream.IGNORE_TDEST]),
            self.load.eq(held["STREAM"][Stream.LOAD]),
            self.interrupt.eq(
                (held["INTERRUPT_ENABLE"][0] & (self.done | self.aborted))
                | (held["INTERRUPT_ENABLE"][1] & sticky.any())
            ),
        ]
        clear = Signal(len(Error))
        m.d.sync += sticky.eq((sticky & ~clear) | self.errors)
        self._write_channel(m, held, clear)
        counters = {
            "CYCLES": self.cycles, "STALL_INPUT": self.stall_input, "STALL_OUTPUT": self.stall_output,
            "STALL_RESULT": self.stall_result,
        }
        self._read_channel(m, readable, counters)
        return m

    def _write_channel(self, m: Module, held: dict[str, Signal], clear: Signal) -> None:
        bus = self.s_axil
        write = Signal()
        address_valid, (address,) = skid_buffer(m, "aw", bus.awvalid, bus.awready, [bus.awaddr], write)
        data_valid, (offered, enables) = skid_buffer(m, "w", bus.wvalid, bus.wready, [bus.wdata, bus.wstrb], write)
        data, strobes = Signal(32, name="write_data"), Signal(32, name="write_strobes")
        m.d.comb += [
            write.eq(address_valid & data_valid & (~bus.bvalid | bus.bready)),
            data.eq(offered),
            strobes.eq(Cat(enables[index].replicate(8) for index in range(4))),
        ]
        m.d.sync += [self.start.eq(0), self.abort.eq(0)]
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(write):
            m.d.sync += [bus.bvalid.eq(1), bus.bresp.eq(0)]
            with m.Switch(address[2:]):
                for register in REGISTERS:
                    with m.Case(register.offset >> 2):
                        if register.name in held:
                            # By bytes, so that the strobes are enables of registers.
                            value = held[register.name]
                            for low in range(0, len(value), 8):
                                with m.If(enables[low // 8]):
                                    m.d.sync += value[low : low + 8].eq(data[low:])
                        elif register.access == Access.WRITE_ONE_TO_CLEAR:
                            m.d.comb += clear.eq(data & strobes)
                        elif register.name == "CONTROL":
                            commands = data & strobes
                            m.d.sync += [
                                self.start.eq(commands[Control.START]), self.abort.eq(commands[Control.ABORT])
                            ]
                with m.Default():
                    m.d.sync += bus.bresp.eq(2)

    def _read_channel(self, m: Module, readable: dict[str, Value], counters: dict[str, Value]) -> None:
        bus = self.s_axil
        read = Signal()
        #: The upper half of the counter whose lower half was read last, and a bit for that counter.
        kept = Signal(max(1, self.parameters.counter_bits - 32), reset_less=True)
        kept_of = Signal(len(counters))
        #: What the read of a register does besides.
        effects: dict[str, list[Any]] = {}
        for index, (name, counter) in enumerate(counters.items()):
            readable |= {f"{name}_LOW": counter[:32], f"{name}_HIGH": Mux(kept_of[index], kept, counter[32:])}
            effects[f"{name}_LOW"] = [kept.eq(counter[32:]), kept_of.eq(1 << index)]
            effects[f"{name}_HIGH"] = [kept_of[index].eq(0)]
        address_valid, (address,) = skid_buffer(m, "ar", bus.arvalid, bus.arready, [bus.araddr], read)
        #: A register is read: one bit for it, or none if there is none of this address. Decoded a cycle before the wide
        #: selection of the value.
        reading, chosen = Signal(), Signal(len(REGISTERS), reset_less=True)
        m.d.comb += read.eq(address_valid & ~reading & (~bus.rvalid | bus.rready))
        m.d.sync += reading.eq(read)
        with m.If(read):
            m.d.sync += chosen.eq(Cat(address[2:] == register.offset >> 2 for register in REGISTERS))
        values = [
            readable[register.name] & chosen[index].replicate(32)
            for index, register in enumerate(REGISTERS) if register.name in readable
        ]
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(reading):
            m.d.sync += [
                bus.rvalid.eq(1), bus.rdata.eq(reduce(or_, values)), bus.rresp.eq(Mux(chosen.any(), 0, 2)),
            ]
            for index, register in enumerate(REGISTERS):
                with m.If(chosen[index]):
                    m.d.sync += effects.get(register.name, [])
