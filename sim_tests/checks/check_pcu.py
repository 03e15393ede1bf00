"""cocotb test of the PCU against integer arithmetic; SRNN_GRID names the grid whose parameters it has."""

from __future__ import annotations

import os
from typing import Any

import cocotb
import numpy as np

from hdl.grid.pcu import Pcu
from hdl.layouts import LinkError, instruction_layout, result_layout, unit_entry_layout
from rnn_mapper.mapping.images import LayoutPacker, table_image
from sim_tests.bench.component_bench import CycleBench, ReadPort
from sim_tests.bench.grids import GRIDS
from sim_tests.bench.pcu_rows import FILL_ROWS, PcuRows
from sim_tests.bench.stimulus import NoiseWords, corner_values
from sim_tests.bench.unit_path_model import Issue, UnitPathModel

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]
PHASES = 200
#: First row, and first cycle that is compared. Registers are unknown in Icarus until their inputs change: noise does
#: that, and rows that pass every stage.
FILL, START = 16, 56


def random_rows(component: Pcu, rng: np.random.Generator) -> tuple[PcuRows, int]:
    """Phases of every role, back to back and apart, and the cycle after the last word."""
    rows = PcuRows(component, rng)
    flags = {"zero": 0, "fresh": 0, "parity": 0, "head": 1, "tail": 1}
    rows.phase(FILL, 0, len(FILL_ROWS), 1, **flags)
    cycle = START
    for _ in range(PHASES):
        # Whole chains, which are head and tail, are frequent: only they have all the arithmetic.
        head, tail = ((1, 1), (1, 0), (0, 1), (0, 0))[int(rng.choice([0, 0, 0, 1, 2, 2, 3]))]
        fresh = int(rng.random() < 0.3)
        flags = {
            "zero": fresh & int(rng.integers(2)), "fresh": fresh, "parity": int(rng.integers(2)), "head": head,
            "tail": tail,
        }
        count, words = int(rng.integers(1, 9)), int(rng.integers(1, 4))
        base = int(rng.integers(len(FILL_ROWS), component.parameters.gate_entries - count))
        cycle = rows.phase(cycle, base, count, words, **flags) + int(rng.choice([0, 0, 1, 5]))
    return rows, cycle


@cocotb.test()
async def pcu(dut: Any) -> None:
    """Sums to the east, results and errors to the west, stored parts and states, for random rows and programs."""
    p = PARAMETERS
    component, bench, rng = Pcu(p), CycleBench(dut), np.random.default_rng(21)
    operations, unit_entries, links = (
        LayoutPacker(layout(p)) for layout in (instruction_layout, unit_entry_layout, result_layout)
    )
    rows, end = random_rows(component, rng)
    noise_tag, noise_link = NoiseWords(rng, rows.tags), NoiseWords(rng, links)
    table, (biases, gates) = table_image(p).words, rows.images()
    program = [rows.instruction(address) for address in range(p.program_length)]
    program[0] = dict.fromkeys(operations.fields, 0) | {"keep": 1}
    words = [operations.pack(operation) for operation in program]
    units = [NoiseWords(rng, unit_entries).word() for _ in range(1 << p.unit_bits)]
    states, stored = corner_values(rng, 16, max(p.state_depth, 5))[: p.state_depth], list(rows.stored)
    model = UnitPathModel(component.unit_path, program, list(states))
    #: Memories that are read: port of the data, enable, address, contents.
    reads: tuple[tuple[str, str, str, list[int]], ...] = (
        ("bias", "bias_enable", "bias_address", biases), ("gate_entry", "gate_enable", "gate_address", gates),
        ("instruction", "fetch_enable", "program_address", words), ("state", "fetch_enable", "state_address", states),
        ("stored_read_data", "stored_read_enable", "stored_read_address", stored),
        ("unit_entry", "unit_enable", "unit_address", units),
    )
    writes = (("stored_write", stored), ("state_write", states))
    inputs = dict.fromkeys([name for name, *_ in reads] + ["gate_table_entry", "unit_table_entry", "result_in"], 0)
    ports = {name: ReadPort(p) for name in ("gate", "unit", *(name for name, *_ in reads))}
    await bench.begin(**inputs, weights=0, vector=0, tag=0, overrun=0, partial_in=0)
    # Expected in the next cycle.
    result, errors, emitted = 0, 0, 0
    for cycle in range(end + component.result_latency + 1):
        idle = *(int.from_bytes(rng.bytes(p.lanes), "little") for _ in range(2)), noise_tag.word(valid=0)
        inputs |= dict(zip(("weights", "vector", "tag"), rows.operands.get(cycle, idle), strict=True))
        inputs["partial_in"] = rows.partial_in.get(cycle, int(rng.integers(-(1 << 20), 1 << 20)))
        quiet = cycle < START or rng.random() < 0.7
        inputs["result_in"] = noise_link.word(valid=int(not quiet), **({"errors": 0} if quiet else {}))
        inputs["overrun"] = int(rng.random() < 0.05)
        await bench.cycle(inputs)
        issue = rows.issues.get(cycle, Issue())
        seen = model.cycle(issue, *rows.values.get(cycle, (0, 0)))
        if cycle in rows.partial_out:
            assert bench.read("partial_out", signed=True) == rows.partial_out[cycle], f"cycle {cycle}"
        if cycle >= START:
            found = links.unpack(bench.read("result_out"))
            wanted = links.unpack(result)
            assert (found["valid"], found["errors"]) == (wanted["valid"], errors), f"cycle {cycle}"
            if wanted["valid"]:
                assert found == wanted | {"errors": errors}, f"cycle {cycle}"
        arrived = links.unpack(inputs["result_in"])
        result, errors = inputs["result_in"], arrived["errors"] | inputs["overrun"] << LinkError.SEQUENCER_OVERRUN
        if seen.local is not None:
            value, parity, unit = seen.local
            result = links.pack({"valid": 1, "value": value, "parity": parity, "unit": units[unit], "errors": 0})
            errors |= arrived["valid"] << LinkError.RESULT_COLLISION
            emitted += 1
        errors |= seen.collision << LinkError.EPILOGUE_COLLISION
        # Memories answer later, with noise without enable; a read during a write gives the old word.
        for name, enable, address, contents in reads:
            asked = bench.read(enable)
            noise = int(rng.integers(1 << min(15, len(getattr(dut, name)))))
            inputs[name] = ports[name].next(contents[bench.read(address)] if asked else noise)
        for name in ("gate", "unit"):
            segment = cycle % len(table) if cycle < START else bench.read(f"{name}_segment")
            inputs[f"{name}_table_entry"] = ports[name].next(table[segment])
        for name, contents in writes:
            if bench.read(f"{name}_enable"):
                contents[bench.read(f"{name}_address")] = bench.read(f"{name}_data", signed=True)
        if cycle >= START:
            changed = int(rng.integers(p.program_length))
            program[changed] = rows.instruction(changed)
            words[changed] = operations.pack(program[changed])
    assert stored == rows.final_stored()
    assert states == model.states
    assert {-32768, 32767} <= set(model.results)
    assert min(emitted, model.collisions) > PHASES // 10
