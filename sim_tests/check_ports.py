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
    """Beats go to alternating halves, at most two steps ahead, whatever stalls; the words are those that were sent.

    Some packets end too early, some too late, and some sequences are flushed at any beat.
    """
    p = PARAMETERS
    bench = CycleBench(dut)
    rng = np.random.default_rng(10)
    words, addresses = LayoutPacker(write_word_layout(p)), LayoutPacker(vector_address_layout(p))
    await bench.begin(
        tdata=0, tvalid=0, tlast=0, begin_sequence=0, running=0, flush=0, steps=0, parity=0, header=0, free=0,
        consume=0, taken=0,
    )
    flushed = 0
    for number in range(80):
        beats, steps, parity = int(rng.integers(1, 6)), int(rng.integers(1, 7)), int(rng.integers(2))
        offset, total = int(rng.integers(0, 4)), steps * beats
        header = header_word(input_beats=beats, input_offset=offset)
        await bench.cycle(begin_sequence=1, steps=steps, parity=parity, header=header, tvalid=0, running=0)
        # The beat that ends the packet, and how many are taken before the sequence is flushed.
        ends = int(rng.integers(total)) if number % 4 == 1 else total - 1 if number % 4 != 2 else total + 3
        stop = int(rng.integers(total)) if number % 4 == 3 else min(ends + 1, total)
        sent = consumed = freed = 0
        chance = float(rng.choice([0.1, 0.5, 1.0]))
        valid, data = False, 0
        while sent < stop or (stop == total and freed < steps):
            if not valid:
                valid, data = sent < total and rng.random() < chance, int(rng.integers(256))
            taken = rng.random() < 0.6
            loaded = sent // beats
            consume = consumed < loaded and rng.random() < 0.2
            free = freed < consumed and rng.random() < 0.2
            await bench.cycle(
                begin_sequence=0, running=1, tvalid=valid, tdata=data, tlast=valid and sent == ends, taken=taken,
                consume=consume, free=free,
            )
            assert bench.read("available") == (consumed < loaded)
            room = sent // beats < freed + 2 and sent < total
            late = sent == total <= ends
            assert bench.read("tready") == (late or (room and taken))
            assert bench.read("word_valid") == (room and valid)
            accepted = room and valid and taken
            assert bench.read("framing_early") == (accepted and sent == ends < total - 1)
            assert bench.read("framing_late") == (accepted and sent == total - 1 < ends)
            if room and valid:
                word = words.unpack(bench.read("word"))
                step, beat = divmod(sent, beats)
                assert (word["kind"], word["data"]) == (WriteKind.VECTOR.value, data)
                assert addresses.unpack(word["address"]) == {
                    "beat": beat % p.word_beats, "offset": offset + beat // p.word_beats,
                    "parity": parity ^ (step & 1),
                }
            if accepted:
                sent, valid = sent + 1, False
            consumed, freed = consumed + consume, freed + free
        # What is left of a packet is dropped; the first beat of the next must wait for the next sequence.
        under_way = 0 < sent <= ends
        flushed += under_way
        flush = stop < total
        for _ in range(6):
            await bench.cycle(running=0, flush=flush, tvalid=0, consume=0, free=0)
            assert bench.read("in_packet") == under_way
        while under_way:
            last = rng.random() < 0.3
            await bench.cycle(tvalid=1, tlast=last, taken=0)
            assert bench.read("tready")
            under_way = not last
        for _ in range(4):
            await bench.cycle(tvalid=1, tlast=0, taken=1)
            assert not bench.read("tready")
            assert not bench.read("word_valid")
            assert not bench.read("in_packet")
        await bench.cycle(flush=0, tvalid=1)
        assert not bench.read("tready")
    assert flushed > 20


@cocotb.test()
async def image_loader(dut: Any) -> None:
    """Words of every memory, beat by beat under stalls, from a word in the middle and beyond the end.

    Packets also come while the grid is busy, name sites and memories that do not exist, and end in a header or a word.
    """
    p = PARAMETERS
    bench = CycleBench(dut)
    rng = np.random.default_rng(11)
    headers, words = LayoutPacker(load_header_layout()), LayoutPacker(write_word_layout(p))
    addresses = LayoutPacker(memory_address_layout(p))
    await bench.begin(tdata=0, tvalid=0, tlast=0, busy=0, taken=0)
    for number in range(120):
        memory = list(Memory)[number % len(Memory)]
        _, depth, beats = memory_shape(p, memory)
        first = int(rng.integers(max(0, depth - 4), depth))
        fields = {
            "memory": int(memory), "all_rows": int(rng.integers(2)), "all_cols": int(rng.integers(2)), "reserved": 0,
            "row": int(rng.integers(p.rows)), "col": int(rng.integers(p.cols)), "word": first,
        }
        busy = rng.random() < 0.15
        wrong = number % 5 == 4
        if wrong:
            name, value = [("memory", 10), ("memory", 255), ("row", p.rows), ("col", p.cols)][int(rng.integers(4))]
            fields |= {"all_rows": 0, "all_cols": 0, name: value}
        head_beats = -(-HEADER_BYTES // p.beat_bytes)
        packet = headers.pack(fields).to_bytes(head_beats * p.beat_bytes, "little")
        # A packet may end inside a word; the next begins with whole words all the same.
        packet += bytes(rng.integers(0, 256, int(rng.integers(1, 4 * beats + 1)) * p.beat_bytes, dtype=np.uint8))
        stream = [packet[at : at + p.beat_bytes] for at in range(0, len(packet), p.beat_bytes)]
        if number % 7 == 6:
            stream = stream[: int(rng.integers(1, head_beats + 1))]
        good = not busy and not wrong and len(stream) > head_beats
        place = begun = refused = beyond = 0
        while place < len(stream):
            valid, taken = rng.random() < 0.7, rng.random() < 0.6
            await bench.cycle(
                tvalid=valid, tdata=int.from_bytes(stream[place], "little"), tlast=place == len(stream) - 1,
                taken=taken, busy=busy,
            )
            assert bench.read("loading") == (place > 0)
            if not valid:
                continue
            begun += bench.read("begun")
            assert bench.read("begun_state") == (bench.read("begun") and memory in (Memory.STATE, Memory.VECTOR))
            refused += bench.read("load_while_busy")
            word, beat = divmod(place - head_beats, beats)
            inside = good and place >= head_beats and first + word < depth
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
        # A packet that ends in its header is refused for that, whatever else is wrong.
        assert begun == good
        assert refused == (busy and len(stream) > 1)
        data = range(len(stream) - head_beats)
        assert beyond == (sum(first + beat // beats >= depth for beat in data) if good else refused == 0)


@cocotb.test()
async def output_stream(dut: Any) -> None:
    """Groups in any order leave in order, once enough are there, whatever the sink does; steps without results count.

    Some sequences are flushed at any time: the beat that is offered is still sent, and nothing of it comes later.
    """
    p = PARAMETERS
    bench = CycleBench(dut)
    rng = np.random.default_rng(12)
    await bench.begin(
        m_axis_tready=0, begin_sequence=0, flush=0, steps=0, parity=0, header=0, group_valid=0, group=0,
        group_parity=0, values=0, skip_step=0,
    )
    for number in range(40):
        groups, steps, parity = int(rng.integers(1, 7)), int(rng.integers(1, 6)), int(rng.integers(2))
        base, last = int(rng.integers(0, 3)), int(rng.integers(p.rows))
        header = header_word(output_base=base, output_groups=groups - 1, output_last=last, output_start=groups)
        await bench.cycle(begin_sequence=1, flush=1, steps=steps, parity=parity, header=header, group_valid=0)
        if number % 5 == 4:
            # The phase that makes the output is off.
            for sent in range(steps):
                await bench.cycle(begin_sequence=0, flush=0, skip_step=1)
                await bench.cycle(skip_step=0)
                assert (bench.read("steps_sent"), bench.read("idle")) == (sent + 1, 1)
            continue
        todo = [(step, int(group)) for step in range(steps) for group in rng.permutation(groups)]
        written: dict[tuple[int, int], int] = {}
        received: list[tuple[int, int, int]] = []
        chance = float(rng.choice([0.05, 0.5, 1.0]))
        held: tuple[int, int, int] | None = None
        sent = 0
        ends = int(rng.integers(1, steps * groups + 1)) if number % 3 == 2 else steps * groups
        while len(received) < ends:
            inputs = {"begin_sequence": 0, "flush": 0, "group_valid": 0}
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
        await bench.cycle(flush=1, group_valid=0, m_axis_tready=0)
        offered = bench.read("m_axis_tvalid")
        for _ in range(4):
            await bench.cycle()
            assert bench.read("m_axis_tvalid") == offered
        for cycle in range(4):
            await bench.cycle(m_axis_tready=1)
            assert bench.read("m_axis_tvalid") == (offered and cycle == 0)
        full, part = (1 << 2 * p.rows) - 1, (1 << 2 * (last + 1)) - 1
        places = [(step, group) for step in range(steps) for group in range(groups)]
        assert received == [
            (written[place], part if place[1] == groups - 1 else full, int(place == (steps - 1, groups - 1)))
            for place in places[:ends]
        ]
        assert bench.read("idle")
        if ends == steps * groups:
            assert bench.read("steps_sent") == steps
