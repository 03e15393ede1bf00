"""Bench that loads mapped models over the bus, runs sequences and compares them with reference and prediction."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.triggers import RisingEdge

from hdl.parameters import GridParameters
from hdl.register_map import REGISTERS, Control, Status
from rnn_mapper import cells
from rnn_mapper.fixed_point import Codes
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.mapping.packets import load_packets
from rnn_mapper.quantisation.integer_network import LayerState
from rnn_mapper.quantisation.reference import Reference
from sim_tests.bench.models import ModelCase, cell_for
from sim_tests.host.bus_driver import BusDriver

__all__ = ["START_LATENCY", "Beat", "ModelBench", "bench_with_small_model"]

#: Cycles from a CONTROL write on the bus to the first busy cycle: the register's pulse, then the controller's state.
START_LATENCY = 2

#: Cycles after which a sequence counts as hanging, whatever the stalls.
_PATIENCE = 100_000

_CONTROL = next(register.offset for register in REGISTERS if register.name == "CONTROL")


@dataclass(frozen=True)
class Beat:
    """One transfer on the output stream."""

    cycle: int
    data: int
    keep: int
    last: bool


class ModelBench(BusDriver):
    """A grid whose output stream, interrupt and writes of START are recorded."""

    def __init__(self, dut: Any, parameters: GridParameters) -> None:
        super().__init__(dut, parameters.beat_bytes)
        self.parameters = parameters
        self.cycle = 0
        self.beats: list[Beat] = []
        self.started: list[int] = []
        self.interrupts: list[int] = []
        self.mapping: Mapping
        self.reference: Reference
        self.state: Sequence[LayerState]
        self._watching = False

    async def begin(self) -> None:
        """Reset, begin to record, and enable the interrupt at the end of a sequence."""
        await self.reset()
        if not self._watching:
            self._watching = True
            cocotb.start_soon(self._watch())
        await self.write("INTERRUPT_ENABLE", 1)

    async def _watch(self) -> None:
        dut, before = self.dut, False
        addresses: deque[int] = deque()
        words: deque[int] = deque()
        while True:
            await RisingEdge(dut.clk)
            self.cycle += 1
            if dut.m_axis_tvalid.value and dut.m_axis_tready.value:
                self.beats.append(Beat(
                    self.cycle, dut.m_axis_tdata.value.to_unsigned(), dut.m_axis_tkeep.value.to_unsigned(),
                    bool(dut.m_axis_tlast.value),
                ))
            if dut.s_axil_awvalid.value and dut.s_axil_awready.value:
                addresses.append(dut.s_axil_awaddr.value.to_unsigned())
            if dut.s_axil_wvalid.value and dut.s_axil_wready.value:
                words.append(dut.s_axil_wdata.value.to_unsigned())
            # A write takes place when both have come and its response can be kept.
            if addresses and words and (not dut.s_axil_bvalid.value or dut.s_axil_bready.value):
                address, word = addresses.popleft(), words.popleft()
                if address == _CONTROL and word >> Control.START & 1:
                    self.started.append(self.cycle)
            now = bool(dut.interrupt.value)
            if now and not before:
                self.interrupts.append(self.cycle)
            before = now

    async def load_model(self, mapping: Mapping) -> None:
        """Load a model over the bus; all other memory words keep the contents of earlier models."""
        self.mapping, self.reference = mapping, Reference(mapping.network)
        self.state = self.reference.cleared_state()
        self.load(load_packets(mapping))
        await self.source.wait()
        await self.cycles(2)

    async def put_beats(self, data: bytes, tdest: int) -> None:
        """Beats without tlast, behind which the source falls silent; nothing may be queued."""
        dut = self.dut
        for at in range(0, len(data), self.beat_bytes):
            dut.s_axis_tdata.value = int.from_bytes(data[at : at + self.beat_bytes], "little")
            dut.s_axis_tdest.value, dut.s_axis_tlast.value, dut.s_axis_tvalid.value = tdest, 0, 1
            await RisingEdge(dut.clk)
            while not dut.s_axis_tready.value:
                await RisingEdge(dut.clk)
        dut.s_axis_tvalid.value = 0

    async def put_input(self, data: bytes, arrives: int, last: bool) -> int:
        """The beats of one input vector, the first offered in the cycle `arrives` or at once, with tlast if it is the
        last; nothing may be queued. Returns the cycle in which the last beat was taken."""
        dut = self.dut
        while self.cycle < arrives - 1:
            await RisingEdge(dut.clk)
        for at in range(0, len(data), self.beat_bytes):
            dut.s_axis_tdata.value = int.from_bytes(data[at : at + self.beat_bytes], "little")
            dut.s_axis_tdest.value, dut.s_axis_tvalid.value = 0, 1
            dut.s_axis_tlast.value = int(last and at + self.beat_bytes >= len(data))
            await RisingEdge(dut.clk)
            while not dut.s_axis_tready.value:
                await RisingEdge(dut.clk)
        dut.s_axis_tvalid.value = 0
        return self.cycle

    def take_outputs(self, steps: int) -> npt.NDArray[np.int16]:
        """The outputs [steps, width] in the beats so far, which must be one well-formed packet."""
        rows, width, groups = self.parameters.rows, self.mapping.output_size, self.mapping.output_groups
        beats, self.beats = self.beats, []
        assert len(beats) == steps * groups, f"{len(beats)} output beats, expected {steps} x {groups}"
        assert [beat.last for beat in beats] == [False] * (steps * groups - 1) + [True]
        values = np.array([list(beat.data.to_bytes(2 * rows, "little")) for beat in beats], dtype=np.uint8)
        full, rest = (1 << 2 * rows) - 1, width - (groups - 1) * rows
        for index, beat in enumerate(beats):
            assert beat.keep == (full if (index + 1) % groups else (1 << 2 * rest) - 1), f"tkeep of beat {index}"
        return values.view("<i2").reshape(steps, groups * rows)[:, :width].astype(np.int16)

    async def finish(self) -> None:
        """Wait until the sequence is over and its last beat is recorded; fail if the grid hangs."""
        limit = self.cycle + _PATIENCE
        while await self.read("STATUS") >> Status.BUSY & 1:
            assert self.cycle < limit, f"still busy after {_PATIENCE} cycles"

    async def check(
        self, inputs: Codes, keep: bool = False, timing: bool = True, send: bool = True, what: str = ""
    ) -> None:
        """One sequence: outputs must equal the reference and, with `timing`, all cycles the prediction.

        Without `send`, the inputs are on the bus already.
        """
        steps = len(inputs)
        trace = self.reference.run(inputs, self.state if keep else None)
        self.beats.clear()
        self.interrupts.clear()
        if send:
            self.send(inputs)
        await self.start(steps, keep)
        first = self.started[-1] + START_LATENCY
        await self.finish()
        times = [beat.cycle for beat in self.beats]
        outputs = self.take_outputs(steps)
        wrong = int(np.count_nonzero(outputs != trace.outputs))
        assert wrong == 0, f"{what}: {wrong} of {outputs.size} outputs differ over {steps} steps (kept {keep})"
        self.state = trace.state
        errors = await self.errors()
        assert not errors, f"{what}: the grid reports {', '.join(error.name for error in sorted(errors))}"
        cycles = await self.read("CYCLES")
        assert self.interrupts == [first + cycles], f"{what}: interrupt {self.interrupts}, {first} + {cycles}"
        assert await self.read("STEPS_DONE") == steps
        predicted = self.mapping.predict(steps, cleared=not keep)
        # A host's pauses can make a sequence shorter, too: input and tokens compete for the slots of the write stream.
        # But phases never share the sites.
        least = predicted.account.multiplying + predicted.account.fragmentation
        assert cycles >= least, f"{what}: {cycles} cycles, though the sites are used in {least} ({steps} steps)"
        stalls = [await self.read(f"STALL_{name}") for name in ("INPUT", "OUTPUT", "RESULT")]
        assert sum(stalls) < cycles, f"{what}: {stalls} stall cycles of {cycles}"
        if timing:
            assert cycles == predicted.cycles, f"{what}: {cycles} cycles, predicted {predicted.cycles} ({steps} steps)"
            groups = self.mapping.output_groups
            ends = [time - first for time in times[groups - 1 :: groups]]
            assert ends == predicted.step_cycles, f"{what}: steps end at {ends}, predicted {predicted.step_cycles}"
        self.sink.clear()


async def bench_with_small_model(
    dut: Any, parameters: GridParameters, cell: cells.Cell = cells.lstm, outputs: int | None = None
) -> tuple[ModelBench, ModelCase]:
    """A grid with a small model: one unit more than the grid has rows, of this cell if the grid can hold it."""
    case = ModelCase(cell_for(parameters, cell, cells.gru), parameters.lanes + 1, (parameters.rows + 1,), outputs)
    bench = ModelBench(dut, parameters)
    await bench.begin()
    await bench.load_model(case.mapping(parameters))
    return bench, case
