"""cocotb test of the sequencer of a PMU.

SRNN_GRID names the grid whose parameters the component has.
"""

from __future__ import annotations

import os
from typing import Any

import cocotb
import numpy as np

from hdl.grid.sequencer import Sequencer
from hdl.layouts import operand_tag_layout, phase_layout, token_layout
from rnn_mapper.mapping.images import LayoutPacker
from sim_tests.bench.component_bench import CycleBench, zero_filled
from sim_tests.bench.grids import GRIDS

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]
#: Fields of a configuration that take their largest values in turn.
LARGE = ("units", "gates", "words", "pad", "delay")


@cocotb.test()
async def sequencer(dut: Any) -> None:
    """Every read of random phases, back to back and apart; overrun exactly when a token comes too early."""
    p = PARAMETERS
    component, bench = Sequencer(p), CycleBench(dut)
    rng = np.random.default_rng(5)
    phase, token, tag = (LayoutPacker(layout(p)) for layout in (phase_layout, token_layout, operand_tag_layout))
    await bench.begin(token_valid=0, token=0, configuration=0)
    for early, large in [(False, None)] * 60 + [(True, None)] * 10 + [(False, name) for name in LARGE] * 6:
        # Each counter runs over all of its bits at some time; not all at once, which would take for ever.
        units, gates = (int(rng.integers(1, limit)) for limit in (5, 5))
        if large == "units":
            units, gates = int(rng.choice([p.units, int(rng.integers(1, p.units + 1))])), 1
        if large == "gates":
            gates = int(rng.integers(5, 9))
        any_step, fresh_step = (
            (
                int(rng.integers(1, p.vector_words + 1) if large == "words" else rng.integers(1, 4)),
                int(rng.integers(256) if large == "pad" else rng.integers(4)),
                int(rng.choice([255, int(rng.integers(256))]) if large == "delay" else rng.choice([0, 0, 1, 5])),
            ) for _ in range(2)
        )
        parity, fresh = int(rng.integers(2)), int(rng.integers(2))
        words, pad, delay = fresh_step if fresh else any_step
        config = {
            "units": units, "gates": gates - 1,
            "words": any_step[0] - 1, "pad": any_step[1], "delay": any_step[2],
            "fresh_words": fresh_step[0] - 1, "fresh_pad": fresh_step[1], "fresh_delay": fresh_step[2],
            "weight_base": int(rng.integers(0, p.weight_depth)),
            "vector_base": int(rng.integers(0, p.vector_words)), "previous": int(rng.integers(2)),
            "entry_base": int(rng.integers(0, p.gate_entries)), "head": int(rng.integers(2)),
            "tail": int(rng.integers(2)),
        }
        occupied = delay + units * (gates * words + pad) - pad
        again = int(rng.integers(1, occupied)) if early and occupied > 1 else occupied
        overrun = 0
        for cycle in range(occupied + component.latency):
            valid = cycle in (0, again) and (cycle == 0 or (early and again < occupied))
            await bench.cycle(
                token_valid=valid, token=zero_filled(token, parity=parity, fresh=fresh),
                configuration=phase.pack(config),
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
                assert bench.read("weight_address") == (config["weight_base"] + entry * words + word) % p.weight_depth
                assert bench.read("vector_address") == (config["vector_base"] + word) % p.vector_words | half
                assert tag.unpack(bench.read("tag")) == {
                    "valid": 1, "first": word == 0, "last": word == words - 1, "zero": fresh & config["previous"],
                    "fresh": fresh, "parity": parity, "head": config["head"], "tail": config["tail"],
                    "entry": (config["entry_base"] + entry) % p.gate_entries,
                }
        # The second token has the same delay: it may come before the reads end.
        wrong = again < occupied and (again <= delay or again + delay < occupied)
        assert bool(overrun) == wrong, f"{config}: a token {again} cycles after, {occupied} occupied"
        if again < occupied:
            dut.rst.value = 1
            await bench.cycle(token_valid=0)
            dut.rst.value = 0
            await bench.cycle(token_valid=0)
