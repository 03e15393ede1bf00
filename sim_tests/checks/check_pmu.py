"""cocotb test of the PMU, cycle by cycle; SRNN_GRID names the grid whose parameters it has."""

from __future__ import annotations

import os
from typing import Any

import cocotb
import numpy as np

from hdl.grid.pmu import SITE_MEMORIES, Pmu
from hdl.layouts import (
    Memory,
    WriteKind,
    memory_address_layout,
    operand_tag_layout,
    phase_layout,
    token_layout,
    vector_address_layout,
    write_bus_layout,
    write_word_layout,
)
from rnn_mapper.mapping.images import LayoutPacker
from sim_tests.bench.component_bench import CycleBench
from sim_tests.bench.grids import GRIDS
from sim_tests.bench.pmu_tokens import PmuTokens, random_phase
from sim_tests.bench.stimulus import NoiseWords

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]
WORDS, PHASES, TOKENS, MEMORIES, VECTORS, TAGS, BUSES = (
    LayoutPacker(layout(PARAMETERS)) for layout in (
        write_word_layout, phase_layout, token_layout, memory_address_layout, vector_address_layout,
        operand_tag_layout, write_bus_layout,
    )
)


def random_write(rng: np.random.Generator, row: int, col: int) -> tuple[int, int, dict[str, int]]:
    """A word of the write stream other than a token, the memories that it writes, and the word on their bus."""
    kind = WriteKind(int(rng.integers(3)))
    word = WORDS.unpack(NoiseWords(rng, WORDS).word(kind=kind.value))
    enable, beat, place = 0, 0, 0
    if kind == WriteKind.VECTOR:
        address = VECTORS.unpack(word["address"] & ((1 << VECTORS.layout.size) - 1))
        enable, beat = 1 << SITE_MEMORIES.index(Memory.VECTOR), address["beat"]
        place = address["offset"] + address["parity"] * (1 << PARAMETERS.vector_offset_bits)
    elif kind == WriteKind.MEMORY:
        target = {"row": row, "col": col} if rng.random() < 0.3 else {}
        word["address"] = NoiseWords(rng, MEMORIES).word(**target)
        address = MEMORIES.unpack(word["address"])
        here = (address["all_rows"] or address["row"] == row) and (address["all_cols"] or address["col"] == col)
        if here and address["memory"] in list(SITE_MEMORIES):
            enable = 1 << SITE_MEMORIES.index(Memory(address["memory"]))
        beat, place = address["beat"], address["word"]
    return WORDS.pack(word), enable, {"beat": beat, "word": place, "data": word["data"]}


@cocotb.test()
async def pmu(dut: Any) -> None:
    """Tokens back to back, apart and too early, between writes of every memory of this site and of others."""
    p = PARAMETERS
    component, bench, rng = Pmu(p), CycleBench(dut), np.random.default_rng(23)
    await bench.begin(row=0, col=0, write_in=0, configuration=0)
    reported = 0
    for run in range(40):
        row, col = int(rng.integers(p.rows)), int(rng.integers(p.cols))
        phases = [random_phase(p, rng) for _ in range(p.phases)]
        tokens = PmuTokens(component, rng, phases)
        for number in range(8):
            tokens.add(early=number == 7 and run % 4 != 0)
        last = max(tokens.reads) if tokens.overrun is None else tokens.overrun
        # In the cycle of `write_in`: the word, and the write that follows from it.
        words: dict[int, tuple[int, int, dict[str, int]]] = {-1: (0, 0, {}), -2: (0, 0, {})}
        configuration = 0
        for cycle in range(last + 1):
            words[cycle] = random_write(rng, row, col)
            if token := tokens.tokens.get(cycle + component.hop_latency):
                word = {"kind": WriteKind.TOKEN.value, "address": TOKENS.pack(token), "data": int(rng.integers(256))}
                words[cycle] = WORDS.pack(word), 0, {}
            await bench.cycle(row=row, col=col, write_in=words[cycle][0], configuration=configuration)
            if cycle >= component.hop_latency:
                assert bench.read("write_out") == words[cycle - component.hop_latency][0]
            _, enable, bus = words[cycle - component.hop_latency - 1]
            assert bench.read("write_enable") == enable, f"run {run} cycle {cycle}"
            assert not enable or BUSES.unpack(bench.read("write_bus")) == bus
            assert bench.read("overrun") == (cycle == tokens.overrun), f"run {run} cycle {cycle}"
            if tokens.overrun is None:
                reads = tokens.reads.get(cycle + 1 + p.memory_registers)
                assert bench.read("read") == (reads is not None), f"run {run} cycle {cycle}"
                if reads is not None:
                    assert (bench.read("weight_address"), bench.read("vector_address")) == reads[:2]
                operands = tokens.reads.get(cycle)
                tag = TAGS.unpack(bench.read("tag"))
                assert tag == operands[2] if operands is not None else not tag["valid"], f"run {run} cycle {cycle}"
            # The memory of configurations keeps its word until it is read again.
            if bench.read("phase_enable"):
                configuration = PHASES.pack(phases[bench.read("phase_address")])
        reported += tokens.overrun is not None
        dut.rst.value = 1
        await bench.cycle(write_in=0)
        await bench.cycle()
        dut.rst.value = 0
        await bench.cycle()
    assert reported > 10
