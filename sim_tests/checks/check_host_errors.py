"""cocotb tests of host errors: each raises its flag, which can be cleared, and the grid works afterwards.

SRNN_GRID names the grid.
"""

from __future__ import annotations

import os
from typing import Any

import cocotb

from hdl.layouts import Memory
from hdl.register_map import Control, Error, Status
from rnn_mapper.mapping.images import Image
from rnn_mapper.mapping.packets import load_packet
from sim_tests.bench.error_bench import expect, prepare
from sim_tests.bench.grids import GRIDS
from sim_tests.bench.model_bench import ModelBench

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]


@cocotb.test()
async def no_model(dut: Any) -> None:
    """START before anything is loaded; this must be the first test."""
    bench = ModelBench(dut, PARAMETERS)
    await bench.begin()
    await bench.start(1)
    await expect(bench, {Error.NO_MODEL})
    assert not await bench.read("STATUS")


@cocotb.test()
async def no_steps(dut: Any) -> None:
    """START with STEPS = 0 does nothing."""
    bench, case, _ = await prepare(dut, PARAMETERS)
    await bench.start(0)
    await expect(bench, {Error.NO_STEPS})
    assert not await bench.read("STATUS") >> Status.BUSY & 1
    await bench.check(case.operands(PARAMETERS, 2))


@cocotb.test()
async def no_state(dut: Any) -> None:
    """KEEP_STATE without a state starts from a cleared state."""
    bench, case, _ = await prepare(dut, PARAMETERS)
    inputs = case.operands(PARAMETERS, 2)
    bench.send(inputs)
    await bench.start(2, keep_state=True)
    await bench.finish()
    await expect(bench, {Error.NO_STATE})
    assert (bench.take_outputs(2) == bench.reference.run(inputs).outputs).all()


@cocotb.test()
async def while_busy(dut: Any) -> None:
    """START and load packets during a sequence are rejected and change nothing."""
    bench, case, mapping = await prepare(dut, PARAMETERS)
    inputs = case.operands(PARAMETERS, 2)
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
    await bench.check(case.operands(PARAMETERS, 3))


@cocotb.test()
async def load_address(dut: Any) -> None:
    """Memories, sites and words that do not exist, and a packet that ends in its header."""
    bench, case, mapping = await prepare(dut, PARAMETERS)
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
    await bench.check(case.operands(PARAMETERS, 2))


@cocotb.test()
async def early_tlast(dut: Any) -> None:
    """A packet that ends before its last step aborts the sequence."""
    bench, case, _ = await prepare(dut, PARAMETERS)
    bench.send(case.operands(PARAMETERS, 2))
    await bench.start(3)
    await bench.wait_status(Status.ABORTED)
    await bench.wait_status(Status.BUSY, 0)
    await expect(bench, {Error.INPUT_FRAMING})
    bench.sink.clear()
    await bench.check(case.operands(PARAMETERS, 3))


@cocotb.test()
async def late_tlast(dut: Any) -> None:
    """Beats after the last step are dropped up to tlast; this sequence and the next are right."""
    bench, case, _ = await prepare(dut, PARAMETERS)
    inputs = case.operands(PARAMETERS, 4)
    bench.beats.clear()
    bench.send(inputs)
    await bench.start(2)
    await bench.finish()
    assert (bench.take_outputs(2) == bench.reference.run(inputs[:2]).outputs).all()
    await bench.source.wait()
    await expect(bench, {Error.INPUT_FRAMING})
    bench.sink.clear()
    await bench.check(case.operands(PARAMETERS, 3))
