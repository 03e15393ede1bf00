"""The estimate of area and energy: counts against hand counts, arithmetic, and that stored results are up to date."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from hdl.layouts import Memory, memory_shape
from hdl.parameters import GridParameters
from hdl.synthesis.report import ModuleArea, SynthesisReport
from rnn_mapper import cells
from rnn_mapper.mapping.choices import UnitSlice
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.network.layers import RecurrentLayer
from rnn_mapper.network.network import Network
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.report.activity import Activity, count_activity
from scripts.estimate import measured
from scripts.estimate.constants import CONSTANTS, Bound, energy_scale, value
from scripts.estimate.model import Module, adder_bits, area, energy, memory_class
from scripts.estimate.published import MACHINES
from scripts.estimate.sources import SOURCES

ROOT = Path(__file__).parent.parent.parent
GRID = GridParameters(
    rows=2, cols=2, lanes=4, weight_depth=256, vector_depth=16, units=8, gate_entries=64, memory_registers=1
)
#: Four sites with only a weight memory and a multiplier array.
MODULES = [
    Module("srnn_dot_product", 4, gates=1000.0, flip_flops=100),
    Module("srnn_memory_4096x512", 4, words=4096, width=512),
]


@pytest.fixture(scope="module")
def mapping() -> Mapping:
    """An LSTM of 6 units and 5 inputs in two chains of one PCU: 3 groups of 2 units, 2 in the first chain, 1 in the
    second, each gate 2 words."""
    rng = np.random.default_rng(1)
    layer = RecurrentLayer(
        cells.lstm, rng.normal(size=(24, 5)), rng.normal(size=(24, 6)), rng.normal(size=24), rng.normal(size=24)
    )
    network = quantise(Network((layer,)), rng.normal(size=(8, 5)), GRID.arithmetic)
    return map_network(network, GRID, splits=[[UnitSlice(groups=3, ru=1, chains=2)]])


def test_counts_of_a_small_mapping(mapping: Mapping) -> None:
    steps = 3
    counted = count_activity(mapping, steps)
    # 2 rows of the grid x 3 groups x 4 gates a phase. H of the first step reads one word a gate instead of two.
    rows, x_words, h_words = 24, 48 * steps, 24 + 48 * (steps - 1)
    assert (counted.rows, counted.words) == (2 * rows * steps, x_words + h_words)
    assert counted.multiplications == 4 * (x_words + h_words)
    assert counted.model_multiplications == 4 * 6 * 5 * steps + 4 * 6 * 6 * (steps - 1)
    assert counted.weight_bits_read == counted.vector_bits_read == 32 * (x_words + h_words)
    # Three instructions a unit; a beat carries two values, so 3 beats of h and 3 of the input.
    assert counted.instructions == 6 * 3 * steps
    assert (counted.feedback_beats, counted.input_beats, counted.tokens) == (3 * steps, 3 * steps, 2 * steps)
    assert counted.vector_bits_written == 6 * steps * 16 * 4
    # In each row 2 results from column 0 and 1 from column 1.
    assert counted.result_hops == 2 * (2 * 1 + 1 * 2) * steps
    # A stored part of each row of X, and c and h of each unit.
    assert counted.small_bits_written == (rows * 16 + 2 * 6 * 16) * steps
    assert (counted.output_groups, counted.output_bits) == (3 * steps, 2 * 3 * 32 * steps)
    assert counted.cycles == mapping.predict(steps).cycles

    width = {memory: memory_shape(GRID, memory)[0] for memory in Memory}
    assert counted.table_bits_read == 2 * 4 * width[Memory.TABLE] * counted.cycles
    assert counted.small_bits_read - counted.table_bits_read == steps * (
        2 * 4 * width[Memory.PHASE] + 2 * rows * (width[Memory.BIAS] + width[Memory.GATE]) + rows * 16
        + 6 * (3 * (width[Memory.PROGRAM] + 16) + width[Memory.UNIT])
    )


def test_a_kept_state_is_multiplied_in_the_first_step_too(mapping: Mapping) -> None:
    kept, cleared = count_activity(mapping, 3, cleared=False), count_activity(mapping, 3)
    assert kept.words - cleared.words == 24
    assert kept.model_multiplications - cleared.model_multiplications == 4 * 6 * 6


def test_energy_scaling() -> None:
    assert energy_scale(45, 45) == 1
    # By hand: 45 nm 0.84437, 32 nm 0.541219, 20 nm 0.20079 at 0.9 V; 28 nm is two thirds of the way from 20 to 32.
    assert energy_scale(45, 28) == pytest.approx((0.20079 + 2 / 3 * (0.541219 - 0.20079)) / 0.84437, rel=1e-4)
    assert energy_scale(45, 28, 0.9, 0.8) < energy_scale(45, 28)
    with pytest.raises(ValueError, match="7 nm: must be from 20 to 45"):
        energy_scale(45, 7)


def test_area_arithmetic() -> None:
    found = area(MODULES, Bound.TYPICAL)
    assert found.parts["weight memories"] == pytest.approx(4 * 4096 * 512 * 0.265e-6)
    # 600 gates of logic sized up, 100 flip-flops, of 0.378 um2, at 70 %.
    logic = 4 * (600 * 1.2 + 100 * 4.522 / 0.798) * 0.378 / 0.7 * 1e-6
    assert found.parts["multipliers and adder trees"] == pytest.approx(logic)
    assert found.total == pytest.approx(1.15 * (logic + 4 * 4096 * 512 * 0.265e-6))
    assert [memory_class(bits) for bits in (1 << 20, 100_000, 4096, 4095)] == ["large", "wide", "small", "tiny"]


def test_energy_arithmetic() -> None:
    # 2 17-bit and 1 18-bit adders in the tree, 28-bit accumulator and partial sum, over 4 lanes.
    assert adder_bits(GRID) == (2 * 17 + 18 + 2 * 28) / 4
    counted = Activity(cycles=1000, multiplications=10, weight_bits_read=100)
    parts = energy(counted, MODULES, GRID, Bound.TYPICAL)
    product = value("multiply", Bound.TYPICAL) + adder_bits(GRID) * value("add_bit", Bound.TYPICAL)
    assert parts["multiplications"] == pytest.approx(10 * product * 1e-12)
    assert parts["weight memories"] == pytest.approx(100 * 0.139e-12)
    assert parts["clock and registers"] == pytest.approx(1000 * 400 * value("register", Bound.TYPICAL) * 1.6e-12)
    # A microsecond of leakage: milliwatts per square millimetre.
    chip = area(MODULES, Bound.TYPICAL)
    assert parts["leakage"] == pytest.approx((chip.logic * 0.0779 / 6.35e-3 + chip.memory * 9) * 1e-3 * 1e-6)
    assert parts["epilogue and control"] == parts["links"] == 0
    twice = energy(replace(counted, weight_bits_read=200), MODULES, GRID, Bound.TYPICAL)
    assert twice["operand wires"] == pytest.approx(2 * parts["operand wires"])


def test_bounds_are_in_order() -> None:
    counted = Activity(**dict.fromkeys(Activity().to_dict(), 1000))
    for of in (lambda b: area(MODULES, b).parts, lambda b: energy(counted, MODULES, GRID, b)):
        low, typical, high = (of(bound) for bound in Bound)
        assert all(low[part] <= typical[part] <= high[part] for part in low)


def test_constants_from_cacti() -> None:
    def at_28_nm(shape: str, kind: str, column: int) -> float:
        found = {row[5]: float(row[column]) for row in rows if row[:5] == f"{shape},{kind}".split(",")}
        return 0.6 * found["32"] + 0.4 * found["22"]

    lines = (ROOT / "docs" / "data" / "cacti.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines if not line.startswith("#")]
    weight, vector, mixed = "512,4096,1rw", "512,256,1r1w", "itrs-lstp,itrs-hp"
    assert at_28_nm(weight, mixed, 6) * 1e6 / (512 * 4096) == pytest.approx(CONSTANTS["large_bit"].typical, rel=0.01)
    reads = [at_28_nm(weight, kind, 7) * 1e3 / 512 for kind in ("itrs-lop,itrs-lop", mixed, "itrs-lstp,itrs-lstp")]
    large = CONSTANTS["large_read"]
    assert reads == pytest.approx([large.low, large.typical, large.high], rel=0.01)
    assert at_28_nm(vector, mixed, 7) * 1e3 / 512 == pytest.approx(CONSTANTS["wide_read"].typical, rel=0.01)
    fast = at_28_nm(weight, "itrs-hp,itrs-hp", 9) / at_28_nm(weight, "itrs-hp,itrs-hp", 6)
    assert fast == pytest.approx(CONSTANTS["memory_leakage"].high, rel=0.01)


def test_a_grid_is_synthesised_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = []

    def counted(directory: Path) -> SynthesisReport:
        calls.append(directory)
        return SynthesisReport("generic", None, [ModuleArea("srnn_pmu", 2, {"$_NAND_": 3}, 3.0, 1, 0)], 1.0, 0.0)

    monkeypatch.setattr(measured, "synthesise", counted)
    monkeypatch.setattr(measured, "default_cache", lambda: tmp_path)
    reports = [measured.synthesised(GRID) for _ in range(2)]
    assert reports[0] == reports[1]
    assert len(calls) == 1
    assert measured.modules_of(reports[0]) == [Module("srnn_pmu", 2, 3.0, 1)]


def test_every_source_is_named() -> None:
    named = {key for constant in CONSTANTS.values() for key in re.findall(r"\[(\w+)\]", constant.source)}
    assert named | {machine.source for machine in MACHINES} == set(SOURCES)


def test_kept_results_are_of_these_constants() -> None:
    kept = json.loads((ROOT / "results" / "estimate.json").read_text())
    assert kept["constants"] == {name: asdict(constant) for name, constant in CONSTANTS.items()}, "run make estimate"
    text = (ROOT / "docs" / "area_and_energy.md").read_text()
    table = [line for line in (ROOT / "results" / "estimate.md").read_text().splitlines() if line.startswith("|")][:8]
    assert "\n".join(table) in text, "docs/area_and_energy.md: its first table is not that of results/estimate.md"
