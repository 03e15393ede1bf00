"""The registers: AXI4-Lite, and every register, pulse and flag against a description of a few lines."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal

from hdl.grid.registers import Registers
from hdl.parameters import GridParameters
from hdl.register_map import REGISTERS, Access, Control, Error, held_bits
from sim_tests.proofs.harness import Harness

__all__ = ["RegistersProof"]


class RegistersProof(Harness):
    """Promises of `hdl.grid.registers`."""

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = parameters
        super().__init__(Registers(parameters))

    def state(self, m: Module) -> None:
        dut, bus = self.dut, self.dut.s_axil
        stalled_b, stalled_r = Signal(), Signal()
        bresp, rresp, rdata = Signal(2), Signal(2), Signal(32)
        m.d.sync += [
            stalled_b.eq(bus.bvalid & ~bus.bready), stalled_r.eq(bus.rvalid & ~bus.rready), bresp.eq(bus.bresp),
            rresp.eq(bus.rresp), rdata.eq(bus.rdata),
        ]
        self.promise("a response to a write stays", ~stalled_b | (bus.bvalid & (bus.bresp == bresp)))
        self.promise("a response to a read stays",
                     ~stalled_r | (bus.rvalid & (bus.rresp == rresp) & (bus.rdata == rdata)))
        # Requests and responses are counted: none without the other.
        addresses, data, reads = Signal(3), Signal(3), Signal(3)
        ended, answered = bus.bvalid & bus.bready, bus.rvalid & bus.rready
        m.d.sync += [
            addresses.eq(addresses + (bus.awvalid & bus.awready) - ended),
            data.eq(data + (bus.wvalid & bus.wready) - ended),
            reads.eq(reads + (bus.arvalid & bus.arready) - answered),
        ]
        self.promise("a response needs an address and data", ~bus.bvalid | ((addresses != 0) & (data != 0)))
        self.promise("at most two writes are under way", (addresses <= 2) & (data <= 2))
        self.promise("an answer needs a request", ~bus.rvalid | (reads != 0))
        self.promise("at most two reads are under way", reads <= 2)

        # The write that ends in this cycle, from the oldest address and the oldest data that are under way.
        kept_address, kept_data, kept_strobes = Signal(len(bus.awaddr)), Signal(32), Signal(4)
        has_address, has_data = Signal(), Signal()
        address = Mux(has_address, kept_address, bus.awaddr)
        word, strobes = Mux(has_data, kept_data, bus.wdata), Mux(has_data, kept_strobes, bus.wstrb)
        write = Signal()
        m.d.comb += write.eq((has_address | bus.awvalid) & (has_data | bus.wvalid) & (~bus.bvalid | bus.bready))
        m.d.sync += [
            has_address.eq((has_address | bus.awvalid) & ~write), has_data.eq((has_data | bus.wvalid) & ~write),
        ]
        with m.If(~has_address):
            m.d.sync += kept_address.eq(bus.awaddr)
        with m.If(~has_data):
            m.d.sync += [kept_data.eq(bus.wdata), kept_strobes.eq(bus.wstrb)]
        mask = Cat(strobes[byte].replicate(8) for byte in range(4))
        number = address[2:]
        held = {}
        for register in REGISTERS:
            if register.access == Access.READ_WRITE:
                has = (1 << held_bits(register, self.parameters.phases)) - 1
                held[register.name] = value = Signal(32, name=f"held_{register.name}", init=register.reset & has)
                with m.If(write & (number == register.offset >> 2)):
                    m.d.sync += value.eq(((value & ~mask) | (word & mask)) & has)
        offsets = {register.name: register.offset >> 2 for register in REGISTERS}
        self.promise("STEPS is what was written", dut.steps == held["STEPS"])
        self.promise("MODEL is what was written", dut.model == held["MODEL"])
        self.promise("MODE is what was written", dut.keep_state == held["MODE"][0])
        self.promise("PHASE_ENABLE is what was written",
                     dut.phase_enable == Cat(held["PHASE_ENABLE_LOW"], held["PHASE_ENABLE_HIGH"]))
        self.promise("STREAM is what was written", Cat(dut.ignore_tdest, dut.load) == held["STREAM"][:2])
        commands, before = Signal(32), Signal()
        m.d.sync += [commands.eq(Mux(write & (number == offsets["CONTROL"]), word & mask, 0)), before.eq(1)]
        self.promise("START is a pulse of one cycle after its write", dut.start == commands[Control.START])
        self.promise("ABORT is a pulse of one cycle after its write", dut.abort == commands[Control.ABORT])
        flags, clear = Signal(len(Error)), Signal(len(Error))
        m.d.comb += clear.eq(Mux(write & (number == offsets["ERRORS"]), word & mask, 0))
        m.d.sync += flags.eq((flags & ~clear) | dut.errors)
        enable = held["INTERRUPT_ENABLE"]
        wanted_interrupt = (enable[0] & (dut.done | dut.aborted)) | (enable[1] & flags.any())
        self.promise("the interrupt follows its causes; a flag that is set while it is cleared stays",
                     dut.interrupt == wanted_interrupt)
        exists = Cat(number == offset for offset in offsets.values()).any()
        error = Signal()
        with m.If(write):
            m.d.sync += error.eq(~exists)
        self.promise("SLVERR for what does not exist, and for nothing else", ~bus.bvalid | (
            bus.bresp == Mux(error, 2, 0)
        ))

        # The address that is accepted in this cycle, and the read that is answered in the next.
        kept_read, has_read = Signal(len(bus.araddr)), Signal()
        accepted, read = Signal(), Signal()
        place = Signal(len(bus.araddr) - 2)
        m.d.comb += accepted.eq((has_read | bus.arvalid) & ~read & (~bus.rvalid | bus.rready))
        m.d.sync += [has_read.eq((has_read | bus.arvalid) & ~accepted), read.eq(accepted)]
        with m.If(~has_read):
            m.d.sync += kept_read.eq(bus.araddr)
        with m.If(accepted):
            m.d.sync += place.eq(Mux(has_read, kept_read, bus.araddr)[2:])
        wanted, known = Signal(32), Signal()
        upper, upper_of = Signal(32), Signal(4)
        counters = (dut.cycles, dut.stall_input, dut.stall_output, dut.stall_result)
        with m.If(read):
            m.d.sync += known.eq(0)
            for name, value in {**held, "ERRORS": flags, "STEPS_DONE": dut.steps_done}.items():
                with m.If(place == offsets[name]):
                    m.d.sync += [wanted.eq(value), known.eq(1)]
            for index, (name, counter) in enumerate(zip(
                ("CYCLES", "STALL_INPUT", "STALL_OUTPUT", "STALL_RESULT"), counters, strict=True
            )):
                with m.If(place == offsets[f"{name}_LOW"]):
                    m.d.sync += [
                        wanted.eq(counter[:32]), known.eq(1), upper.eq(counter[32:]), upper_of.eq(1 << index)
                    ]
                with m.If(place == offsets[f"{name}_HIGH"]):
                    m.d.sync += [
                        wanted.eq(Mux(upper_of[index], upper, counter[32:])), known.eq(1), upper_of[index].eq(0)
                    ]
        self.promise("a register is read as it is, and a counter in one piece",
                     ~(bus.rvalid & known) | ((bus.rdata == wanted) & (bus.rresp == 0)))
        self.reach("two writes are under way", addresses == 2)
        self.reach("START", dut.start)
        self.reach("a counter's upper half that was kept", bus.rvalid & known & (upper_of == 0) & (bus.rdata != 0))
        self.reach("SLVERR", bus.bvalid & (bus.bresp == 2))
        self.reach("an error flag raises the interrupt", dut.interrupt & ~dut.done & ~dut.aborted)
