"""cocotb tests of sequencer, gate path, links and memory; run one by name on its own build.

SRNN_GRID names the grid whose parameters the component has.
"""

from __future__ import annotations

import os
from typing import Any

import cocotb
import numpy as np

from hdl.collector import Collector
from hdl.distributor import Distributor
from hdl.fixed_point import saturate_int
from hdl.gate_path import GatePath, issue_layout
from hdl.layouts import (
    Activation,
    gate_entry_layout,
    operand_tag_layout,
    phase_layout,
    result_layout,
    table_entry_layout,
    token_layout,
    unit_entry_layout,
    vector_address_layout,
    write_word_layout,
)
from hdl.sequencer import Sequencer
from rnn_mapper.fixed_point import sigmoid_table
from rnn_mapper.images import LayoutPacker
from sim_tests.component_bench import MEMORY_PARAMETERS, CycleBench
from sim_tests.grids import GRIDS

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]


def blank(packer: LayoutPacker, **fields: int) -> int:
    """A word in which the fields that are not named are zero."""
    return packer.pack(dict.fromkeys(packer.fields, 0) | fields)


@cocotb.test()
async def sequencer(dut: Any) -> None:
    """Every read of random phases, back to back and apart, and overrun exactly when a token comes too early."""
    p = PARAMETERS
    component, bench = Sequencer(p), CycleBench(dut)
    rng = np.random.default_rng(5)
    phase, token, tag = (LayoutPacker(layout(p)) for layout in (phase_layout, token_layout, operand_tag_layout))
    await bench.begin(token_valid=0, token=0, configuration=0)
    for early in [False] * 60 + [True] * 10:
        units, gates = (int(rng.integers(1, limit)) for limit in (5, 5))
        any_step, fresh_step = (
            (int(rng.integers(1, 4)), int(rng.integers(0, 4)), int(rng.choice([0, 0, 1, 5]))) for _ in range(2)
        )
        parity, fresh = int(rng.integers(2)), int(rng.integers(2))
        words, pad, delay = fresh_step if fresh else any_step
        config = {
            "units": units, "gates": gates - 1,
            "words": any_step[0] - 1, "pad": any_step[1], "delay": any_step[2],
            "fresh_words": fresh_step[0] - 1, "fresh_pad": fresh_step[1], "fresh_delay": fresh_step[2],
            "weight_base": int(rng.integers(0, p.weight_depth // 2)),
            "vector_base": int(rng.integers(0, p.vector_words)), "previous": int(rng.integers(2)),
            "entry_base": int(rng.integers(0, p.gate_entries // 2)), "head": int(rng.integers(2)),
            "tail": int(rng.integers(2)),
        }
        occupied = delay + units * (gates * words + pad) - pad
        again = int(rng.integers(1, occupied)) if early and occupied > 1 else occupied
        overrun = 0
        for cycle in range(occupied + component.latency):
            valid = cycle in (0, again) and (cycle == 0 or (early and again < occupied))
            await bench.cycle(
                token_valid=valid, token=blank(token, parity=parity, fresh=fresh), configuration=phase.pack(config)
            )
            overrun |= bench.read("overrun")
            place = cycle - delay - component.latency
            if again < occupied:
                continue
            unit, rest = divmod(max(place, 0), gates * words + pad)
            reads = place >= 0 and rest < gates * words
            assert bench.read("read") == reads, f"{config} cycle {cycle}"
            if reads:
                gate, word = divmod(rest, words)
                entry = unit * gates + gate
                half = (parity ^ config["previous"]) << p.vector_offset_bits
                assert bench.read("weight_address") == config["weight_base"] + entry * words + word
                assert bench.read("vector_address") == (config["vector_base"] + word) % p.vector_words | half
                assert tag.unpack(bench.read("tag")) == {
                    "valid": 1, "first": word == 0, "last": word == words - 1, "zero": fresh & config["previous"],
                    "fresh": fresh, "parity": parity, "head": config["head"], "tail": config["tail"],
                    "entry": config["entry_base"] + entry,
                }
        # The second token has the same delay: it may come before the reads end.
        wrong = again < occupied and (again <= delay or again + delay < occupied)
        assert bool(overrun) == wrong, f"{config}: a token {again} cycles after, {occupied} occupied"
        if again < occupied:
            dut.rst.value = 1
            await bench.cycle(token_valid=0)
            dut.rst.value = 0
            await bench.cycle(token_valid=0)


@cocotb.test()
async def gate_path(dut: Any) -> None:
    """Rows that store, add, saturate and activate, with the two memories beside the path."""
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
    read_data = segment = seen = written = 0
    limit = 1 << (p.accumulator_bits - 1)
    reached: set[int] = set()
    for cycle in range(3000):
        valid = int(rng.random() < 0.8)
        store = int(rng.random() < 0.3)
        function = Activation(int(rng.integers(4)))
        entry = {
            "shift": int(rng.integers(0, 24)), "multiplier": int(rng.integers(512, 1024)),
            "add_stored": int(rng.integers(2)), "store": store, "stored": int(rng.integers(min(6, p.stored_depth))),
            "activation": 0 if store else int(function.value), "hold": 0 if store else int(rng.integers(3)),
            "run": 0 if store else int(rng.integers(2)), "instruction": int(rng.integers(p.program_length)),
            "unit": int(rng.integers(p.units)),
        }
        total = int(rng.integers(-limit, limit)) >> int(rng.integers(0, p.accumulator_bits - 4))
        fresh, parity = int(rng.integers(2)), int(rng.integers(2))
        await bench.cycle(
            total=total, valid=valid, entry=entries.pack(entry), fresh=fresh, parity=parity,
            stored_read_data=read_data, table_entry=table[segment],
        )
        if valid:
            part = component.requantiser.model(total, entry["multiplier"], entry["shift"])
            # Rows that follow a store `store_distance` later read it: those in between see the old value.
            stores = parts.setdefault(entry["stored"], [(-component.store_distance, 0)])
            before = [value for at, value in stores if at + component.store_distance <= cycle][-1]
            part = saturate_int(part + before * entry["add_stored"], 16)
            if store:
                stores.append((cycle, part))
                writes.append((entry["stored"], part))
            expected[cycle] = entry | {"fresh": fresh, "parity": parity}, part, before
        # The memory of stored parts, read-first, and the table.
        if bench.read("stored_read_enable"):
            read_data = stored.get(bench.read("stored_read_address"), 0) & 0xFFFF
        if bench.read("stored_write_enable"):
            write = bench.read("stored_write_address"), bench.read("stored_write_data", signed=True)
            assert write == writes[written]
            stored[write[0]] = write[1]
            written += 1
        segment = bench.read("segment")
        issue = issues.unpack(bench.read("issue"))
        row = expected.get(cycle - component.latency + 1)
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


@cocotb.test()
async def distributor(dut: Any) -> None:
    """Every word reaches every row head at once."""
    p = PARAMETERS
    component = Distributor(p)
    bench = CycleBench(dut, component)
    rng = np.random.default_rng(7)
    packer = LayoutPacker(write_word_layout(p))
    await bench.begin(source=0)
    words: list[int] = []
    for cycle in range(200):
        words.append(blank(packer, kind=int(rng.integers(4)), data=int(rng.integers(1 << min(p.beat_bits, 62)))))
        await bench.cycle(source=words[-1])
        if cycle >= component.latency:
            heads = {bench.read(f"head_{row}") for row in range(p.rows)}
            assert heads == {words[cycle - component.latency]}


@cocotb.test()
async def collector(dut: Any) -> None:
    """Narrowing of every shift with values at the rails, beats and their addresses, completion, and both errors."""
    p = PARAMETERS
    component = Collector(p)
    bench = CycleBench(dut, component)
    rng = np.random.default_rng(8)
    results, units = LayoutPacker(result_layout(p)), LayoutPacker(unit_entry_layout(p))
    addresses = LayoutPacker(vector_address_layout(p))
    await bench.begin(**{f"result_{row}": 0 for row in range(p.rows)})
    for number in range(300):
        near, far = rng.integers(-200, 200, p.rows), rng.integers(-32768, 32768, p.rows)
        values = [int((-32768, 32767, near[row], far[row])[int(rng.integers(4))]) for row in range(p.rows)]
        unit = {
            "group": int(rng.integers(p.vector_groups)), "phase": int(rng.integers(p.phases)),
            "final": int(rng.integers(2)), "to_vector": int(rng.random() < 0.8), "to_host": int(rng.integers(2)),
            "feedback_shift": number % 9,
        }
        parity, odd = int(rng.integers(2)), p.rows > 1 and number % 10 == 9
        for row, value in enumerate(values):
            valid = int(not (odd and row == p.rows - 1))
            word = blank(results, valid=valid, value=value & 0xFFFF, parity=parity, unit=units.pack(unit))
            getattr(dut, f"result_{row}").value = word
        narrow = bytes(component.model(value, unit["feedback_shift"]) & 0xFF for value in values)
        beats = p.group_beats if unit["to_vector"] else 1
        overlap = beats > 1 and number % 7 == 6
        for beat in range(beats):
            await bench.cycle()
            assert bench.read("beat_valid") == unit["to_vector"]
            assert bench.read("row_mismatch") == (odd if beat == 0 or overlap else 0)
            assert bench.read("overlap") == (beat > 0 and overlap)
            if unit["to_vector"]:
                offset, part = divmod(unit["group"] * p.group_beats + beat, p.word_beats)
                found = addresses.unpack(bench.read("beat_address"))
                assert found == {"beat": part, "offset": offset, "parity": parity}
                data = narrow[beat * p.beat_bytes : (beat + 1) * p.beat_bytes]
                assert bench.read("beat_data") == int.from_bytes(data, "little")
            assert bench.read("complete") == (unit["final"] and beat == beats - 1)
            if unit["final"] and beat == beats - 1:
                assert bench.read("complete_phase") == unit["phase"]
            if beat == 0:
                assert bench.read("output_valid") == unit["to_host"]
                assert bench.read("output_group") == unit["group"]
                assert bench.read("output_values") == sum((v & 0xFFFF) << 16 * r for r, v in enumerate(values))
                if not overlap:
                    for row in range(p.rows):
                        getattr(dut, f"result_{row}").value = 0
        for row in range(p.rows):
            getattr(dut, f"result_{row}").value = 0
        await bench.cycle()
        assert not bench.read("beat_valid")
    # Errors of any row are reported.
    for row in range(p.rows):
        await bench.cycle({f"result_{row}": blank(results, errors=5)})
        assert bench.read("errors") == 5
        await bench.cycle({f"result_{row}": 0})


@cocotb.test()
async def memory(dut: Any) -> None:
    """Slices, the narrow last slice, read-first collisions, and data that stays while nothing is read."""
    rng = np.random.default_rng(9)
    bench = CycleBench(dut)
    width, depth, piece = (MEMORY_PARAMETERS[name] for name in ("WIDTH", "DEPTH", "SLICE"))
    await bench.begin(write_enable=0, write_address=0, write_slice=0, write_data=0, read_enable=0, read_address=0)
    words, out = [0] * depth, None
    for _ in range(2000):
        write, read = bool(rng.integers(2)), bool(rng.integers(2))
        address, part, value, place = (int(rng.integers(limit)) for limit in (depth, -(-width // piece), 256, depth))
        if rng.random() < 0.4:
            place = address
        await bench.cycle(
            write_enable=write, write_address=address, write_slice=part, write_data=value, read_enable=read,
            read_address=place,
        )
        if out is not None:
            assert bench.read("read_data") == out
        if read:
            out = words[place]
        if write:
            mask = (255 << piece * part) & ((1 << width) - 1)
            words[address] = words[address] & ~mask | value << piece * part & mask
