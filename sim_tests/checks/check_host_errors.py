"""cocotb tests of host errors: each raises its flag, which can be cleared, and the grid works afterwards.

SRNN_GRID names the grid.
"""

from __future__ import annotations

import os
from typing import Any

import cocotb

from hdl.grid.image_loader import HEADER_BYTES
from hdl.layouts import Memory
from hdl.register_map import Control, Error, Status
from rnn_mapper.mapping.images import Image
from rnn_mapper.mapping.packets import load_header, load_packet
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
    beyond = load_packet(p, Memory.PHASE, zeros, 0, 0, word=p.phases)
    fields = dict.fromkeys(("memory", "all_rows", "all_cols", "reserved", "row", "col", "word"), 0) | {"words": 1}
    header_bytes = -(-HEADER_BYTES // p.beat_bytes) * p.beat_bytes
    packets = [
        load_header(fields | {"memory": 15}).ljust(header_bytes, b"\0") + bytes(p.beat_bytes),
        load_packet(p, Memory.PHASE, zeros, p.rows, 0),
        load_packet(p, Memory.PHASE, zeros, 0, p.cols), beyond, load_packet(p, Memory.PHASE, zeros, 0, 0, word=1 << 31),
        # The word counter must not wrap around to words that exist.
        load_packet(p, Memory.PHASE, zeros, 0, 0, word=0xFFFFFFFF),
        load_packet(p, Memory.PHASE, Image(phases.width, []), 0, 0) + bytes(p.beat_bytes),
    ]
    for packet in packets:
        bench.load(iter([packet]))
        await bench.source.wait()
        await bench.cycles(4)
        await expect(bench, {Error.LOAD_ADDRESS})
    await bench.check(case.operands(PARAMETERS, 2))


@cocotb.test()
async def load_framing(dut: Any) -> None:
    """A packet that ends anywhere but at its end, or goes on: no model counts as loaded until all is loaded again."""
    bench, case, mapping = await prepare(dut, PARAMETERS)
    p = PARAMETERS
    phases = mapping.site_images(0, 0)[Memory.PHASE]
    good = load_packet(p, Memory.PHASE, phases, 0, 0)
    header_beats = -(-HEADER_BYTES // p.beat_bytes)
    beats = len(good) // p.beat_bytes
    lengths = {1, header_beats, header_beats + 1, beats - 1, beats + 1, beats + 5} - {beats}
    for length in sorted(lengths):
        packet = good.ljust(length * p.beat_bytes, b"\1")[: length * p.beat_bytes]
        bench.load(iter([packet]))
        await bench.source.wait()
        await bench.cycles(4)
        await expect(bench, {Error.LOAD_FRAMING})
        if length <= header_beats:
            # Nothing was written.
            await bench.check(case.operands(PARAMETERS, 2))
            continue
        assert not await bench.read("STATUS") >> Status.STATE_VALID & 1
        await bench.start(2)
        await expect(bench, {Error.NO_MODEL})
        await bench.load_model(mapping)
        await bench.check(case.operands(PARAMETERS, 2))


@cocotb.test()
async def no_header(dut: Any) -> None:
    """The rest of a packet that a reset has cut, wherever it was, is dropped, and so is a header with a wrong bit."""
    bench, case, mapping = await prepare(dut, PARAMETERS)
    p = PARAMETERS
    good = load_packet(p, Memory.WEIGHT, mapping.site_images(0, 0)[Memory.WEIGHT], 0, 0)
    header_beats = -(-HEADER_BYTES // p.beat_bytes)
    wrong = [good[at * p.beat_bytes :] for at in range(1, min(len(good) // p.beat_bytes - header_beats, 12))]
    wrong += [good[:at] + bytes([good[at] ^ 1 << at % 8]) + good[at + 1 :] for at in range(HEADER_BYTES)]
    for packet in wrong:
        bench.load(iter([packet]))
        await bench.source.wait()
        await bench.cycles(4)
        await expect(bench, {Error.LOAD_HEADER})
    await bench.check(case.operands(PARAMETERS, 2))


@cocotb.test()
async def start_while_loading(dut: Any) -> None:
    """START inside a load packet does nothing, in its header and in its data; the packet is whole all the same."""
    bench, case, mapping = await prepare(dut, PARAMETERS)
    p = PARAMETERS
    packet = load_packet(p, Memory.WEIGHT, mapping.site_images(0, 0)[Memory.WEIGHT], 0, 0)
    for beats in (1, -(-HEADER_BYTES // p.beat_bytes), -(-HEADER_BYTES // p.beat_bytes) + 1):
        await bench.put_beats(packet[: beats * p.beat_bytes], tdest=1)
        await bench.cycles(4)
        await bench.start(2)
        await expect(bench, {Error.START_WHILE_LOADING})
        assert not await bench.read("STATUS") >> Status.BUSY & 1
        bench.load(iter([packet[beats * p.beat_bytes :]]))
        await bench.source.wait()
        await bench.cycles(4)
        await bench.check(case.operands(PARAMETERS, 2))


@cocotb.test()
async def abort_of_a_load(dut: Any) -> None:
    """ABORT ends a load packet whose source has died; the next packet is taken for what it is."""
    bench, case, mapping = await prepare(dut, PARAMETERS)
    p = PARAMETERS
    packet = load_packet(p, Memory.WEIGHT, mapping.site_images(0, 0)[Memory.WEIGHT], 0, 0)
    for beats in (1, -(-HEADER_BYTES // p.beat_bytes) + 1):
        await bench.put_beats(packet[: beats * p.beat_bytes], tdest=1)
        await bench.cycles(4)
        await bench.write("CONTROL", 1 << Control.ABORT)
        await bench.cycles(4)
        await expect(bench, {Error.LOAD_FRAMING})
        if beats > 1:
            await bench.start(2)
            await expect(bench, {Error.NO_MODEL})
        await bench.load_model(mapping)
        await bench.check(case.operands(PARAMETERS, 2))


@cocotb.test()
async def state_without_a_model(dut: Any) -> None:
    """A state for a model that is not there is none; a packet that is not whole leaves no state."""
    bench, case, mapping = await prepare(dut, PARAMETERS)
    p = PARAMETERS
    state = load_packet(p, Memory.STATE, Image(16, [1, 2]), None, None)
    await bench.write("MODEL", p.models)
    bench.load(iter([state]))
    await bench.source.wait()
    await bench.cycles(4)
    assert not await bench.errors()
    assert not await bench.read("STATUS") >> Status.STATE_VALID & 1
    await bench.start(1, keep_state=True)
    await expect(bench, {Error.NO_MODEL})
    await bench.write("MODEL", 0)
    await bench.cycles(2)
    assert not await bench.read("STATUS") >> Status.STATE_VALID & 1
    bench.load(iter([state]))
    await bench.source.wait()
    await bench.cycles(4)
    assert await bench.read("STATUS") >> Status.STATE_VALID & 1
    bench.load(iter([state[: -p.beat_bytes]]))
    await bench.source.wait()
    await bench.cycles(4)
    await expect(bench, {Error.LOAD_FRAMING})
    assert not await bench.read("STATUS") >> Status.STATE_VALID & 1
    await bench.load_model(mapping)
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
