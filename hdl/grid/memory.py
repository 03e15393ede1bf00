"""Amaranth wrapper of `memory.v`, the only Verilog module that stores words."""

from __future__ import annotations

from pathlib import Path

from amaranth.hdl import ClockSignal, Instance
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.grid.ports import Ports, read_port, write_port
from hdl.parameters import bits_for

__all__ = ["MEMORY_MODULE", "MEMORY_SOURCE", "ExternalMemory"]

#: Name of the Verilog module in `MEMORY_SOURCE`.
MEMORY_MODULE = "srnn_memory"
MEMORY_SOURCE = Path(__file__).parent / "memory.v"


class ExternalMemory(wiring.Component):
    """Memory with one write port and one read port, or with one port for both.

    A word is written slice by slice (`write.slice` counts from the least significant slice). A read takes `latency`
    cycles: `read.data` belongs to the `read.address` of so many cycles before, and keeps its value when `read.enable`
    was low then. A word that is read in the cycle in which it is written gives anything, and so does
    any word with one port. `initialised` is high if
    the memory has contents before its first write: baked in, or images that a simulation has read. Other words are
    unknown until they are written.

    Parameters: `depth` words of `width` bits, written in slices of `slice_width` bits (default: whole words);
    `init_file` is a `$readmemh` file with the contents, or ""; `registers` (0 or 1) at the output; `ports`
    (1 or 2): whether reads and writes have an address each.
    """

    def __init__(
        self, width: int, depth: int, slice_width: int | None = None, init_file: str = "", registers: int = 0,
        ports: int = 2,
    ) -> None:
        self.width = width
        self.registers = registers
        self.ports = ports
        self.depth = depth
        self.slice_width = min(width, slice_width or width)
        self.slices = -(-width // self.slice_width)
        self.init_file = init_file
        address_bits = bits_for(depth)
        super().__init__(Ports({
            "write": In(write_port(address_bits, self.slice_width, bits_for(self.slices))),
            "read": In(read_port(address_bits, width)),
            "initialised": Out(1),
        }))

    @property
    def latency(self) -> int:
        """Cycles from address to data."""
        return 1 + self.registers

    def elaborate(self, platform: object) -> Instance:
        return Instance(
            MEMORY_MODULE,
            p_WIDTH=self.width,
            p_DEPTH=self.depth,
            p_ADDRESS_BITS=bits_for(self.depth),
            p_SLICE=self.slice_width,
            p_SLICE_BITS=bits_for(self.slices),
            p_OUTPUT_REGISTER=self.registers,
            p_PORTS=self.ports,
            p_INIT_FILE=self.init_file,
            i_clk=ClockSignal(),
            i_write_enable=self.write.enable,
            i_write_address=self.write.address,
            i_write_slice=self.write.slice,
            i_write_data=self.write.data,
            i_read_enable=self.read.enable,
            i_read_address=self.read.address,
            o_read_data=self.read.data,
            o_initialised=self.initialised,
        )
