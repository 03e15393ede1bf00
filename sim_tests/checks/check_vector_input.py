"""cocotb test of the input of vectors, with random stalls.

SRNN_GRID names the grid whose parameters the component has.
"""

from __future__ import annotations

import os
from typing import Any

import cocotb
import numpy as np

from hdl.layouts import WriteKind, schedule_header_layout, vector_address_layout, write_word_layout
from rnn_mapper.mapping.images import LayoutPacker
from sim_tests.bench.component_bench import CycleBench, zero_filled
from sim_tests.bench.grids import GRIDS

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]


@cocotb.test()
async def vector_input(dut: Any) -> None:
    """Beats go unchanged to alternating halves, at most two steps ahead, whatever stalls.

    Some packets end too early, some too late, and some sequences are flushed at any beat.
    """
    p = PARAMETERS
    bench = CycleBench(dut)
    rng = np.random.default_rng(10)
    headers = LayoutPacker(schedule_header_layout(p))
    words, addresses = LayoutPacker(write_word_layout(p)), LayoutPacker(vector_address_layout(p))
    await bench.begin(
        tdata=0, tvalid=0, tlast=0, begin_sequence=0, running=0, flush=0, steps=0, parity=0, header=0, free=0,
        consume=0, taken=0,
    )
    flushed = early = 0
    for number in range(160):
        if number % 8 == 7:
            # A sequence without input: packets that are offered early wait for the next one.
            header = zero_filled(headers, input_beats=0)
            await bench.cycle(
                begin_sequence=1, steps=int(rng.integers(1, 4)), parity=0, header=header, tvalid=1, running=0, flush=0
            )
            for _ in range(12):
                await bench.cycle(begin_sequence=0, running=1, tvalid=1, tlast=1, taken=1, consume=0, free=0)
                assert not any(map(bench.read, ("tready", "word_valid", "framing_early", "framing_late", "in_packet")))
            await bench.cycle(running=0, tvalid=0)
        beats, steps, parity = int(rng.integers(1, 6)), int(rng.integers(1, 7)), int(rng.integers(2))
        offset = int(rng.integers(0, 4))
        if number % 8 == 3:
            # So many that every bit of a counter matters; they are flushed soon after its lower bits would be over.
            if rng.random() < 0.6:
                steps += 1 << int(rng.integers(3, 31))
            else:
                beats += 1 << int(rng.integers(3, 16))
        total = steps * beats
        header = zero_filled(headers, input_beats=beats, input_offset=offset)
        await bench.cycle(begin_sequence=1, steps=steps, parity=parity, header=header, tvalid=0, running=0)
        # The beat that ends the packet, and how many are taken before the sequence is flushed.
        ends = int(rng.integers(total)) if number % 4 == 1 else total - 1 if number % 4 != 2 else total + 3
        stop = int(rng.integers(total)) if number % 4 == 3 else min(ends + 1, total)
        if total > 1000:
            stop = (steps % 8 + 2) * beats if beats < 8 else beats % 8 + 3
        sent = consumed = freed = 0
        chance = float(rng.choice([0.1, 0.5, 1.0]))
        valid, data = False, 0
        while sent < stop or (stop == total and freed < steps):
            if not valid:
                valid, data = sent < total and rng.random() < chance, int.from_bytes(rng.bytes(p.beat_bytes), "little")
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
                    "beat": beat % p.word_beats, "offset": (offset + beat // p.word_beats) % p.vector_words,
                    "parity": parity ^ (step & 1),
                }
            if accepted:
                sent, valid = sent + 1, False
            consumed, freed = consumed + consume, freed + free
        if sent == ends + 1 < total:
            # Nothing is taken after an early end, while the sequence is being aborted.
            for _ in range(2):
                await bench.cycle(tvalid=1, tlast=0, taken=1, consume=0, free=0)
                assert not any(map(bench.read, ("tready", "word_valid", "framing_early", "in_packet")))
                early += 1
        # The rest of a packet is dropped; the first beat of the next packet must wait for the next sequence.
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
    assert early > 20
