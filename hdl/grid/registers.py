"""AXI4-Lite subordinate with the control and status registers."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.parameters import GridParameters
from hdl.register_map import ADDRESS_BITS, IDENTIFICATION, REGISTERS, VERSION, Access, Control, Error, Status

__all__ = ["Registers", "axi_lite_members", "grid_value"]


def grid_value(parameters: GridParameters) -> int:
    """Value of the register GRID."""
    p = parameters
    return p.rows | p.cols << 8 | p.lanes << 16 | (p.operand_bits // 8 - 1) << 24


def axi_lite_members(prefix: str) -> dict[str, object]:
    """Ports of an AXI4-Lite subordinate with 32 data bits, named as AXI names them."""
    return {
        f"{prefix}_awaddr": In(ADDRESS_BITS), f"{prefix}_awprot": In(3), f"{prefix}_awvalid": In(1),
        f"{prefix}_awready": Out(1),
        f"{prefix}_wdata": In(32), f"{prefix}_wstrb": In(4), f"{prefix}_wvalid": In(1), f"{prefix}_wready": Out(1),
        f"{prefix}_bresp": Out(2), f"{prefix}_bvalid": Out(1), f"{prefix}_bready": In(1),
        f"{prefix}_araddr": In(ADDRESS_BITS), f"{prefix}_arprot": In(3), f"{prefix}_arvalid": In(1),
        f"{prefix}_arready": Out(1),
        f"{prefix}_rdata": Out(32), f"{prefix}_rresp": Out(2), f"{prefix}_rvalid": Out(1), f"{prefix}_rready": In(1),
    }


class Registers(wiring.Component):
    """The registers of `register_map`, and the interrupt.

    A write is taken when its address and its data are both offered and the response channel is free; `start` and
    `abort` go high for one cycle after it. A read answers one cycle after its address. Unknown addresses read as
    zero, ignore writes and answer SLVERR. Byte strobes are honoured.
    `errors` are pulses that become sticky; the other inputs are shown as they are.
    """

    module_name = "srnn_registers"

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = parameters
        super().__init__({
            **axi_lite_members("s_axil"),
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
        })

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
        write = Signal()
        strobes = Cat(self.s_axil_wstrb[index].replicate(8) for index in range(4))
        m.d.comb += [
            write.eq(self.s_axil_awvalid & self.s_axil_wvalid & (~self.s_axil_bvalid | self.s_axil_bready)),
            self.s_axil_awready.eq(write),
            self.s_axil_wready.eq(write),
        ]
        m.d.sync += [self.start.eq(0), self.abort.eq(0)]
        with m.If(self.s_axil_bready):
            m.d.sync += self.s_axil_bvalid.eq(0)
        with m.If(write):
            m.d.sync += [self.s_axil_bvalid.eq(1), self.s_axil_bresp.eq(0)]
            with m.Switch(self.s_axil_awaddr[2:]):
                for register in REGISTERS:
                    with m.Case(register.offset >> 2):
                        if register.access == Access.READ_WRITE:
                            value = held[register.name]
                            m.d.sync += value.eq((value & ~strobes) | (self.s_axil_wdata & strobes))
                        elif register.access == Access.WRITE_ONE_TO_CLEAR:
                            m.d.comb += clear.eq(self.s_axil_wdata & strobes)
                        elif register.name == "CONTROL":
                            commands = self.s_axil_wdata & strobes
                            m.d.sync += [
                                self.start.eq(commands[Control.START]), self.abort.eq(commands[Control.ABORT])
                            ]
                with m.Default():
                    m.d.sync += self.s_axil_bresp.eq(2)

    def _read_channel(self, m: Module, readable: dict[str, object]) -> None:
        m.d.comb += self.s_axil_arready.eq(~self.s_axil_rvalid | self.s_axil_rready)
        with m.If(self.s_axil_rready):
            m.d.sync += self.s_axil_rvalid.eq(0)
        with m.If(self.s_axil_arvalid & self.s_axil_arready):
            m.d.sync += [self.s_axil_rvalid.eq(1), self.s_axil_rresp.eq(0)]
            with m.Switch(self.s_axil_araddr[2:]):
                for register in REGISTERS:
                    with m.Case(register.offset >> 2):
                        m.d.sync += self.s_axil_rdata.eq(readable.get(register.name, 0))
                with m.Default():
                    m.d.sync += [self.s_axil_rdata.eq(0), self.s_axil_rresp.eq(2)]
