"""cocotb tests of aborts: at every time, inside a packet, with outputs waiting, and together with START.

SRNN_GRID names the grid.
"""

from __future__ import annotations

import os
from typing import Any

import cocotb

from hdl.register_map import Control, Status
from rnn_mapper import cells
from sim_tests.bench.grids import GRIDS
from sim_tests.bench.model_bench import bench_with_small_model

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]


@cocotb.test()
async def abort_at_every_time(dut: Any) -> None:
    """Wherever an abort falls, it ends in DONE or ABORTED, and the next sequence is right."""
    bench, case = await bench_with_small_model(dut, PARAMETERS, cells.rnn_tanh)
    inputs = case.operands(PARAMETERS, 2)
    cycles = bench.mapping.predict(2).cycles
    for delay in range(1, cycles + 8, max(1, cycles // 25)):
        bench.send(inputs)
        await bench.start(2)
        await bench.cycles(delay)
        await bench.write("CONTROL", 1 << Control.ABORT)
        await bench.finish()
        status = await bench.read("STATUS")
        ended = status & (1 << Status.DONE | 1 << Status.ABORTED)
        assert ended in (1 << Status.DONE, 1 << Status.ABORTED), f"delay {delay}: STATUS {status:#x}"
        assert bool(status >> Status.STATE_VALID & 1) == (ended == 1 << Status.DONE), f"delay {delay}"
        # A packet that has begun has an end, so that the next sequence begins one.
        assert not bench.beats or bench.beats[-1].last, f"delay {delay}"
        assert sum(beat.last for beat in bench.beats) <= 1, f"delay {delay}"
        bench.beats.clear()
        # An abort before the first beat was taken leaves the packet for the next sequence.
        await bench.check(inputs, send=bench.source.idle())


@cocotb.test()
async def abort_with_outputs_waiting(dut: Any) -> None:
    """Outputs that an aborted sequence has not sent are never sent, even if the sink held them up."""
    bench, case = await bench_with_small_model(dut, PARAMETERS, cells.rnn_tanh)
    inputs = case.operands(PARAMETERS, 5)
    bench.sink.pause = True
    bench.send(inputs)
    await bench.start(5)
    await bench.cycles(bench.mapping.predict(5).cycles)
    await bench.write("CONTROL", 1 << Control.ABORT)
    await bench.cycles(100)
    # The beat on offer must still be taken: a stream must not withdraw an offer.
    assert await bench.read("STATUS") >> Status.BUSY & 1
    assert dut.m_axis_tvalid.value
    bench.beats.clear()
    bench.sink.pause = False
    await bench.finish()
    await bench.cycles(100)
    # That beat, and one that ends the packet.
    assert [beat.last for beat in bench.beats] == [False, True]
    assert await bench.read("STATUS") == 1 << Status.ABORTED
    bench.sink.clear()
    await bench.check(inputs, send=bench.source.idle())


@cocotb.test()
async def abort_inside_a_packet(dut: Any) -> None:
    """An abort waits for the rest of the packet, however long the source takes, and drops it."""
    bench, case = await bench_with_small_model(dut, PARAMETERS, cells.rnn_tanh)
    bench.send(case.operands(PARAMETERS, 4))
    await bench.start(4)
    await bench.cycles(2)
    bench.source.pause = True
    await bench.cycles(2)
    await bench.write("CONTROL", 1 << Control.ABORT)
    await bench.cycles(3000)
    assert await bench.read("STATUS") == 1 << Status.BUSY
    bench.source.pause = False
    await bench.finish()
    assert await bench.read("STATUS") == 1 << Status.ABORTED
    assert bench.source.idle()
    bench.sink.clear()
    await bench.check(case.operands(PARAMETERS, 3))


@cocotb.test()
async def abort_right_after_start(dut: Any) -> None:
    """Writes of START and ABORT in neighbouring cycles: the sequence is aborted."""
    bench, case = await bench_with_small_model(dut, PARAMETERS, cells.rnn_tanh)
    for pause in range(3):
        dut.s_axil_bready.value = 1
        writes = [bench.registers.init_write(0x0C, (1 << Control.START).to_bytes(4, "little"))]
        if pause:
            await bench.cycles(pause)
        writes.append(bench.registers.init_write(0x0C, (1 << Control.ABORT).to_bytes(4, "little")))
        for write in writes:
            await write.wait()
        await bench.finish()
        status = await bench.read("STATUS")
        assert status == 1 << Status.ABORTED, f"STATUS {status:#x} with ABORT {pause} cycles after START"
    await bench.check(case.operands(PARAMETERS, 2))


@cocotb.test()
async def abort_with_start(dut: Any) -> None:
    """START and ABORT in one write start the sequence."""
    bench, case = await bench_with_small_model(dut, PARAMETERS, cells.rnn_tanh)
    inputs = case.operands(PARAMETERS, 3)
    bench.send(inputs)
    await bench.write("STEPS", 3)
    await bench.write("CONTROL", 1 << Control.START | 1 << Control.ABORT)
    await bench.finish()
    assert await bench.read("STATUS") == 1 << Status.DONE | 1 << Status.STATE_VALID
    assert (bench.take_outputs(3) == bench.reference.run(inputs).outputs).all()


@cocotb.test()
async def abort_before_the_first_beat(dut: Any) -> None:
    """A packet that begins during or after the abort belongs to the next sequence."""
    bench, case = await bench_with_small_model(dut, PARAMETERS, cells.rnn_tanh)
    for under_way in (False, True):
        bench.source.pause = True
        inputs = case.operands(PARAMETERS, 3)
        bench.send(inputs)
        await bench.start(3)
        await bench.cycles(50)
        await bench.write("CONTROL", 1 << Control.ABORT)
        if under_way:
            bench.source.pause = False
            await bench.cycles(20)
            assert await bench.read("STATUS") == 1 << Status.BUSY
        await bench.finish()
        assert await bench.read("STATUS") == 1 << Status.ABORTED
        bench.source.pause = False
        await bench.check(inputs, timing=False, send=False)
