"""cocotb tests of the arithmetic components against their integer models; run one by name on its own build.

SRNN_GRID names the grid whose parameters the component has.
"""

from __future__ import annotations

import os
from typing import Any

import cocotb
import numpy as np

from hdl.grid.activation import SUM_BITS, ActivationUnit
from hdl.grid.dot_product import DotProduct
from hdl.grid.fixed_point import saturate_int
from hdl.grid.multiply_accumulate import MultiplyAccumulate
from hdl.grid.partial_chain import PartialChain
from hdl.grid.requantiser import Requantiser
from hdl.layouts import Activation, Keep, table_entry_layout
from hdl.numerics import MULTIPLIER_BITS, Arithmetic
from rnn_mapper.fixed_point import Codes, activation_sigmoid, activation_tanh, requantise, saturate, sigmoid_table
from rnn_mapper.mapping.images import LayoutPacker, packed_words
from sim_tests.bench.component_bench import CycleBench, ReadPort
from sim_tests.bench.grids import GRIDS
from sim_tests.bench.stimulus import corner_values, random_codes

PARAMETERS = GRIDS[os.environ["SRNN_GRID"]]


@cocotb.test()
async def dot_product(dut: Any) -> None:
    """Sums of every length, from a value or from nothing, with `zero` at random, up to wrapping."""
    component, bench = DotProduct(PARAMETERS), CycleBench(dut)
    rng, lanes = np.random.default_rng(1), PARAMETERS.lanes
    await bench.begin(weights=0, vector=0, keep=0, start=0, zero=0, start_value=0)
    initials = corner_values(rng, PARAMETERS.accumulator_bits, 400)
    steps: list[tuple[Codes, Codes, bool, bool, bool, int]] = []
    for initial in initials:
        ends = rng.random() < 0.3
        weights, vector = (
            random_codes(rng, arithmetic, (lanes,), ends) for arithmetic in (Arithmetic(), PARAMETERS.arithmetic)
        )
        keep = rng.random() < 0.7 and bool(steps)
        steps.append((weights, vector, keep, not keep and rng.random() < 0.7, rng.random() < 0.1, initial))
    total, expected = 0, []
    for weights, vector, keep, start, zero, initial in steps:
        before = total if keep else initial if start else 0
        total = component.model([0] * lanes if zero else weights.tolist(), vector.tolist(), before)
        expected.append(total)
    depth = component.accumulate_latency
    for cycle in range(len(steps) + component.latency + 1):
        inputs: dict[str, int] = {}
        if cycle < len(steps):
            weights, vector = steps[cycle][:2]
            inputs |= {"weights": packed_words(weights[None])[0], "vector": packed_words(vector[None])[0]}
        if 0 <= cycle - depth < len(steps):
            _, _, keep, start, zero, initial = steps[cycle - depth]
            inputs |= {"keep": keep, "start": start, "zero": zero, "start_value": initial}
        await bench.cycle(inputs)
        if 0 <= cycle - component.latency < len(steps):
            assert bench.read("accumulator", signed=True) == expected[cycle - component.latency]


@cocotb.test()
async def partial_chain(dut: Any) -> None:
    """Corner values of both sums, with `follows` at random, up to wrapping."""
    bench, rng, bits = CycleBench(dut), np.random.default_rng(3), PARAMETERS.accumulator_bits
    await bench.begin(follows=0, total=0, partial_in=0)
    cases = list(zip(
        corner_values(rng, bits, 2000), rng.permutation(corner_values(rng, bits, 2000)), rng.random(2000) < 0.3,
        strict=True,
    ))
    expected: list[int] = []
    for cycle in range(len(cases) + PartialChain.latency):
        if cycle < len(cases):
            total, partial, follows = (int(value) for value in cases[cycle])
            wrapped = (total + (partial if follows else 0) + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))
            expected.append(wrapped)
            await bench.cycle(total=total, partial_in=partial, follows=follows)
        else:
            await bench.cycle()
        if cycle >= PartialChain.latency:
            assert bench.read("partial_out", signed=True) == expected[cycle - PartialChain.latency]


@cocotb.test()
async def requantiser(dut: Any) -> None:
    """Every shift with corner values of sum and multiplier; class, reference and hardware agree."""
    component, bench = Requantiser(PARAMETERS), CycleBench(dut)
    rng = np.random.default_rng(2)
    await bench.begin(total=0, shift=0, multiplier=0)
    totals = corner_values(rng, PARAMETERS.accumulator_bits, 3200)
    multipliers = rng.integers(0, 1 << MULTIPLIER_BITS, len(totals))
    multipliers[::4] = (1 << MULTIPLIER_BITS) - 1
    multipliers[::41] = 0
    cases = [(total, index % 32, int(multipliers[index])) for index, total in enumerate(totals)]
    # Limited sums whose products are not limited again: every bit of the limits is seen.
    half = 1 << (PARAMETERS.accumulator_bits - 1)
    cases += [(total, 0, multiplier) for multiplier in range(1, 512, 3) for total in (half - 1, -half)]
    results: list[int] = []
    for cycle in range(len(cases) + component.latency):
        total, shift, _ = cases[min(cycle, len(cases) - 1)]
        multiplier = cases[max(0, min(cycle - 1, len(cases) - 1))][2]
        await bench.cycle(total=total, shift=shift, multiplier=multiplier)
        if cycle >= component.latency:
            results.append(bench.read("part", signed=True))
    assert {-32768, 32767} <= set(results)
    for (total, shift, multiplier), part in zip(cases, results, strict=True):
        assert part == component.model(total, multiplier, shift), (total, multiplier, shift)
        assert part == int(saturate(requantise(total, multiplier, shift, PARAMETERS.arithmetic), 16))


@cocotb.test()
async def activation(dut: Any) -> None:
    """Every 16-bit input of every function, and sums beyond."""
    p = PARAMETERS
    component, bench = ActivationUnit(p), CycleBench(dut)
    knots = [int(knot) for knot in sigmoid_table(p.table_segments)]
    packer = LayoutPacker(table_entry_layout(p))
    table = [packer.pack({"base": knots[k], "rise": knots[k + 1] - knots[k]}) for k in range(p.table_segments)]
    # Sums of more than 16 bits as well: these are limited.
    beyond = np.array(corner_values(np.random.default_rng(4), SUM_BITS, 4000))
    values = np.concatenate([np.arange(-(1 << 15), 1 << 15), beyond])
    limited = np.clip(values, -(1 << 15), (1 << 15) - 1)
    reference = {
        Activation.IDENTITY: limited, Activation.RELU: np.maximum(limited, 0),
        Activation.SIGMOID: activation_sigmoid(limited, p.table_segments),
        Activation.TANH: activation_tanh(limited, p.table_segments),
    }
    await bench.begin(value=0, activation=0, entry=0)
    entry, port = 0, ReadPort(p)
    for function, wanted in reference.items():
        for cycle in range(len(values) + component.latency):
            inputs = {"entry": entry, "activation": int(function.value)}
            if cycle < len(values):
                inputs["value"] = int(values[cycle])
            await bench.cycle(inputs)
            entry = port.next(table[bench.read("segment")])
            if cycle >= component.latency:
                place = cycle - component.latency
                value, found = int(values[place]), bench.read("result", signed=True)
                assert found == wanted[place], f"{function.name}({value}) = {found}, not {wanted[place]}"
                if place % 64 == 0:
                    assert component.model(value, function, knots) == found


@cocotb.test()
async def multiply_accumulate(dut: Any) -> None:
    """Corner values of all operands, with kept results."""
    component, bench = MultiplyAccumulate(PARAMETERS), CycleBench(dut)
    rng = np.random.default_rng(3)
    await bench.begin(x=0, y=0, z=0, value=0, use_kept=0, keep=Keep.ACTIVATION.value)
    operands = list(zip(*(corner_values(rng, 16, 3000) for _ in range(4)), strict=True))
    # 1.0 is the only second factor with 17 bits; here it also meets the subtrahend that is not allowed with it.
    operands = [
        (x, 1 << 15 if index % 5 == 0 else y, -(1 << 15) if index % 50 == 0 else z, value)
        for index, (x, y, z, value) in enumerate(operands)
    ]
    #: Kept results with their formats, by the operation that they belong to; the first operation is kept.
    kept: dict[int, tuple[int, Keep]] = {}
    results: list[int] = []
    for cycle in range(len(operands) + component.latency):
        done = cycle - component.latency
        keep = Keep.ACTIVATION if done == 0 else Keep(int(rng.choice([0, 0, 0, 1, 2])))
        inputs: dict[str, int] = {}
        if cycle < len(operands):
            usable = [number for number in kept if number <= cycle - component.kept_distance]
            if done >= 0 and keep != Keep.NONE:
                # `keep` belongs to the operation whose result is valid in this cycle.
                usable, kept[done] = [*usable, done], (results[done], keep)
            use = bool(usable and rng.random() < 0.4)
            x, y, z, value = operands[cycle]
            inputs = {"x": x, "y": y, "z": z, "value": value, "use_kept": use}
            results.append(component.model(x, y, z, value, kept[max(usable)] if use else None))
        await bench.cycle(inputs, keep=keep.value if done >= 0 else 0)
        if done >= 0:
            assert bench.read("result", signed=True) == results[done]
            assert saturate_int(bench.read("total", signed=True), 16) == results[done]
    assert {-32768, 32767} <= set(results)
