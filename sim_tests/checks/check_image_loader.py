"""cocotb test of the image loader, with random stalls.

SRNN_GRID names the grid whose parameters the component has.
"""

from __future__ import annotations

import os
from typing import Any

import cocotb
import numpy as np

from hdl.grid.image_loader import HEADER_BYTES, load_header_layout
from hdl.layouts import Memory, WriteKind, memory_address_layout, memory_shape, write_word_layout
from rnn_mapper.mapping.images import LayoutPacker
from sim_tests.bench.component_bench import CycleBench
from sim_tests.bench.grids import GRIDS

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]


@cocotb.test()
async def image_loader(dut: Any) -> None:
    """Words of every memory, beat by beat under stalls, from a word in the middle to beyond the end.

    Some packets arrive while the grid is busy, name a site or memory that does not exist, or end in a header or word.
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
        # A packet may end inside a word; the next begins with a whole word all the same.
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
        # A packet that ends in its header is rejected for that, whatever else is wrong.
        assert begun == good
        assert refused == (busy and len(stream) > 1)
        data = range(len(stream) - head_beats)
        assert beyond == (sum(first + beat // beats >= depth for beat in data) if good else refused == 0)
