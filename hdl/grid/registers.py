"""AXI4-Lite subordinate with the control and status registers."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.ports import Ports, axi_lite
from hdl.parameters import GridParameters
from hdl.register_map import ADDRESS_BITS, IDENTIFICATION, REGISTERS, VERSION, Access, Control, Error, Status

__all__ = ["Registers", "grid_value"]


def grid_value(parameters: GridParameters) -> int:
    """Value of the register GRID."""
    p = parameters
    return p.rows | p.cols << 8 | p.lanes << 16 | (p.operand_bits // 8 - 1) << 24


class Registers(wiring.Component):
    """The registers of `register_map`, and the interrupt.

    A write is taken when its address and its data are both on offer and the response channel is free; `start` and
    `abort` go high for one cycle after it. A read is answered one cycle after its address. Unknown addresses read as
    zero, ignore writes and answer SLVERR. Byte strobes are honoured.
    `errors` are pulses, which set sticky flags; the other inputs are readable as they are.
    """

    module_name = "srnn_registers"

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = parameters
        super().__init__(Ports({
            "s_axil": In(axi_lite(ADDRESS_BITS)),
            "interrupt": Out(1),
            "start": Out(1),
            "abort": Out(1),
            "keep_state": Out(1),
            "model": Out(32),
            "steps": Out(32),
            "phase_enable": Out(64),
            "busy": In(1),
            "done": In(1),
            "aborted": In(1),
            "state_valid": In(1),
            "errors": In(len(Error)),
            "steps_done": In(32),
            "cycles": In(64),
            "stall_input": In(64),
            "stall_output": In(64),
            "stall_result": In(64),
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
        held = {
            register.name: Signal(32, name=register.name.lower(), init=register.reset)
            for register in REGISTERS if register.access == Access.READ_WRITE
        }
        readable = {
            **held,
            "ID": Const(IDENTIFICATION, 32),
            "VERSION": Const(VERSION, 32),
            "GRID": Const(grid_value(p), 32),
            "STATUS": status,
            "ERRORS": sticky,
            "STEPS_DONE": self.steps_done,
            **{
                f"{name}_{half}": counter[32 * index : 32 * index + 32]
                for name, counter in (
                    ("CYCLES", self.cycles), ("STALL_INPUT", self.stall_input), ("STALL_OUTPUT", self.stall_output),
                    ("STALL_RESULT", self.stall_result),
                )
                for index, half in enumerate(("LOW", "HIGH"))
            },
        }
        m.d.comb += [
            self.keep_state.eq(held["MODE"][0]),
            self.model.eq(held["MODEL"]),
            self.steps.eq(held["STEPS"]),
            self.phase_enable.eq(Cat(held["PHASE_ENABLE_LOW"], held["PHASE_ENABLE_HIGH"])),
            self.interrupt.eq(
                (held["INTERRUPT_ENABLE"][0] & (self.done | self.aborted))
                | (held["INTERRUPT_ENABLE"][1] & sticky.any())
            ),
        ]
        clear = Signal(len(Error))
        m.d.sync += sticky.eq((sticky & ~clear) | self.errors)
        self._write_channel(m, held, clear)
        self._read_channel(m, readable)
        return m

    def _write_channel(self, m: Module, held: dict[str, Signal], clear: Signal) -> None:
        bus = self.s_axil
        write = Signal()
        strobes = Cat(bus.wstrb[index].replicate(8) for index in range(4))
        m.d.comb += [
            write.eq(bus.awvalid & bus.wvalid & (~bus.bvalid | bus.bready)),
            bus.awready.eq(write),
            bus.wready.eq(write),
        ]
        m.d.sync += [self.start.eq(0), self.abort.eq(0)]
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(write):
            m.d.sync += [bus.bvalid.eq(1), bus.bresp.eq(0)]
            with m.Switch(bus.awaddr[2:]):
                for register in REGISTERS:
                    with m.Case(register.offset >> 2):
                        if register.access == Access.READ_WRITE:
                            value = held[register.name]
                            m.d.sync += value.eq((value & ~strobes) | (bus.wdata & strobes))
                        elif register.access == Access.WRITE_ONE_TO_CLEAR:
                            m.d.comb += clear.eq(bus.wdata & strobes)
                        elif register.name == "CONTROL":
                            commands = bus.wdata & strobes
                            m.d.sync += [
                                self.start.eq(commands[Control.START]), self.abort.eq(commands[Control.ABORT])
                            ]
                with m.Default():
                    m.d.sync += bus.bresp.eq(2)

    def _read_channel(self, m: Module, readable: dict[str, object]) -> None:
        bus = self.s_axil
        m.d.comb += bus.arready.eq(~bus.rvalid | bus.rready)
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [bus.rvalid.eq(1), bus.rresp.eq(0)]
            with m.Switch(bus.araddr[2:]):
                for register in REGISTERS:
                    with m.Case(register.offset >> 2):
                        m.d.sync += bus.rdata.eq(readable.get(register.name, 0))
                with m.Default():
                    m.d.sync += [bus.rdata.eq(0), bus.rresp.eq(2)]
