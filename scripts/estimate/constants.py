"""Every constant of the estimate of area and energy, with its source: the only place that defines them.

`results/estimate.md` prints them. Values are for 28 nm, 0.9 V and 1 GHz; where a publication is about another node, the
scaling is written out here. Low and high are the ends within which a careful designer could land, not a confidence
interval. Keys in brackets are those of `sources.SOURCES`; CACTI figures are from docs/data/cacti.csv.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from scripts.estimate.sources import Status

__all__ = ["CONSTANTS", "Bound", "Constant", "energy_scale", "value"]


class Bound(enum.StrEnum):
    """Which end of every range is taken."""

    LOW = "low"
    TYPICAL = "typical"
    HIGH = "high"


@dataclass(frozen=True)
class Constant:
    """A value with its range; `low` is the end that makes area or energy small."""

    meaning: str
    unit: str
    low: float
    typical: float
    high: float
    status: Status
    source: str


#: Polynomials in the supply voltage that are proportional to the energy of an operation, by node in nm [stillmaker].
_ENERGY_FACTORS = {45: (1.103, -0.362, 0.2767), 32: (0.9559, -0.7823, 0.471), 20: (0.373, -0.1582, 0.04104)}


def energy_scale(from_nm: float, to_nm: float, from_volts: float = 0.9, to_volts: float = 0.9) -> float:
    """Factor on an operation's energy from one node and supply to another (45 to 20 nm).

    After Stillmaker and Baas 2017; between their nodes (45, 32, 20 nm) linear in the node.
    """
    return _energy_factor(to_nm, to_volts) / _energy_factor(from_nm, from_volts)


def _energy_factor(nm: float, volts: float) -> float:
    nodes = sorted(_ENERGY_FACTORS)
    if not nodes[0] <= nm <= nodes[-1]:
        raise ValueError(f"{nm} nm: must be from {nodes[0]} to {nodes[-1]}")
    small = max(node for node in nodes if node <= nm)
    large = min(node for node in nodes if node >= nm)
    share = (nm - small) / (large - small) if large > small else 0.0
    factors = [a * volts**2 + b * volts + c for a, b, c in (_ENERGY_FACTORS[small], _ENERGY_FACTORS[large])]
    return factors[0] * (1 - share) + factors[1] * share


#: From 45 nm, 0.9 V (Horowitz) and 40 nm, 0.9 V (Aladdin) to 28 nm; the low end at 0.8 V.
_H = energy_scale(45, 28)
_H_LOW = energy_scale(45, 28, 0.9, 0.8)
_A = energy_scale(40, 28)

_V, _C, _R, _J = Status.VERIFIED, Status.COMPUTED, Status.RECALLED, Status.JUDGEMENT

#: Everything that the model multiplies, by name.
CONSTANTS: dict[str, Constant] = {
    # Area of logic
    "nand2": Constant(
        "area of a two-input NAND gate", "um2", 1 / 3.9, 0.378, 0.504, _R,
        "low: [tsmc], verified; typical and high: cells of 9 and 12 tracks of 0.1 um, 3 pitches of 0.14 um, recalled"),
    "flip_flop": Constant("a flip-flop in NAND gates", "gates", 5.0, 4.522 / 0.798, 7.7, _C,
                          "typical: [nangate]; low: a small cell, high: one with a scan multiplexer, recalled"),
    "sizing": Constant("gates after sizing and buffering for 1 GHz over gates of minimum size", "ratio", 1.0, 1.2, 1.5,
                       _J, "the synthesis knows no timing"),
    "utilisation": Constant("share of the placement area that cells fill", "ratio", 0.80, 0.70, 0.60, _J,
                            "usual range of placed and routed blocks"),
    "block": Constant("whole chip over the sum of its parts: channels, halos, power grid, clock tree", "ratio",
                      1.05, 1.15, 1.30, _J, "no placement was made"),
    # Area of memories
    "large_bit": Constant("single-port SRAM of a megabit or more (weights)", "um2/bit", 0.127 / 0.8, 0.265,
                          0.29 * 331e6 / (24 * 2**23), _C,
                          "low: cell of [tsmc] at 80 % array efficiency; typical: [cacti] (0.20 with other "
                          "transistors); high: [tpu]"),
    "wide_bit": Constant("SRAM of one read and one write port, 0.1 to 1 megabit (vectors, outputs)", "um2/bit", 0.328,
                         0.499, 0.424 / 0.5, _C, "low, typical: [cacti]; high: [cell8t] at 50 % array efficiency"),
    "small_bit": Constant("SRAM of one read and one write port, 4 to 100 kilobits", "um2/bit", 0.36, 0.424 / 0.6,
                          0.424 / 0.3, _C,
                          "low: [cacti]; typical, high: [cell8t] at 60 and 30 % array efficiency (judgement)"),
    "tiny_bit": Constant("memory of less than 4 kilobits, of latches or flip-flops, with its read multiplexer",
                         "gates/bit", 3.5, 6.9, 9.0, _J, "flip-flop as above and 1.25 gates for the multiplexer"),
    # Energy of arithmetic
    "multiply": Constant("8-bit multiplication", "pJ", 0.2 * _H_LOW, 0.2 * _H, 12.7 / 16 * _A, _C,
                         "[horowitz] scaled by [stillmaker] (low at 0.8 V); high: a 16th of the multiplier of "
                         "[aladdin]"),
    "add_bit": Constant("one bit of an addition", "pJ", 0.1 / 32 * _H_LOW, 0.1 / 32 * _H, 0.21 / 32 * _A, _C,
                        "[horowitz] scaled by [stillmaker]; high: [aladdin]"),
    # Energy of memories
    "large_read": Constant("read of a weight word", "pJ/bit", 0.0768, 0.139, 0.171, _C,
                           "[cacti]: low-power, mixed, low-leakage transistors; beside it: [horowitz] scaled 0.079 "
                           "(8 KB) to 0.158 (32 KB)"),
    "wide_read": Constant("read of a vector or output word", "pJ/bit", 0.0175, 0.0320, 10 / 64 * _H, _C,
                          "low, typical: [cacti]; high: 8 KB cache of [horowitz], scaled; beside it: [dally2020] 0.05"),
    "wide_write": Constant("write of a vector or output word", "pJ/bit", 0.0283, 0.0616, 0.1116, _C, "[cacti]"),
    "small_read": Constant("read or write of any other memory", "pJ/bit", 0.012, 0.032, 10 / 64 * _H, _C,
                           "low, typical: [cacti]; high: 8 KB cache of [horowitz], scaled"),
    # Energy of wires and registers, leakage
    "wire": Constant("random bit over a wire", "pJ/bit/mm", 0.082, 310 / 2560, 0.147, _V,
                     "typical: [keckler]; low, high: [dally2012]"),
    "operand_wire": Constant("wire from a memory to the multipliers, as a share of a site's edge", "ratio",
                             0.10, 0.25, 0.50, _J, "no placement was made"),
    "register": Constant("one flip-flop in one cycle", "pJ", 0.00794 * energy_scale(40, 28, 0.9, 0.8), 0.00794 * _A,
                         0.00900 * 28 / 40, _C,
                         "[aladdin] scaled by [stillmaker] (low at 0.8 V); high: with switching, scaled with the "
                         "length"),
    "clock_tree": Constant("clock network with the flip-flops over the flip-flops alone", "ratio", 1.3, 1.6, 2.2, _J,
                           "no clock tree was built; the design gates no clock"),
    "logic_leakage": Constant("leakage of logic", "mW/mm2", 5.0, 0.0779 / 6.35e-3, 30.0, _C,
                              "typical: multiplier of [aladdin], not scaled; low, high: judgement"),
    "memory_leakage": Constant("leakage of memories", "mW/mm2", 0.19, 9.0, 134.0, _C,
                               "[cacti]: low-leakage, mixed (8.3 for weights, 14.1 for vectors) and fast transistors"),
}  # fmt: skip


def value(name: str, bound: Bound) -> float:
    """A constant at one end of its range."""
    return float(getattr(CONSTANTS[name], bound.value))
