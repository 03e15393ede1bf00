"""cocotb test of the gate path, with models of its memories.

SRNN_GRID names the grid whose parameters the component has.
"""

from __future__ import annotations

import os
from typing import Any

import cocotb
import numpy as np

from hdl.grid.fixed_point import saturate_int
from hdl.grid.gate_path import GatePath, issue_layout
from hdl.layouts import Activation, gate_entry_layout, table_entry_layout
from rnn_mapper.fixed_point import sigmoid_table
from rnn_mapper.mapping.images import LayoutPacker
from sim_tests.bench.component_bench import CycleBench, ReadPort
from sim_tests.bench.grids import GRIDS

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]
#: Few addresses of stored pre-activations, so that they are read soon after they are written; all bits are used.
_STORED = (0, 1, 2, 0x5555, 0xAAAA, 0xFFFF)


@cocotb.test()
async def gate_path(dut: Any) -> None:
    """Rows that store, add, saturate and activate."""
    p = PARAMETERS
    component, bench = GatePath(p), CycleBench(dut)
    rng = np.random.default_rng(6)
    entries, issues, tables = (
        LayoutPacker(layout(p)) for layout in (gate_entry_layout, issue_layout, table_entry_layout)
    )
    knots = [int(knot) for knot in sigmoid_table(p.table_segments)]
    table = [tables.pack({"base": knots[k], "rise": knots[k + 1] - knots[k]}) for k in range(p.table_segments)]
    await bench.begin(total=0, valid=0, entry=0, fresh=0, parity=0, stored_read_data=0, table_entry=0)
    stored: dict[int, int] = {}
    #: Cycle and value of every store to an address; all stores in order.
    parts: dict[int, list[tuple[int, int]]] = {}
    writes: list[tuple[int, int]] = []
    expected: dict[int, tuple[dict[str, int], int, int]] = {}
    read_data = entry_out = seen = written = 0
    stored_port, table_port = ReadPort(p), ReadPort(p)
    #: Whether a row reads a stored part, by the cycle of the read.
    reads: dict[int, bool] = {}
    limit = 1 << (p.accumulator_bits - 1)
    reached: set[int] = set()
    for cycle in range(3000):
        valid = int(rng.random() < 0.8)
        store = int(rng.random() < 0.3)
        function = Activation(int(rng.integers(4)))
        entry = {
            "shift": int(rng.integers(0, 24)), "multiplier": int(rng.integers(512, 1024)),
            "add_stored": int(rng.integers(2)), "store": store,
            "stored": _STORED[int(rng.integers(6))] % p.stored_depth,
            "activation": 0 if store else int(function.value), "hold": 0 if store else int(rng.integers(3)),
            "run": 0 if store else int(rng.integers(2)), "instruction": int(rng.integers(p.program_length)),
            "unit": int(rng.integers(p.units)),
        }
        total = int(rng.integers(-limit, limit)) >> int(rng.integers(0, p.accumulator_bits - 4))
        fresh, parity = int(rng.integers(2)), int(rng.integers(2))
        await bench.cycle(
            total=total, valid=valid, entry=entries.pack(entry), fresh=fresh, parity=parity,
            stored_read_data=read_data, table_entry=entry_out,
        )
        if valid:
            part = component.requantiser.model(total, entry["multiplier"], entry["shift"])
            # Rows from `store_distance` cycles after a store on read the new value, rows before the old one.
            stores = parts.setdefault(entry["stored"], [(-component.store_distance, 0)])
            before = [value for at, value in stores if at + component.store_distance <= cycle][-1]
            part = saturate_int(part + before * entry["add_stored"], 16)
            if store:
                stores.append((cycle, part))
                writes.append((entry["stored"], part))
            expected[cycle] = entry | {"fresh": fresh, "parity": parity}, part, before
        # A row that stores reads only what it adds.
        reads[cycle + 2 - p.memory_registers] = bool(valid and (not store or entry["add_stored"]))
        assert bench.read("stored_read_enable") == reads.get(cycle, False)
        # The memory of stored pre-activations, read-first, and the table.
        read = read_data
        if bench.read("stored_read_enable"):
            read = stored.get(bench.read("stored_read_address"), 0) & 0xFFFF
        read_data = stored_port.next(read)
        if bench.read("stored_write_enable"):
            write = bench.read("stored_write_address"), bench.read("stored_write_data", signed=True)
            assert write == writes[written]
            stored[write[0]] = write[1]
            written += 1
        entry_out = table_port.next(table[bench.read("segment")])
        issue = issues.unpack(bench.read("issue"))
        row = expected.get(cycle - component.latency + 1 + p.memory_registers)
        if row is not None and not row[0]["store"]:
            assert issue["valid"] == row[0]["run"]
            assert issue["hold"] == row[0]["hold"]
            if issue["valid"]:
                assert [issue[name] for name in ("instruction", "unit", "fresh", "parity")] == [
                    row[0][name] for name in ("instruction", "unit", "fresh", "parity")
                ]
        else:
            assert not issue["valid"]
            assert not issue["hold"]
        row = expected.get(cycle - component.latency)
        if row is not None and not row[0]["store"]:
            value = component.activation.model(row[1], Activation(row[0]["activation"]), knots)
            assert (bench.read("value", signed=True), bench.read("stored", signed=True)) == (value, row[2])
            reached.add(row[1])
            seen += 1
    assert min(seen, written) > 500
    assert len(writes) - written <= component.latency
    assert {-32768, 32767} <= reached
