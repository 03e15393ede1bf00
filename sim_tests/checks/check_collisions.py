"""cocotb tests of images that the mapper never makes: each collision raises its flag, and the grid works afterwards.

SRNN_GRID names the grid. What cannot collide is reported as skipped: rows with one row, results with one column, groups
of one beat.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import cocotb

from hdl.latencies import ENTRY_INTERVAL
from hdl.register_map import Control, Error, Status
from rnn_mapper import cells
from rnn_mapper.cells.unit_timing import ring_events
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
    p = PARAMETERS
    # Phases that take longer than the controller needs from one token to the next.
    case = ModelCase(cells.rnn_tanh, p.lanes, (2 * ENTRY_INTERVAL * p.rows * p.cols,), ru=1)
    bench, case, mapping = await prepare(dut, p, case)
    await spoiled(bench, case, mapping, [altered_schedule(mapping, 0, "duration", 0)], Error.SEQUENCER_OVERRUN)


def colliding_phases() -> Iterator[tuple[ModelCase, int, int]]:
    """Phases, and a pad with which a unit's value returns from the ring when one of the next unit arrives, with rows of
    one word."""
    p = PARAMETERS
    for cell in (cells.lstm, cells.gru, cells.sru):
        case = ModelCase(cell_for(p, cell, cells.sru), 1, (2 * p.rows * p.cols,), ru=p.cols)
        for number, timing in enumerate(case.mapping(p).timings):
            program = timing.phase.program
            if program is None or timing.phase.stores or timing.nest.max_units < 2:
                continue
            events = ring_events(program, 1, timing.latencies.unit_path)
            apart = max(events) - min(events)
            if apart >= timing.nest.gates:
                yield case, number, apart - timing.nest.gates


@cocotb.test()
async def epilogue_collision(dut: Any) -> None:
    """Without its pad, and with rows of one word, a unit's value meets one that returns from the ring."""
    p = PARAMETERS
    case, phase, pad = next(colliding_phases())
    bench, case, mapping = await prepare(dut, PARAMETERS, case)
    # The pad may be longer than the right one: the next phase waits.
    packets = [
        altered_schedule(mapping, phase, "duration", 500),
        *altered_phases(mapping, range(p.rows), range(p.cols), "pad", {phase: pad}, words=0),
    ]
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
