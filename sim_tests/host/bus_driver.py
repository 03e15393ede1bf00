"""The host's side of a grid's three buses in cocotb, with cocotbext-axi's models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

from hdl.register_map import REGISTERS, Control, Error, Status
from rnn_mapper.bus import BusResult, BusSequence, input_packet, output_steps
from rnn_mapper.fixed_point import Codes

__all__ = ["CLOCK_NS", "BusDriver"]

#: Clock period in simulated time.
CLOCK_NS = 2
#: Cycles without a step of output after which a sequence counts as hanging.
PATIENCE = 1_000_000
#: Cycles between two looks at a sequence that runs.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 32, 4096

_INPUTS = (
    "s_axil_awvalid", "s_axil_wvalid", "s_axil_bready", "s_axil_arvalid", "s_axil_rready",
    "s_axis_tvalid", "s_axis_tdest", "s_axis_tlast", "s_axis_tdata", "m_axis_tready",
)
_OFFSETS = {register.name: register.offset for register in REGISTERS}


class BusDriver:
    """Drives a grid through its ports. Make one inside a running cocotb test and `await reset()` first."""

    registers: AxiLiteMaster
    source: AxiStreamSource
    sink: AxiStreamSink

    def __init__(self, dut: Any, beat_bytes: int) -> None:
        self.dut, self.beat_bytes = dut, beat_bytes
        Clock(dut.clk, CLOCK_NS, unit="ns").start()
        self._connected = False
        #: What MODEL is set to in the write right before that of START; None leaves it alone.
        self.model: int | None = None
        #: What tdest is for every packet; None: 1 for load packets, 0 for inputs.
        self.tdest: int | None = None

    async def reset(self) -> None:
        """Reset the grid, and connect the bus models the first time."""
        if not self._connected:
            for name in _INPUTS:
                getattr(self.dut, name).value = 0
        # The reset has to rise after time zero for Icarus to leave the unknown state.
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)
        self.dut.rst.value = 1
        for _ in range(3):
            await RisingEdge(self.dut.clk)
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)
        if not self._connected:
            self._connected = True
            self.registers = AxiLiteMaster(AxiLiteBus.from_prefix(self.dut, "s_axil"), self.dut.clk, self.dut.rst)
            self.source = AxiStreamSource(AxiStreamBus.from_prefix(self.dut, "s_axis"), self.dut.clk, self.dut.rst)
            self.sink = AxiStreamSink(AxiStreamBus.from_prefix(self.dut, "m_axis"), self.dut.clk, self.dut.rst)
            for log in (self.registers.write_if.log, self.registers.read_if.log, self.source.log, self.sink.log):
                log.setLevel("WARNING")

    # Registers

    async def read(self, name: str) -> int:
        """A 32-bit register, or a 64-bit counter by its name without _LOW/_HIGH."""
        if name in _OFFSETS:
            return int(await self.registers.read_dword(_OFFSETS[name]))
        low, high = await self.read(f"{name}_LOW"), await self.read(f"{name}_HIGH")
        return high << 32 | low

    async def write(self, name: str, value: int) -> None:
        """Write a 32-bit register."""
        await self.registers.write_dword(_OFFSETS[name], value)

    async def errors(self) -> set[Error]:
        """The error flags that are set."""
        flags = await self.read("ERRORS")
        return {error for error in Error if flags >> error & 1}

    async def wait_status(self, bit: Status, value: int = 1) -> None:
        """Poll STATUS until a bit has a value."""
        while (await self.read("STATUS") >> bit & 1) != value:
            pass

    # Streams

    def load(self, packets: Iterable[bytes]) -> None:
        """Queue load packets."""
        for packet in packets:
            self._queue(packet, 1)

    def send(self, inputs: Codes) -> None:
        """Queue the input vectors [steps, size] of one sequence as one packet."""
        self._queue(input_packet(inputs, self.beat_bytes), 0)

    def _queue(self, packet: bytes, tdest: int) -> None:
        self.source.send_nowait(AxiStreamFrame(packet, tdest=tdest if self.tdest is None else self.tdest))

    async def receive(self, steps: int, width: int) -> npt.NDArray[np.int16]:
        """One packet of outputs [steps, width]."""
        frame = await self.sink.recv()
        return output_steps(bytes(frame.tdata), steps, width)

    async def start(self, steps: int, keep_state: bool = False) -> None:
        """Start a sequence."""
        await self.write("STEPS", steps)
        await self.write("MODE", int(keep_state))
        writes = {} if self.model is None else {"MODEL": self.model}
        # The two writes follow each other as fast as the bus can.
        pending = [
            self.registers.init_write(_OFFSETS[name], value.to_bytes(4, "little"))
            for name, value in {**writes, "CONTROL": 1 << Control.START}.items()
        ]
        for written in pending:
            await written.wait()

    async def run(self, sequence: BusSequence) -> BusResult:
        """One whole sequence; raises if the grid reports an error."""
        # A loaded state belongs to the model that MODEL names at that time.
        await self.write("MODEL", sequence.model)
        self.load(sequence.packets)
        await self.source.wait()
        # The last word may still be on the write stream, where no token overtakes it.
        if sequence.inputs.size:
            self.send(sequence.inputs)
        await self.start(sequence.steps, sequence.keep_state)
        await self._until_sent(sequence.steps)
        outputs = await self.receive(sequence.steps, sequence.width)
        await self.wait_status(Status.BUSY, 0)
        await self._expect_no_error()
        return BusResult(
            outputs, await self.read("CYCLES"), await self.read("STALL_INPUT"), await self.read("STALL_OUTPUT"),
            await self.read("STALL_RESULT"),
        )

    async def _until_sent(self, steps: int) -> None:
        """Wait until a sequence has sent its last step; fail if the grid reports an error, or makes no progress."""
        done = patience = 0
        pause = _SHORTEST_PAUSE
        while done < steps:
            await self.cycles(pause)
            before, done = done, await self.read("STEPS_DONE")
            patience = 0 if done != before else patience + pause
            pause = min(2 * pause, _LONGEST_PAUSE)
            await self._expect_no_error()
            assert patience < PATIENCE, f"the grid hangs: no step in {PATIENCE} cycles"

    async def _expect_no_error(self) -> None:
        if found := await self.errors():
            raise AssertionError(f"the grid reports {', '.join(error.name for error in sorted(found))}")

    async def cycles(self, count: int) -> None:
        """Let clock cycles pass."""
        await Timer(CLOCK_NS * count, unit="ns")

    def pause(self, source: Callable[[], Iterator[bool]], sink: Callable[[], Iterator[bool]]) -> None:
        """Stall the input and the output stream by generators of pauses."""
        self.source.set_pause_generator(source())
        self.sink.set_pause_generator(sink())
