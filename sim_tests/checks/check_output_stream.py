"""cocotb test of the output stream, with random stalls.

SRNN_GRID names the grid whose parameters the component has.
"""

from __future__ import annotations

import os
from typing import Any

import cocotb
import numpy as np

from hdl.layouts import schedule_header_layout
from rnn_mapper.mapping.images import LayoutPacker
from sim_tests.bench.component_bench import CycleBench, zero_filled
from sim_tests.bench.grids import GRIDS

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]


@cocotb.test()
async def output_stream(dut: Any) -> None:
    """Groups that arrive in any order leave in order, once enough have arrived, whatever the sink does.

    Steps without results are counted. Some sequences are flushed at any time: the beat on offer is still sent, and one
    more with tlast if the packet has begun; no other after it.
    """
    p = PARAMETERS
    bench = CycleBench(dut)
    rng = np.random.default_rng(12)
    headers = LayoutPacker(schedule_header_layout(p))
    await bench.begin(
        m_axis_tready=0, begin_sequence=0, flush=0, steps=0, parity=0, header=0, group_valid=0, group=0,
        group_parity=0, values=0, skip_step=0,
    )
    flushed = 0
    for number in range(40):
        groups, steps, parity = int(rng.integers(1, 7)), int(rng.integers(1, 6)), int(rng.integers(2))
        base, last = int(rng.integers(0, 3)), int(rng.integers(p.rows))
        if number % 10 == 0:
            # As many groups as a half of the buffer has, or nearly: all bits of the counters and addresses.
            base = int(rng.integers(p.vector_groups // 4 + 1))
            groups, steps = p.vector_groups - base - int(rng.integers(2)) * (p.vector_groups > base + 1), 2
        if number == 4:
            steps = 9000
        header = zero_filled(
            headers, output_base=base, output_groups=groups - 1, output_last=last, output_start=groups
        )
        await bench.cycle(begin_sequence=1, flush=1, steps=steps, parity=parity, header=header, group_valid=0)
        if number % 5 == 4:
            # The phase with results for the output is switched off.
            for sent in range(steps):
                await bench.cycle(begin_sequence=0, flush=0, skip_step=1)
                if steps < 10:
                    await bench.cycle(skip_step=0)
                counted = sent + int(steps < 10)
                assert (bench.read("steps_sent"), bench.read("idle")) == (counted, 1)
                assert bench.read("all_sent") == (counted == steps)
            await bench.cycle(skip_step=0)
            assert bench.read("steps_sent") == steps
            continue
        todo = [(step, int(group)) for step in range(steps) for group in rng.permutation(groups)]
        written: dict[tuple[int, int], int] = {}
        received: list[tuple[int, int, int]] = []
        chance = float(rng.choice([0.05, 0.5, 1.0]))
        held: tuple[int, int, int] | None = None
        sent, in_packet = 0, 0
        ends = int(rng.integers(1, steps * groups + 1)) if number % 3 == 2 else steps * groups
        while len(received) < ends:
            inputs = {"begin_sequence": 0, "flush": 0, "group_valid": 0}
            # The controller lets a step begin when the output of two steps earlier has been sent.
            if todo and todo[0][0] < sent + 2 and rng.random() < 0.6:
                step, group = todo.pop(0)
                written[step, group] = int.from_bytes(rng.bytes(2 * p.rows), "little")
                inputs |= {"group_valid": 1, "group": base + group, "group_parity": parity ^ (step & 1),
                           "values": written[step, group]}
            ready = rng.random() < chance
            await bench.cycle(inputs, m_axis_tready=ready)
            sent = bench.read("steps_sent")
            assert bench.read("all_sent") == (sent == steps)
            valid = bench.read("m_axis_tvalid")
            in_packet = in_packet if not valid else not bench.read("m_axis_tlast")
            assert bench.read("idle") == (not valid and not in_packet)
            # A beat on offer must not change until it is taken.
            assert valid or held is None
            if valid:
                beat = bench.read("m_axis_tdata"), bench.read("m_axis_tkeep"), bench.read("m_axis_tlast")
                assert held in (None, beat)
                held = None if ready else beat
                if ready:
                    received.append(beat)
        await bench.cycle(flush=1, group_valid=0, m_axis_tready=0)
        offered = bench.read("m_axis_tvalid")
        in_packet = in_packet if not offered else not bench.read("m_axis_tlast")
        rest = []
        for cycle in range(12):
            await bench.cycle(m_axis_tready=cycle >= 4)
            assert bench.read("m_axis_tvalid") or not offered or cycle > 4
            if bench.read("m_axis_tvalid") and cycle >= 4:
                rest.append((bench.read("m_axis_tkeep"), bench.read("m_axis_tlast")))
        assert len(rest) == offered + in_packet
        if in_packet:
            assert rest[-1] == ((1 << 2 * p.rows) - 1, 1)
            flushed += 1
        full, part = (1 << 2 * p.rows) - 1, (1 << 2 * (last + 1)) - 1
        places = [(step, group) for step in range(steps) for group in range(groups)]
        assert received == [
            (written[place], part if place[1] == groups - 1 else full, int(place == (steps - 1, groups - 1)))
            for place in places[:ends]
        ]
        assert bench.read("idle")
        if ends == steps * groups:
            assert bench.read("steps_sent") == steps
            assert not rest
    assert flushed > 2
