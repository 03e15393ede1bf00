"""cocotb tests: every error flag is raised, tells the cause, can be cleared, and the grid works afterwards.

SRNN_GRID names the grid. Tests that need two columns or several beats a group do nothing on grids without.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import cocotb

from hdl.layouts import Memory
from hdl.register_map import Control, Error, Status
from rnn_mapper.image_files import load_packet
from rnn_mapper.images import Image
from rnn_mapper.mapping import Mapping
from rnn_mapper.network import Cell
from sim_tests.altered_images import altered_phases, altered_schedule
from sim_tests.grids import GRIDS
from sim_tests.model_bench import ModelBench
from sim_tests.models import ModelCase

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]


async def prepare(dut: Any, case: ModelCase | None = None) -> tuple[ModelBench, ModelCase, Mapping]:
    """A grid with a model that has two units in every site."""
    p = PARAMETERS
    case = case or ModelCase(Cell.RNN_TANH, p.lanes, (2 * p.rows * p.cols,), ru=1)
    mapping = case.mapping(p)
    bench = ModelBench(dut, p)
    await bench.begin()
    await bench.load_model(mapping)
    await bench.write("ERRORS", 0xFFFFFFFF)
    return bench, case, mapping


async def expect(bench: ModelBench, errors: Iterable[Error]) -> None:
    """These flags are set, no others; the interrupt tells of them; writing ones clears them one by one."""
    wanted = set(errors)
    assert await bench.errors() == wanted
    for error in sorted(wanted):
        await bench.write("INTERRUPT_ENABLE", 2)
        assert bench.dut.interrupt.value == 1
        await bench.write("ERRORS", 0xFFFFFFFF & ~(1 << error))
        assert error in await bench.errors()
        await bench.write("ERRORS", 1 << error)
        assert error not in await bench.errors()
    await bench.cycles(2)
    assert bench.dut.interrupt.value == 0
    await bench.write("INTERRUPT_ENABLE", 1)


async def spoiled(bench: ModelBench, case: ModelCase, mapping: Mapping, packets: Iterable[bytes], error: Error) -> None:
    """Run with spoiled images until the flag is up, abort, and see that the right images still work."""
    bench.load(iter(packets))
    await bench.source.wait()
    bench.send(case.operands(3))
    await bench.start(3)
    for _ in range(100):
        if error in await bench.errors():
            break
    assert error in await bench.errors(), f"{error.name} was not raised"
    await bench.write("CONTROL", 1 << Control.ABORT)
    await bench.wait_status(Status.BUSY, 0)
    # A spoiled schedule may raise others besides.
    await bench.write("ERRORS", 0xFFFFFFFF & ~(1 << error))
    await expect(bench, {error})
    await bench.reset()
    await bench.begin()
    await bench.load_model(mapping)
    await bench.check(case.operands(3))


@cocotb.test()
async def no_model(dut: Any) -> None:
    """First of all tests: START before anything was loaded."""
    bench = ModelBench(dut, PARAMETERS)
    await bench.begin()
    await bench.start(1)
    await expect(bench, {Error.NO_MODEL})
    assert not await bench.read("STATUS")


@cocotb.test()
async def no_steps(dut: Any) -> None:
    """START with STEPS = 0 does nothing."""
    bench, case, _ = await prepare(dut)
    await bench.start(0)
    await expect(bench, {Error.NO_STEPS})
    assert not await bench.read("STATUS") >> Status.BUSY & 1
    await bench.check(case.operands(2))


@cocotb.test()
async def no_state(dut: Any) -> None:
    """KEEP_STATE without a state starts from a cleared one."""
    bench, case, _ = await prepare(dut)
    inputs = case.operands(2)
    bench.send(inputs)
    await bench.start(2, keep_state=True)
    await bench.finish()
    await expect(bench, {Error.NO_STATE})
    assert (bench.take_outputs(2) == bench.reference.run(inputs).outputs).all()


@cocotb.test()
async def while_busy(dut: Any) -> None:
    """START and load packets during a sequence are refused and change nothing."""
    bench, case, mapping = await prepare(dut)
    inputs = case.operands(2)
    bench.beats.clear()
    await bench.start(2)
    await bench.write("CONTROL", 1 << Control.START)
    await expect(bench, {Error.START_WHILE_BUSY})
    weights = mapping.site_images(0, 0)[Memory.WEIGHT]
    spoiled_weights = Image(weights.width, [0] * len(weights.words))
    bench.load(iter([load_packet(PARAMETERS, Memory.WEIGHT, spoiled_weights, None, None)]))
    await bench.source.wait()
    await bench.cycles(4)
    await expect(bench, {Error.LOAD_WHILE_BUSY})
    bench.send(inputs)
    await bench.finish()
    assert (bench.take_outputs(2) == bench.reference.run(inputs).outputs).all()
    await bench.check(case.operands(3))


@cocotb.test()
async def load_address(dut: Any) -> None:
    """Memories, sites and words that do not exist, and a packet that ends in its header."""
    bench, case, mapping = await prepare(dut)
    p = PARAMETERS
    phases = mapping.site_images(0, 0)[Memory.PHASE]
    zeros = Image(phases.width, [0] * (p.phases + 2))
    good = load_packet(p, Memory.PHASE, phases, 0, 0)
    beyond = load_packet(p, Memory.PHASE, zeros, 0, 0, word=p.phases)
    packets = [
        bytes([15]) + good[1:], good[:2] + bytes([p.rows]) + good[3:], good[:3] + bytes([p.cols]) + good[4:], beyond,
        load_packet(p, Memory.PHASE, zeros, 0, 0, word=1 << 31), good[: p.beat_bytes],
    ]
    for packet in packets:
        bench.load(iter([packet]))
        await bench.source.wait()
        await bench.cycles(4)
        await expect(bench, {Error.LOAD_ADDRESS})
    await bench.check(case.operands(2))


@cocotb.test()
async def early_tlast(dut: Any) -> None:
    """A packet that ends before its last step aborts the sequence."""
    bench, case, _ = await prepare(dut)
    bench.send(case.operands(2))
    await bench.start(3)
    await bench.wait_status(Status.ABORTED)
    await bench.wait_status(Status.BUSY, 0)
    await expect(bench, {Error.INPUT_FRAMING})
    bench.sink.clear()
    await bench.check(case.operands(3))


@cocotb.test()
async def late_tlast(dut: Any) -> None:
    """What follows the last step is dropped up to tlast; the sequence itself is right, and so is the next."""
    bench, case, _ = await prepare(dut)
    inputs = case.operands(4)
    bench.beats.clear()
    bench.send(inputs)
    await bench.start(2)
    await bench.finish()
    assert (bench.take_outputs(2) == bench.reference.run(inputs[:2]).outputs).all()
    await bench.source.wait()
    await expect(bench, {Error.INPUT_FRAMING})
    bench.sink.clear()
    await bench.check(case.operands(3))


@cocotb.test()
async def sequencer_overrun(dut: Any) -> None:
    """A token while the one before still runs."""
    bench, case, mapping = await prepare(dut)
    await spoiled(bench, case, mapping, [altered_schedule(mapping, 0, "duration", 0)], Error.SEQUENCER_OVERRUN)


@cocotb.test()
async def epilogue_collision(dut: Any) -> None:
    """Without pad, a unit's value meets one that returns from the ring."""
    p = PARAMETERS
    size = min(2 * p.rows * p.cols, p.lanes)
    if size <= p.rows:
        return
    bench, case, mapping = await prepare(dut, ModelCase(Cell.LSTM, 1, (size,), ru=p.cols))
    assert mapping.timings[0].pad
    packets = altered_phases(mapping, range(p.rows), range(p.cols), "pad", {0: 0})
    await spoiled(bench, case, mapping, packets, Error.EPILOGUE_COLLISION)


@cocotb.test()
async def row_mismatch(dut: Any) -> None:
    """One row is later than the others."""
    p = PARAMETERS
    if p.rows == 1:
        return
    bench, case, mapping = await prepare(dut)
    delay = 1 + max(mapping.timings[0].delays)
    packets = altered_phases(mapping, range(1), range(p.cols), "delay", {0: delay})
    await spoiled(bench, case, mapping, packets, Error.ROW_MISMATCH)


@cocotb.test()
async def result_collision(dut: Any) -> None:
    """The chain of column 1 sends a result when one of column 0 leaves."""
    p = PARAMETERS
    if p.cols == 1:
        return
    bench, case, mapping = await prepare(dut)
    # A result of column 1 has two hops more: one of the token's way there, one of its own way back.
    packets = [
        *altered_phases(mapping, range(p.rows), range(1), "delay", {0: 2}),
        *altered_phases(mapping, range(p.rows), range(1, 2), "delay", {0: 0}),
    ]
    await spoiled(bench, case, mapping, packets, Error.RESULT_COLLISION)


@cocotb.test()
async def collector_overlap(dut: Any) -> None:
    """Results follow one another faster than their beats."""
    p = PARAMETERS
    if p.group_beats == 1:
        return
    bench, case, mapping = await prepare(dut, ModelCase(Cell.RNN_TANH, 1, (2 * p.rows,), ru=p.cols))
    packets = [
        packet for field in ("pad", "words")
        for packet in altered_phases(mapping, range(p.rows), range(p.cols), field, {0: 0})
    ]
    await spoiled(bench, case, mapping, packets, Error.COLLECTOR_OVERLAP)
