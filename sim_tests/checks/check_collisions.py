"""cocotb tests of images that the mapper never makes: each collision raises its flag, and the grid works afterwards.

SRNN_GRID names the grid. What cannot collide is reported as skipped: rows with one row, results with one column, groups
of one beat.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import cocotb

from hdl.register_map import Control, Error, Status
from rnn_mapper import cells
from rnn_mapper.mapping.mapping import Mapping
from sim_tests.bench.altered_images import altered_phases, altered_schedule
from sim_tests.bench.error_bench import expect, prepare
from sim_tests.bench.grids import GRIDS
from sim_tests.bench.model_bench import ModelBench
from sim_tests.bench.models import ModelCase, cell_for

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]


async def spoiled(bench: ModelBench, case: ModelCase, mapping: Mapping, packets: Iterable[bytes], error: Error) -> None:
    """Run with spoiled images until the flag is up, abort, and check that the right images still work."""
    bench.load(iter(packets))
    await bench.source.wait()
    bench.send(case.operands(PARAMETERS, 3))
    await bench.start(3)
    for _ in range(100):
        if error in await bench.errors():
            break
    assert error in await bench.errors(), f"{error.name} was not raised"
    await bench.write("CONTROL", 1 << Control.ABORT)
    await bench.wait_status(Status.BUSY, 0)
    # A spoiled schedule may raise other flags too.
    await bench.write("ERRORS", 0xFFFFFFFF & ~(1 << error))
    await expect(bench, {error})
    await bench.reset()
    await bench.begin()
    await bench.load_model(mapping)
    await bench.check(case.operands(PARAMETERS, 3))


@cocotb.test()
async def sequencer_overrun(dut: Any) -> None:
    """A token while the phase before still runs."""
    bench, case, mapping = await prepare(dut, PARAMETERS)
    await spoiled(bench, case, mapping, [altered_schedule(mapping, 0, "duration", 0)], Error.SEQUENCER_OVERRUN)


@cocotb.test()
async def epilogue_collision(dut: Any) -> None:
    """Without pad, a unit's value meets one that returns from the ring."""
    p = PARAMETERS
    # A unit after another in the same site, with so few words that the epilogue takes longer than the rows.
    cases = [
        ModelCase(cell, 1, (size,), ru=p.cols) for cell in (cell_for(p, cells.lstm, cells.sru), cells.sru)
        for size in (min(2 * p.rows * p.cols, p.lanes), 2 * p.rows * p.cols, p.rows + 1)
    ]
    case = next(case for case in cases if case.mapping(p).timings[0].pad)
    bench, case, mapping = await prepare(dut, PARAMETERS, case)
    packets = altered_phases(mapping, range(p.rows), range(p.cols), "pad", {0: 0})
    await spoiled(bench, case, mapping, packets, Error.EPILOGUE_COLLISION)


@cocotb.test(skip=PARAMETERS.rows == 1)
async def row_mismatch(dut: Any) -> None:
    """One row is later than the others."""
    p = PARAMETERS
    bench, case, mapping = await prepare(dut, PARAMETERS)
    delay = 1 + max(mapping.timings[0].delays)
    packets = altered_phases(mapping, range(1), range(p.cols), "delay", {0: delay})
    await spoiled(bench, case, mapping, packets, Error.ROW_MISMATCH)


@cocotb.test(skip=PARAMETERS.cols == 1)
async def result_collision(dut: Any) -> None:
    """The chain of column 1 sends a result when one of column 0 leaves."""
    p = PARAMETERS
    bench, case, mapping = await prepare(dut, PARAMETERS)
    # A result of column 1 takes two more hops: its token takes one to the east, the result one to the west.
    packets = [
        *altered_phases(mapping, range(p.rows), range(1), "delay", {0: 2}),
        *altered_phases(mapping, range(p.rows), range(1, 2), "delay", {0: 0}),
    ]
    await spoiled(bench, case, mapping, packets, Error.RESULT_COLLISION)


@cocotb.test(skip=PARAMETERS.group_beats == 1)
async def collector_overlap(dut: Any) -> None:
    """Results arrive faster than their beats can leave."""
    p = PARAMETERS
    bench, case, mapping = await prepare(dut, PARAMETERS, ModelCase(cells.rnn_tanh, 1, (2 * p.rows,), ru=p.cols))
    packets = altered_phases(mapping, range(p.rows), range(p.cols), "pad", {0: 0}, words=0)
    await spoiled(bench, case, mapping, packets, Error.COLLECTOR_OVERLAP)
