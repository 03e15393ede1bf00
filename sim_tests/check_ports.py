"""cocotb tests of the components at the host's streams, with random stalls; run one by name on its own build.

SRNN_GRID names the grid whose parameters the component has.
"""

from __future__ import annotations

import os
from typing import Any

import cocotb
import numpy as np

from hdl.image_loader import HEADER_BYTES, load_header_layout
from hdl.layouts import (
    Memory,
    WriteKind,
    memory_address_layout,
    memory_shape,
    schedule_header_layout,
    vector_address_layout,
    write_word_layout,
)
from rnn_mapper.images import LayoutPacker
from sim_tests.component_bench import CycleBench
from sim_tests.grids import GRIDS

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]


def header_word(**fields: int) -> int:
    """The schedule header with zeros in the fields that are not named."""
    packer = LayoutPacker(schedule_header_layout(PARAMETERS))
    return packer.pack(dict.fromkeys(packer.fields, 0) | fields)


@cocotb.test()
async def vector_input(dut: Any) -> None:
    """Beats go to alternating halves, at most two steps ahead, whatever stalls; the words are those that were sent."""
    p = PARAMETERS
    bench = CycleBench(dut)
    rng = np.random.default_rng(10)
    words, addresses = LayoutPacker(write_word_layout(p)), LayoutPacker(vector_address_layout(p))
    await bench.begin(
        tdata=0, tvalid=0, tlast=0, begin_sequence=0, running=0, flush=0, steps=0, parity=0, header=0, free=0,
        consume=0, taken=0,
    )
    for _ in range(30):
        beats, steps, parity = int(rng.integers(1, 6)), int(rng.integers(1, 7)), int(rng.integers(2))
        offset = int(rng.integers(0, 4))
        header = header_word(input_beats=beats, input_offset=offset)
        await bench.cycle(begin_sequence=1, steps=steps, parity=parity, header=header, tvalid=0, running=0)
        sent = consumed = freed = 0
        chance = float(rng.choice([0.1, 0.5, 1.0]))
        valid, data = False, 0
        while freed < steps:
            if not valid:
                valid, data = sent < steps * beats and rng.random() < chance, int(rng.integers(256))
            taken = rng.random() < 0.6
            loaded = sent // beats
            consume = consumed < loaded and rng.random() < 0.2
            free = freed < consumed and rng.random() < 0.2
            last = sent == steps * beats - 1
            await bench.cycle(
                begin_sequence=0, running=1, tvalid=valid, tdata=data, tlast=last, taken=taken, consume=consume,
                free=free,
            )
            assert bench.read("available") == (consumed < loaded)
            room = sent // beats < freed + 2 and sent < steps * beats
            assert bench.read("tready") == (room and taken)
            assert bench.read("word_valid") == (room and valid)
            assert not bench.read("framing_early")
            assert not bench.read("framing_late")
            if room and valid:
                word = words.unpack(bench.read("word"))
                step, beat = divmod(sent, beats)
                assert (word["kind"], word["data"]) == (WriteKind.VECTOR.value, data)
                assert addresses.unpack(word["address"]) == {
                    "beat": beat % p.word_beats, "offset": offset + beat // p.word_beats,
                    "parity": parity ^ (step & 1),
                }
                if taken:
                    sent, valid = sent + 1, False
            consumed, freed = consumed + consume, freed + free
        await bench.cycle(running=0, tvalid=0, consume=0, free=0)
        assert not bench.read("in_packet")


@cocotb.test()
async def image_loader(dut: Any) -> None:
    """Words of every memory, beat by beat under stalls, also from a word in the middle to one beyond the end."""
    p = PARAMETERS
    bench = CycleBench(dut)
    rng = np.random.default_rng(11)
    headers, words = LayoutPacker(load_header_layout()), LayoutPacker(write_word_layout(p))
    addresses = LayoutPacker(memory_address_layout(p))
    await bench.begin(tdata=0, tvalid=0, tlast=0, busy=0, taken=0)
    for number in range(60):
        memory = list(Memory)[number % len(Memory)]
        _, depth, beats = memory_shape(p, memory)
        first = int(rng.integers(max(0, depth - 4), depth))
        fields = {
            "memory": int(memory), "all_rows": int(rng.integers(2)), "all_cols": int(rng.integers(2)), "reserved": 0,
            "row": int(rng.integers(p.rows)), "col": int(rng.integers(p.cols)), "word": first,
        }
        busy = rng.random() < 0.15
        head_beats = -(-HEADER_BYTES // p.beat_bytes)
        packet = headers.pack(fields).to_bytes(head_beats * p.beat_bytes, "little")
        packet += bytes(rng.integers(0, 256, 4 * beats * p.beat_bytes, dtype=np.uint8))
        stream = [packet[at : at + p.beat_bytes] for at in range(0, len(packet), p.beat_bytes)]
        place = begun = refused = beyond = 0
        while place < len(stream):
            valid, taken = rng.random() < 0.7, rng.random() < 0.6
            await bench.cycle(
                tvalid=valid, tdata=int.from_bytes(stream[place], "little"), tlast=place == len(stream) - 1,
                taken=taken, busy=busy,
            )
            if not valid:
                continue
            begun += bench.read("begun")
            refused += bench.read("load_while_busy")
            word, beat = divmod(place - head_beats, beats)
            inside = not busy and place >= head_beats and first + word < depth
            site = inside and memory != Memory.SCHEDULE
            beyond += bench.read("load_address")
            assert bench.read("word_valid") == site
            assert bench.read("schedule_write") == (inside and not site)
            assert bench.read("tready") == (taken or not site)
            if site:
                found = words.unpack(bench.read("word"))
                assert found["kind"] == WriteKind.MEMORY.value
                assert found["data"] == int.from_bytes(stream[place], "little")
                target = addresses.unpack(found["address"])
                assert target == {name: fields[name] for name in target.keys() & fields.keys()} | {
                    "beat": beat, "word": first + word
                }
            elif inside:
                assert (bench.read("word_address"), bench.read("word_beat")) == (first + word, beat)
            place += bench.read("tready")
        await bench.cycle(tvalid=0)
        assert not bench.read("loading")
        assert (begun, refused) == ((0, 1) if busy else (1, 0))
        assert bool(beyond) == (not busy and first + 4 > depth)


@cocotb.test()
async def output_stream(dut: Any) -> None:
    """Groups in any order leave in order, once enough are there, whatever the sink does."""
    p = PARAMETERS
    bench = CycleBench(dut)
    rng = np.random.default_rng(12)
    await bench.begin(
        m_axis_tready=0, begin_sequence=0, flush=0, steps=0, parity=0, header=0, group_valid=0, group=0,
        group_parity=0, values=0, skip_step=0,
    )
    for _ in range(20):
        groups, steps, parity = int(rng.integers(1, 7)), int(rng.integers(1, 6)), int(rng.integers(2))
        base, last = int(rng.integers(0, 3)), int(rng.integers(p.rows))
        header = header_word(output_base=base, output_groups=groups - 1, output_last=last, output_start=groups)
        await bench.cycle(begin_sequence=1, steps=steps, parity=parity, header=header, group_valid=0)
        todo = [(step, int(group)) for step in range(steps) for group in rng.permutation(groups)]
        written: dict[tuple[int, int], int] = {}
        received: list[tuple[int, int, int]] = []
        chance = float(rng.choice([0.05, 0.5, 1.0]))
        held: tuple[int, int, int] | None = None
        sent = 0
        while len(received) < steps * groups:
            inputs = {"begin_sequence": 0, "group_valid": 0}
            # The controller lets a step begin when the one two before has been sent.
            if todo and todo[0][0] < sent + 2 and rng.random() < 0.6:
                step, group = todo.pop(0)
                written[step, group] = int.from_bytes(rng.bytes(2 * p.rows), "little")
                inputs |= {"group_valid": 1, "group": base + group, "group_parity": parity ^ (step & 1),
                           "values": written[step, group]}
            ready = rng.random() < chance
            await bench.cycle(inputs, m_axis_tready=ready)
            sent = bench.read("steps_sent")
            valid = bench.read("m_axis_tvalid")
            assert bench.read("idle") != valid
            # What is offered must not change until it is taken.
            assert valid or held is None
            if valid:
                beat = bench.read("m_axis_tdata"), bench.read("m_axis_tkeep"), bench.read("m_axis_tlast")
                assert held in (None, beat)
                held = None if ready else beat
                if ready:
                    received.append(beat)
        full, part = (1 << 2 * p.rows) - 1, (1 << 2 * (last + 1)) - 1
        assert received == [
            (written[step, group], part if group == groups - 1 else full,
             int(step == steps - 1 and group == groups - 1))
            for step in range(steps) for group in range(groups)
        ]
        await bench.cycle(m_axis_tready=0)
        await bench.cycle()
        assert bench.read("idle")
        assert bench.read("steps_sent") == steps
