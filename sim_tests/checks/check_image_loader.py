"""cocotb test of the image loader, cycle by cycle; SRNN_GRID names the grid whose parameters it has."""

from __future__ import annotations

import os
from typing import Any

import cocotb
import numpy as np

from hdl.layouts import Memory, WriteKind, memory_address_layout, memory_shape, write_word_layout
from rnn_mapper.mapping.images import LayoutPacker
from rnn_mapper.mapping.packets import load_header
from sim_tests.bench.component_bench import CycleBench
from sim_tests.bench.grids import GRIDS
from sim_tests.bench.loader_model import EVENTS, LoaderModel

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]
PACKETS = 700


def random_packet(rng: np.random.Generator, model: LoaderModel, number: int) -> list[int]:
    """The beats of a packet: good, or wrong in its header, its check or its length.

    The first packets have one wrong bit each, so that every bit of the header is wrong once; some others have as many
    words as a memory has, or nearly.
    """
    p = PARAMETERS
    memory = Memory(int(rng.integers(len(Memory))))
    _, depth, beats = memory_shape(p, memory)
    words = int(rng.integers(1, 5))
    if number % 100 == 99:
        # The deepest memory, except those with many beats a word.
        memory = max(Memory, key=lambda kind: memory_shape(p, kind)[1] / memory_shape(p, kind)[2])
        _, depth, beats = memory_shape(p, memory)
        words = depth - int(rng.integers(4))
    fields = {
        "memory": int(memory), "all_rows": int(rng.integers(2)), "all_cols": int(rng.integers(2)), "reserved": 0,
        "row": int(rng.integers(p.rows)), "col": int(rng.integers(p.cols)), "words": words,
        "word": [0, max(0, depth - words), int(rng.integers(max(1, depth - words)))][int(rng.integers(3))],
    }
    wrong: list[dict[str, int]] = [
        {"memory": 10}, {"memory": 255}, {"row": p.rows, "all_rows": 0}, {"col": p.cols, "all_cols": 0}, {"words": 0},
        {"reserved": int(rng.integers(1, 64))}, {"word": depth}, {"word": depth - words + 1}, {"word": 0xFFFFFFFF},
        {"words": 0xFFFFFFFF}, {"word": 0xFFFFFFFF, "words": 2}, {"words": depth + 1, "word": 0}, {"word": 1 << 31},
    ]
    # Who names all rows or columns may name any.
    for name, bits in (("row", 8), ("col", 8)):
        if fields[f"all_{name}s"] and rng.random() < 0.5:
            fields[name] = int(rng.integers(1 << bits))
    if rng.random() < 0.25:
        fields |= wrong[int(rng.integers(len(wrong)))]
    packet = bytearray(load_header(fields))
    if number < 8 * len(packet):
        packet[number // 8] ^= 1 << number % 8
    elif rng.random() < 0.1:
        packet[int(rng.integers(len(packet)))] ^= 1 << int(rng.integers(8))
    packet = packet.ljust(model.head_beats * p.beat_bytes, b"\xA5") + rng.bytes(words * beats * p.beat_bytes)
    data = [
        int.from_bytes(packet[at : at + p.beat_bytes], "little") for at in range(0, len(packet), p.beat_bytes)
    ]
    if rng.random() < 0.2:
        return data[: int(rng.integers(1, len(data) + 1))]
    if rng.random() < 0.1:
        return data + [int.from_bytes(rng.bytes(p.beat_bytes), "little")] * int(rng.integers(1, 4))
    return data


@cocotb.test()
async def image_loader(dut: Any) -> None:
    """Packets for every memory, under stalls: what is written, and which reason is given for what is not."""
    bench, model, rng = CycleBench(dut), LoaderModel(PARAMETERS), np.random.default_rng(11)
    words, addresses = LayoutPacker(write_word_layout(PARAMETERS)), LayoutPacker(memory_address_layout(PARAMETERS))
    await bench.begin(tdata=0, tvalid=0, tlast=0, busy=0, abort=0, model_loaded=0, taken=0)
    busy = model_loaded = 0
    for number in range(PACKETS):
        stream = random_packet(rng, model, number)
        no_abort, place = rng.random() < 0.7, 0
        while place < len(stream):
            if not model.header and model.state in ("header", "drop"):
                busy = int(rng.random() < 0.15)
            model_loaded = int(rng.random() < 0.8)
            inputs = {
                "tvalid": int(rng.random() < 0.7), "tdata": stream[place], "tlast": int(place == len(stream) - 1),
                "taken": int(rng.random() < 0.6), "busy": busy, "model_loaded": model_loaded,
                "abort": int(not no_abort and not busy and rng.random() < 0.1),
            }
            await bench.cycle(inputs)
            fields = model.fields
            wanted = model.cycle(inputs)
            for name in (*EVENTS, "tready", "loading", "word_valid", "schedule_write"):
                assert bench.read(name) == wanted[name], f"{name} is not {wanted[name]} in {model.state}"
            if wanted["word_valid"]:
                found = words.unpack(bench.read("word"))
                assert (found["kind"], found["data"]) == (WriteKind.MEMORY.value, stream[place])
                target = addresses.unpack(found["address"])
                asked = fields | {"word": wanted["at_word"], "beat": wanted["at_beat"]}
                # With all rows or columns, the number of one is ignored.
                ignored = {name for name in ("row", "col") if fields[f"all_{name}s"]}
                assert {name: target[name] for name in target.keys() - ignored} == {
                    name: asked[name] for name in target.keys() - ignored
                }
            if wanted["schedule_write"]:
                assert (bench.read("word_address"), bench.read("word_beat")) == (wanted["at_word"], wanted["at_beat"])
            place += inputs["tvalid"] and wanted["tready"]
    wholes = ("begun", "begun_state", "finished", "finished_state")
    for name in (*EVENTS, "load_framing by abort", "failed by abort", "failed for a tlast that is missing"):
        assert model.seen[name] > (20 if name in wholes else 0), f"seldom seen: {name}"
    if max(memory_shape(PARAMETERS, memory)[2] for memory in Memory) > 1:
        assert model.seen["failed inside a word"] > 3
