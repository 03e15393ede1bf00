"""cocotb tests of a grid from its host's side: registers, counters, phase enables, kept state.

SRNN_GRID names the grid.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import cocotb
from cocotbext.axi import AxiResp

from hdl.register_map import IDENTIFICATION, VERSION, Error, Status, Stream
from rnn_mapper import cells
from rnn_mapper.mapping.state_images import state_packets
from sim_tests.bench.altered_images import one_model_many_times
from sim_tests.bench.grids import GRIDS
from sim_tests.bench.model_bench import ModelBench, bench_with_small_model

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]


@cocotb.test()
async def registers(dut: Any) -> None:
    """Identification, reset values, byte strobes, and addresses that do not exist."""
    p = PARAMETERS
    bench = ModelBench(dut, p)
    await bench.begin()
    assert await bench.read("ID") == IDENTIFICATION
    assert await bench.read("VERSION") == VERSION
    assert await bench.read("GRID") == p.rows | p.cols << 8 | p.lanes << 16 | (p.operand_bits == 16) << 24
    assert (await bench.read("STATUS"), await bench.read("ERRORS"), await bench.read("STEPS")) == (0, 0, 1)
    assert await bench.read("PHASE_ENABLE") == (1 << p.phases) - 1
    await bench.write("STEPS", 0x11223344)
    steps = 0x1C
    await bench.registers.write(steps + 1, b"\xaa\xbb")
    assert await bench.read("STEPS") == 0x11BBAA44
    read = await bench.registers.read(0x7C, 4)
    assert (read.resp, read.data) == (AxiResp.SLVERR, bytes(4))
    assert (await bench.registers.write(0x7C, bytes(4))).resp == AxiResp.SLVERR
    await bench.write("ID", 0)
    assert await bench.read("ID") == IDENTIFICATION


@cocotb.test()
async def one_long_or_many_short(dut: Any) -> None:
    """A long sequence gives the same outputs as a whole, in parts of odd and even lengths, and step by step."""
    for cell in (cells.lstm, cells.gru):
        bench, case = await bench_with_small_model(dut, PARAMETERS, cell)
        inputs = case.operands(PARAMETERS, 12)
        await bench.check(inputs)
        # A saturated state must not affect a cleared sequence.
        await bench.check(case.operands(PARAMETERS, 3, 1, extreme=True))
        for lengths in ((5, 4, 3), (1,) * 12):
            begin = 0
            for length in lengths:
                await bench.check(inputs[begin : begin + length], keep=begin > 0)
                begin += length


@cocotb.test()
async def a_load_ends_the_state(dut: Any) -> None:
    """After the load of a model there is no state to continue from, and the grid reports that."""
    bench, case = await bench_with_small_model(dut, PARAMETERS, cells.gru)
    await bench.check(case.operands(PARAMETERS, 3))
    assert await bench.read("STATUS") >> Status.STATE_VALID & 1
    await bench.load_model(bench.mapping)
    assert not await bench.read("STATUS") >> Status.STATE_VALID & 1
    inputs = case.operands(PARAMETERS, 2, 1)
    bench.beats.clear()
    bench.send(inputs)
    await bench.start(2, keep_state=True)
    await bench.finish()
    assert await bench.errors() == {Error.NO_STATE}
    await bench.write("ERRORS", 1 << Error.NO_STATE)
    assert (bench.take_outputs(2) == bench.reference.run(inputs).outputs).all()
    bench.sink.clear()


@cocotb.test()
async def models_have_states_of_their_own(dut: Any) -> None:
    """Validity and parity of each model's state; START right after a write of MODEL; models that do not exist."""
    bench, case = await bench_with_small_model(dut, PARAMETERS, cells.gru)
    models = PARAMETERS.models
    bench.load(iter([one_model_many_times(bench.mapping)]))
    await bench.source.wait()

    async def valid() -> list[bool]:
        found = []
        for model in range(models + 1):
            await bench.write("MODEL", model)
            found.append(bool(await bench.read("STATUS") >> Status.STATE_VALID & 1))
        return found

    def only(*these: int) -> list[bool]:
        return [model in these for model in range(models + 1)]

    assert await valid() == only()
    for bench.model in (models, 0xFFFFFFFF):
        await bench.start(1)
        assert await bench.errors() == {Error.NO_MODEL}
        await bench.write("ERRORS", 1 << Error.NO_MODEL)
    first, last = 0, models - 1
    bench.model = first
    await bench.check(case.operands(PARAMETERS, 3))
    kept = bench.state
    assert await valid() == only(first)
    if last != first:
        # Its steps use the other halves than the steps of the first model.
        bench.model = last
        await bench.check(case.operands(PARAMETERS, 2, 1))
        await bench.check(case.operands(PARAMETERS, 3, 2), keep=True)
        assert await valid() == only(first, last)
        await bench.check(case.operands(PARAMETERS, 1, 3), keep=True)
    await bench.write("MODEL", first)
    bench.load(state_packets(bench.mapping, kept))
    await bench.source.wait()
    assert await valid() == only(first, last)
    bench.model, bench.state = first, kept
    await bench.check(case.operands(PARAMETERS, 2, 4), keep=True)
    await bench.load_model(bench.mapping)
    assert await valid() == only()


@cocotb.test()
async def stalls_are_counted(dut: Any) -> None:
    """Waits for input and for room in the output buffer appear in the counters and nowhere else."""
    bench, case = await bench_with_small_model(dut, PARAMETERS)
    inputs = case.operands(PARAMETERS, 5)
    wanted = bench.reference.run(inputs).outputs
    bench.beats.clear()
    await bench.start(5)
    await bench.cycles(300)
    bench.send(inputs)
    await bench.finish()
    assert (bench.take_outputs(5) == wanted).all()
    # The first cycles pass before the first phase waits.
    assert 290 <= await bench.read("STALL_INPUT") <= 310 + 4 * bench.mapping.input_beats
    assert await bench.read("STALL_OUTPUT") == 0
    bench.sink.pause = True
    bench.send(inputs)
    await bench.start(5)
    await bench.cycles(2000)
    assert await bench.read("STEPS_DONE") < 3
    bench.sink.pause = False
    await bench.finish()
    assert (bench.take_outputs(5) == wanted).all()
    assert await bench.read("STALL_OUTPUT") > 1000
    await bench.check(inputs)


@cocotb.test()
async def beat_by_beat(dut: Any) -> None:
    """Every beat of input, output and load packets is held up, one at a time."""
    bench, case = await bench_with_small_model(dut, PARAMETERS, cells.gru)

    def every(count: int) -> Iterator[bool]:
        while True:
            yield from [True] * (count - 1) + [False]

    for source, sink in ((2, 1), (1, 2), (3, 2), (1, 13)):
        bench.pause(lambda count=source: every(count), lambda count=sink: every(count))  # type: ignore[misc]
        await bench.load_model(bench.mapping)
        await bench.check(case.operands(PARAMETERS, 4), timing=False)
        await bench.check(case.operands(PARAMETERS, 3), keep=True, timing=False)


@cocotb.test()
async def phase_enables(dut: Any) -> None:
    """With no phase enabled a sequence ends without results; a head that is off does not disturb the layer below."""
    bench, case = await bench_with_small_model(dut, PARAMETERS, outputs=3)
    inputs = case.operands(PARAMETERS, 4)
    for enabled in (0, 0xFFFFFFFF ^ 1 << bench.mapping.entries[-1].phase):
        bench.beats.clear()
        await bench.write("PHASE_ENABLE_LOW", enabled)
        bench.send(inputs)
        await bench.start(4)
        # Registers that are written after START belong to the next sequence.
        await bench.write("PHASE_ENABLE_LOW", 0xFFFFFFFF)
        await bench.finish()
        assert not bench.beats
        assert await bench.read("STEPS_DONE") == 4
        assert await bench.read("STATUS") == 1 << Status.DONE | 1 << Status.STATE_VALID
        assert not await bench.errors()
    bench.state = bench.reference.run(inputs).state
    await bench.check(case.operands(PARAMETERS, 3, 1), keep=True)
    await bench.check(inputs)


@cocotb.test()
async def tdest_unconnected(dut: Any) -> None:
    """With STREAM.IGNORE_TDEST, STREAM.LOAD says what a packet is, and tdest may be anything."""
    bench, case = await bench_with_small_model(dut, PARAMETERS, cells.gru)
    inputs = case.operands(PARAMETERS, 4)
    ignored, load = 1 << Stream.IGNORE_TDEST, 1 << Stream.LOAD
    for wrong in (0, 1):
        # The weights of the model before it must be gone after the load.
        for one in (replace(case, seed=case.seed + 1), case):
            await bench.write("STREAM", ignored | load)
            bench.tdest = wrong
            await bench.load_model(one.mapping(PARAMETERS))
            await bench.write("STREAM", ignored)
            await bench.check(inputs)
    await bench.write("STREAM", load)
    bench.tdest = None
    await bench.check(inputs)
    assert await bench.errors() == set()
