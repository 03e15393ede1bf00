"""Arithmetic of the estimate: from counts to square millimetres and joules, with the values of `constants`."""

from __future__ import annotations

import math
from collections import abc
from dataclasses import dataclass

from hdl.layouts import result_layout, write_word_layout
from hdl.parameters import GridParameters
from rnn_mapper.report.activity import Activity
from scripts.deepbench.points import CLOCK_HZ
from scripts.estimate.constants import Bound, value

__all__ = ["CLOCK_HZ", "Area", "Module", "area", "energy", "memory_class"]

#: NAND gates that the synthesis counts for a flip-flop (16 transistors).
SYNTHESISED_FLIP_FLOP = 4.0

MEMORY_PARTS = {"large": "weight memories", "wide": "vector and output memories"}
AREA_PARTS = (*MEMORY_PARTS.values(), "other memories", "multipliers and adder trees", "epilogue", "control")
#: Modules of the parts of the area; all others are control.
DOT_PRODUCT = "srnn_dot_product"
EPILOGUE = (
    "srnn_pcu", "srnn_gate_path", "srnn_unit_path", "srnn_requantiser", "srnn_activation_unit",
    "srnn_multiply_accumulate",
)
#: Modules that work for one matrix row, for one instruction of a unit, and for one pair of operand words.
ROW = ("srnn_gate_path", "srnn_requantiser", "srnn_activation_unit")
INSTRUCTION = ("srnn_unit_path", "srnn_multiply_accumulate", "srnn_activation_unit")
WORD = ("srnn_pcu", "srnn_pmu", "srnn_sequencer")


@dataclass(frozen=True)
class Module:
    """The synthesis figures of one module, or of one memory (then with `words` and `width`)."""

    name: str
    instances: int
    gates: float = 0.0
    flip_flops: int = 0
    words: int = 0
    width: int = 0

    @property
    def bits(self) -> int:
        """Bits of a memory."""
        return self.words * self.width

    @property
    def logic(self) -> float:
        """Gates without the flip-flops."""
        return self.gates - SYNTHESISED_FLIP_FLOP * self.flip_flops


@dataclass(frozen=True)
class Area:
    """Square millimetres by part."""

    parts: abc.Mapping[str, float]
    #: Of the total, before the overhead of the chip, which is logic and which is memory; for leakage.
    logic: float
    memory: float

    @property
    def total(self) -> float:
        """The whole chip, without pads, memory interfaces and PLLs."""
        return sum(self.parts.values())


def memory_class(bits: int) -> str:
    """The density that applies to a memory: "large", "wide", "small" or "tiny"."""
    limits = {"large": 1 << 20, "wide": 100_000, "small": 4096}
    return next((name for name, limit in limits.items() if bits >= limit), "tiny")


def gate_area(gates: float, bound: Bound) -> float:
    """Square millimetres of placed gates."""
    return gates * value("nand2", bound) / value("utilisation", bound) * 1e-6


def area(modules: list[Module], bound: Bound) -> Area:
    """Area of a grid by part."""
    parts = dict.fromkeys(AREA_PARTS, 0.0)
    for module in modules:
        if module.bits:
            kind = memory_class(module.bits)
            bits = module.bits * module.instances
            if kind == "tiny":
                square = gate_area(bits * value("tiny_bit", bound), bound)
            else:
                square = bits * value(f"{kind}_bit", bound) * 1e-6
            parts[MEMORY_PARTS.get(kind, "other memories")] += square
            continue
        gates = module.logic * value("sizing", bound) + module.flip_flops * value("flip_flop", bound)
        part = "epilogue" if module.name in EPILOGUE else "control"
        if module.name == DOT_PRODUCT:
            part = "multipliers and adder trees"
        parts[part] += gate_area(gates * module.instances, bound)
    memory = sum(square for part, square in parts.items() if part.endswith("memories"))
    logic = sum(parts.values()) - memory
    parts["chip overhead"] = (logic + memory) * (value("block", bound) - 1)
    return Area(parts, logic, memory)


def adder_bits(p: GridParameters) -> float:
    """Bits of addition for one multiplication: adder tree, accumulator and partial sum."""
    bits, width, count = 2.0 * p.accumulator_bits, 16, p.lanes
    while count > 1:
        width += 1
        bits += count // 2 * width
        count = -(-count // 2)
    return bits / p.lanes


def energy(activity: Activity, modules: list[Module], p: GridParameters, bound: Bound) -> dict[str, float]:
    """Joules of a sequence by part."""
    def at(name: str) -> float:
        return value(name, bound)

    named = {module.name: module for module in modules}
    product = at("multiply") + adder_bits(p) * at("add_bit")
    # An operation of other logic costs what the same number of gates costs in the multipliers and their adders.
    per_gate = product * p.lanes / named[DOT_PRODUCT].logic

    def gates(names: tuple[str, ...]) -> float:
        return sum(named[name].logic for name in names if name in named)

    chip = area(modules, bound)
    pitch = math.sqrt(chip.total / p.sites)
    beats = activity.feedback_beats + activity.input_beats + activity.tokens
    # A beat passes every site, and the distributor's trunk beside the rows.
    bit_hops = beats * (p.sites + p.rows) * write_word_layout(p).size
    bit_hops += activity.words * p.accumulator_bits + activity.result_hops * result_layout(p).size
    operand_bits = activity.weight_bits_read + activity.vector_bits_read
    small_bits = activity.small_bits_read + activity.small_bits_written
    seconds = activity.cycles / CLOCK_HZ
    flip_flops = sum(module.flip_flops * module.instances for module in modules)
    picojoules = {
        "multiplications": activity.multiplications * product,
        "weight memories": activity.weight_bits_read * at("large_read"),
        "vector memories": activity.vector_bits_read * at("wide_read")
        + activity.vector_bits_written * at("wide_write"),
        "operand wires": operand_bits * at("wire") * pitch * at("operand_wire"),
        "epilogue and control": per_gate * (
            activity.rows * gates(ROW) + activity.instructions * gates(INSTRUCTION) + activity.words * gates(WORD)
        ),
        "other memories": small_bits * at("small_read")
        + activity.output_bits / 2 * (at("wide_read") + at("wide_write")),
        "links": bit_hops * at("wire") * pitch,
        "clock and registers": activity.cycles * flip_flops * at("register") * at("clock_tree"),
    }
    joules = {part: picojoule * 1e-12 for part, picojoule in picojoules.items()}
    leakage = chip.logic * at("logic_leakage") + chip.memory * at("memory_leakage")
    return joules | {"leakage": leakage * 1e-3 * seconds}
