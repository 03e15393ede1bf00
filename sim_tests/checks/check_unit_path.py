"""cocotb test of the unit path against its integer model; SRNN_GRID names the grid whose parameters it has."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

import cocotb
import numpy as np

from hdl.grid.gate_path import issue_layout
from hdl.grid.unit_path import UnitPath
from hdl.layouts import Hold, instruction_layout, result_layout, unit_entry_layout
from rnn_mapper.mapping.images import LayoutPacker, table_image
from sim_tests.bench.component_bench import CycleBench, ReadPort
from sim_tests.bench.grids import GRIDS
from sim_tests.bench.stimulus import NoiseWords, corner_values
from sim_tests.bench.unit_path_model import Issue, UnitPathModel, random_instruction

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]
CYCLES = 4000
#: Registers are unknown in Icarus until their inputs change: the first cycles drive noise, and from FILL on values that
#: fill the hold registers and pass every stage of the ring. From START on, all outputs are compared.
FILL, START = 8, 28


def _issue(rng: np.random.Generator, cycle: int) -> Issue:
    """A random issue; from FILL to START both HOLD0, HOLD1, and the kept result (by instruction 0)."""
    if cycle < START:
        hold = Hold.NONE if cycle < FILL else (Hold.HOLD0, Hold.HOLD0, Hold.HOLD1, Hold.NONE)[cycle % 4]
        return Issue(valid=int(cycle >= FILL), hold=hold, unit=cycle & 1)
    # A value every third cycle makes collisions, but not so many that no program gets far.
    valid, hold = int(rng.random() < 0.3), Hold(int(rng.choice([0, 0, 0, 1, 2])))
    instruction, unit = int(rng.integers(PARAMETERS.program_length)), int(rng.integers(min(4, PARAMETERS.units)))
    return Issue(valid, hold, instruction, unit, int(rng.random() < 0.2), int(rng.integers(2)))


@cocotb.test()
async def unit_path(dut: Any) -> None:
    """Random programs that change while they run: fetches, results, states, kept values, the ring and collisions."""
    p = PARAMETERS
    component, bench, rng = UnitPath(p), CycleBench(dut), np.random.default_rng(20)
    issues, operations, entries, links = (
        LayoutPacker(layout(p)) for layout in (issue_layout, instruction_layout, unit_entry_layout, result_layout)
    )
    idle, noise, noise_entry = (NoiseWords(rng, packer) for packer in (issues, operations, entries))
    table = table_image(p).words
    program = [random_instruction(rng, operations) for _ in range(p.program_length)]
    program[0] = dict.fromkeys(operations.fields, 0) | {"keep": 1}
    units = [noise_entry.word() for _ in range(1 << p.unit_bits)]
    states = corner_values(rng, 16, max(p.state_depth, 5))[: p.state_depth]
    model = UnitPathModel(component, program, list(states))
    values, stored = corner_values(rng, 16, CYCLES), corner_values(rng, 16, CYCLES)
    values[::9], values[4::9] = [-32768] * len(values[::9]), [32767] * len(values[4::9])
    inputs = dict.fromkeys(("issue", "value", "stored", "instruction", "state", "unit_entry", "table_entry"), 0)
    ports = {name: ReadPort(p) for name in ("instruction", "unit_entry", "state", "table_entry")}
    await bench.begin(**inputs)
    trips = 0
    for cycle in range(CYCLES):
        issue = _issue(rng, cycle)
        busy = issue.valid or issue.hold != Hold.NONE
        word = issues.pack(asdict(issue) | {"hold": issue.hold.value}) if busy else idle.word(valid=0, hold=0)
        await bench.cycle(inputs, issue=word, value=values[cycle], stored=stored[cycle])
        seen = model.cycle(issue, values[cycle], stored[cycle])
        trips += seen.fetch is not None and not issue.valid
        # Memories answer later, with noise without enable.
        read = {"instruction": noise.word(), "unit_entry": noise_entry.word(), "state": values[cycle - 1] & 0xFFFF}
        read["table_entry"] = table[cycle % len(table) if cycle < START else bench.read("segment")]
        assert bench.read("collision") == seen.collision
        assert bench.read("fetch_enable") == (seen.fetch is not None)
        if seen.fetch is not None:
            found = bench.read("program_address"), bench.read("state_address")
            assert found == seen.fetch, f"cycle {cycle}"
            read |= {"instruction": operations.pack(program[found[0]]), "state": states[found[1]] & 0xFFFF}
        assert bench.read("unit_enable") == (seen.unit is not None)
        if seen.unit is not None:
            assert bench.read("unit_address") == seen.unit
            read["unit_entry"] = units[seen.unit]
        if cycle >= START:
            local = links.unpack(bench.read("own_result"))
            assert local["valid"] == (seen.local is not None), f"cycle {cycle}"
        if seen.local is not None:
            value, parity, unit = seen.local
            wanted = {"valid": 1, "value": value & 0xFFFF, "parity": parity, "unit": units[unit], "errors": 0}
            assert local == wanted, f"cycle {cycle}"
        assert bench.read("state_write_enable") == (seen.write is not None)
        if seen.write is not None:
            found = bench.read("state_write_address"), bench.read("state_write_data", signed=True)
            assert found == seen.write, f"cycle {cycle}"
            states[found[0]] = found[1]
        inputs |= {name: port.next(read[name]) for name, port in ports.items()}
        if cycle > START:
            program[int(rng.integers(p.program_length))] = random_instruction(rng, operations)
    assert states == model.states
    assert {-32768, 32767} <= set(model.results)
    assert min(trips, model.collisions) > CYCLES // 20
    assert min(model.hold_collisions, model.early_reads, model.fresh_reads) > 3
