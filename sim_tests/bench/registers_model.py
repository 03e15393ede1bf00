"""Cycle-accurate model of the registers, from the contract of `hdl.grid.registers`."""

from __future__ import annotations

from collections import Counter, abc

from cocotbext.axi import AxiResp

from hdl.parameters import GridParameters
from hdl.register_map import REGISTERS, Access, held_bits

__all__ = ["BY_OFFSET", "RegistersModel"]

BY_OFFSET = {register.offset: register for register in REGISTERS}


class RegistersModel:
    """Registers, sticky flags and the two responses on offer."""

    def __init__(self, parameters: GridParameters) -> None:
        self.grid = parameters.rows | parameters.cols << 8 | parameters.lanes << 16
        self.grid |= (parameters.operand_bits == 16) << 24
        self.masks = {
            register.name: (1 << held_bits(register, parameters.phases)) - 1
            for register in REGISTERS if register.access == Access.READ_WRITE
        }
        self.held = {
            register.name: register.reset & self.masks[register.name]
            for register in REGISTERS if register.access == Access.READ_WRITE
        }
        self.sticky = 0
        #: Responses on offer: a write's code, a read's code and data.
        self.write_response: int | None = None
        #: What the skid buffers keep: an address, data with strobes, an address to read.
        self.address: int | None = None
        self.data: tuple[int, int] | None = None
        self.read_address: int | None = None
        #: The address of the register that is read in this cycle.
        self.reading: int | None = None
        self.read_response: tuple[int, int] | None = None
        self.start = self.abort = 0
        #: The counter whose lower half was read last, until its upper half is read, and the upper half of that time.
        self.kept: tuple[str, int] | None = None
        #: Counts of writes by register, and of events that a test must cover.
        self.seen: Counter[str] = Counter()

    def outputs(self, inputs: abc.Mapping[str, int]) -> dict[str, int]:
        """The outputs of the cycle with these inputs."""
        enable, mode, stream = self.held["INTERRUPT_ENABLE"], self.held["MODE"], self.held["STREAM"]
        return {
            "s_axil_awready": int(self.address is None), "s_axil_wready": int(self.data is None),
            "s_axil_arready": int(self.read_address is None),
            "s_axil_bvalid": int(self.write_response is not None), "s_axil_rvalid": int(self.read_response is not None),
            "interrupt": int(bool(
                (enable & 1 and (inputs["done"] or inputs["aborted"])) or (enable & 2 and self.sticky)
            )),
            "start": self.start, "abort": self.abort, "keep_state": mode & 1, "steps": self.held["STEPS"],
            "model": self.held["MODEL"], "ignore_tdest": stream & 1, "load": stream >> 1 & 1,
            "phase_enable": self.held["PHASE_ENABLE_HIGH"] << 32 | self.held["PHASE_ENABLE_LOW"],
        }

    def _value(self, name: str, inputs: abc.Mapping[str, int]) -> int:
        if name in self.held:
            return self.held[name]
        for half, place in (("_LOW", 0), ("_HIGH", 32)):
            if name.endswith(half):
                counter = name.removesuffix(half)
                if place and self.kept is not None and self.kept[0] == counter:
                    self.seen["kept half"] += 1
                    value, self.kept = self.kept[1], None
                    return value
                self.kept = self.kept if place else (counter, inputs[counter.lower()] >> 32)
                return inputs[counter.lower()] >> place & 0xFFFFFFFF
        status = inputs["busy"] | inputs["done"] << 1 | inputs["aborted"] << 2 | inputs["state_valid"] << 3
        return {
            "ID": int.from_bytes(b"SRNN", "big"), "VERSION": 0x00020000, "CONTROL": 0, "STATUS": status,
            "GRID": self.grid, "ERRORS": self.sticky,
            "STEPS_DONE": inputs["steps_done"],
        }[name]

    def advance(self, inputs: abc.Mapping[str, int]) -> None:
        """The clock edge at the end of the cycle with these inputs."""
        if inputs["awvalid"] and self.address is None:
            self.address = inputs["awaddr"]
        if inputs["wvalid"] and self.data is None:
            self.data = inputs["wdata"], inputs["wstrb"]
        if inputs["arvalid"] and self.read_address is None:
            self.read_address = inputs["araddr"]
        if inputs["rready"]:
            self.read_response = None
        if self.reading is not None:
            register = BY_OFFSET.get(self.reading & ~3)
            self.read_response = (
                (int(AxiResp.SLVERR), 0) if register is None else (0, self._value(register.name, inputs))
            )
            self.reading = None
        elif self.read_address is not None and self.read_response is None:
            self.reading, self.read_address = self.read_address, None
        self.start = self.abort = clear = 0
        if inputs["bready"]:
            self.write_response = None
        if self.address is not None and self.data is not None and self.write_response is None:
            register = BY_OFFSET.get(self.address & ~3)
            self.write_response = int(AxiResp.SLVERR if register is None else AxiResp.OKAY)
            word, strobes = self.data
            self.address = self.data = None
            mask = sum(0xFF << 8 * byte for byte in range(4) if strobes >> byte & 1)
            ones = word & mask
            name = "unknown" if register is None else register.name
            self.seen[name] += 1
            if name in self.held:
                self.held[name] = (self.held[name] & ~mask | ones) & self.masks[name]
            elif name == "ERRORS":
                clear = ones
                self.seen["error kept while cleared"] += bool(ones & self.sticky & inputs["errors"])
            elif name == "CONTROL":
                self.start, self.abort = ones & 1, ones >> 1 & 1
                self.seen["start and abort"] += self.start & self.abort
        self.sticky = self.sticky & ~clear | inputs["errors"]
