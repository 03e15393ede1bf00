"""cocotb tests of distributor and collector; run one by name on its own build.

SRNN_GRID names the grid whose parameters the component has.
"""

from __future__ import annotations

import functools
import operator
import os
from typing import Any

import cocotb
import numpy as np

from hdl.grid.collector import Collector
from hdl.grid.distributor import Distributor
from hdl.layouts import LinkError, WriteKind, result_layout, unit_entry_layout, vector_address_layout, write_word_layout
from rnn_mapper.mapping.images import LayoutPacker
from sim_tests.bench.component_bench import CycleBench, zero_filled
from sim_tests.bench.grids import GRIDS
from sim_tests.bench.stimulus import NoiseWords

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]


@cocotb.test()
async def distributor(dut: Any) -> None:
    """Every word reaches all row heads in the same cycle; after a reset they are idle."""
    p = PARAMETERS
    component = Distributor(p)
    bench = CycleBench(dut, component)
    rng = np.random.default_rng(7)
    packer = LayoutPacker(write_word_layout(p))
    noise = NoiseWords(rng, packer)
    await bench.begin(source=0)
    words: list[int] = []
    for cycle in range(300):
        words.append(noise.word(kind=int(rng.integers(4))))
        await bench.cycle(source=words[-1])
        if cycle >= component.latency:
            heads = {bench.read(f"head_{row}") for row in range(p.rows)}
            assert heads == {words[cycle - component.latency]}
    if not bench.clocked:
        return
    # A reset in the middle: what is under way is forgotten, in every register of the tree.
    for pause in range(component.latency + 1):
        dut.rst.value = 1
        await bench.cycle(source=noise.word(kind=WriteKind.TOKEN.value))
        dut.rst.value = 0
        for cycle in range(component.latency + 1):
            await bench.cycle(source=noise.word(kind=WriteKind.IDLE.value))
            kinds = {packer.unpack(bench.read(f"head_{row}"))["kind"] for row in range(p.rows)}
            assert kinds == {WriteKind.IDLE.value}, f"{cycle} cycles after a reset"
        for _ in range(pause + 1):
            await bench.cycle(source=noise.word(kind=WriteKind.TOKEN.value))


@cocotb.test()
async def collector(dut: Any) -> None:
    """Narrowing with every shift and values at the rails, beats and their addresses, completion, both errors."""
    p = PARAMETERS
    component = Collector(p)
    bench = CycleBench(dut, component)
    rng = np.random.default_rng(8)
    results, units = LayoutPacker(result_layout(p)), LayoutPacker(unit_entry_layout(p))
    addresses = LayoutPacker(vector_address_layout(p))
    await bench.begin(**{f"result_{row}": 0 for row in range(p.rows)})
    #: The operands of the beat of the cycle before.
    due: bytes | None = None
    for number in range(300):
        near, far = rng.integers(-200, 200, p.rows), rng.integers(-32768, 32768, p.rows)
        values = [int((-32768, 32767, near[row], far[row])[int(rng.integers(4))]) for row in range(p.rows)]
        unit = {
            "group": int(rng.integers(p.vector_groups)), "phase": int(rng.integers(p.phases)),
            "final": int(rng.integers(2)), "to_vector": int(rng.random() < 0.8), "to_host": int(rng.integers(2)),
        } | ({"feedback_shift": number % 9} if p.operand_bits < 16 else {})
        parity, odd = int(rng.integers(2)), p.rows > 1 and number % 10 == 9
        for row, value in enumerate(values):
            valid = int(not (odd and row == p.rows - 1))
            word = zero_filled(results, valid=valid, value=value & 0xFFFF, parity=parity, unit=units.pack(unit))
            getattr(dut, f"result_{row}").value = word
        narrow = b"".join(
            component.model(value, unit.get("feedback_shift", 0)).to_bytes(p.operand_bits // 8, "little", signed=True)
            for value in values
        )
        beats = p.group_beats if unit["to_vector"] else 1
        overlap = beats > 1 and number % 7 == 6
        for beat in range(beats):
            await bench.cycle()
            if due is not None:
                assert bench.read("beat_data") == int.from_bytes(due, "little")
            due = narrow[beat * p.beat_bytes : (beat + 1) * p.beat_bytes] if unit["to_vector"] else None
            assert bench.read("beat_valid") == unit["to_vector"]
            assert bench.read("row_mismatch") == (odd if beat == 0 or overlap else 0)
            assert bench.read("overlap") == (beat > 0 and overlap)
            if unit["to_vector"]:
                offset, part = divmod(unit["group"] * p.group_beats + beat, p.word_beats)
                found = addresses.unpack(bench.read("beat_address"))
                assert found == {"beat": part, "offset": offset, "parity": parity}
            assert bench.read("complete") == (unit["final"] and beat == beats - 1)
            if unit["final"] and beat == beats - 1:
                assert bench.read("complete_phase") == unit["phase"]
            if beat == 0:
                assert bench.read("output_valid") == unit["to_host"]
                assert (bench.read("output_group"), bench.read("output_parity")) == (unit["group"], parity)
                assert bench.read("output_values") == sum((v & 0xFFFF) << 16 * r for r, v in enumerate(values))
                if not overlap:
                    for row in range(p.rows):
                        getattr(dut, f"result_{row}").value = 0
        for row in range(p.rows):
            getattr(dut, f"result_{row}").value = 0
        await bench.cycle()
        assert not bench.read("beat_valid")
        if due is not None:
            assert bench.read("beat_data") == int.from_bytes(due, "little")
        due = None
    # Errors of any row are reported, each by its own bit.
    for _ in range(60):
        errors = [int(first & second) for first, second in rng.integers(1 << len(LinkError), size=(p.rows, 2))]
        await bench.cycle({f"result_{row}": zero_filled(results, errors=flags) for row, flags in enumerate(errors)})
        assert bench.read("errors") == functools.reduce(operator.or_, errors)
