"""The FPGA resources of a memory: the rule that maps its words to the block RAMs of each family.

A block RAM offers some widths, each with as many words as fit. A memory takes the cheapest tiling in which every slice
written at a time has its own block RAMs or its own byte enables of one. Memories with few bits become LUT memories if
the family has them. Some families need logic around a block RAM, because a word that is read while it is written must
give the old value. `docs/explore.md` compares the rule with the results of Yosys.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from rnn_mapper.schedule.loop_nest import ceil_div

__all__ = ["memory_resources"]


@dataclass(frozen=True)
class _Family:
    #: For each way to use a block RAM: bits of a word, number of words, and the number of units it counts as.
    blocks: tuple[tuple[int, int, int], ...]
    #: A memory with at most this many words, or at most this many bits, is made of LUTs.
    words: int
    bits: int
    #: Bits of a word, number of words and number of LUTs of a LUT memory.
    cell: tuple[int, int, int]
    #: LUTs around block RAMs: a fixed number, and a number for each bit of a word.
    luts: tuple[float, float]
    #: Flip-flops around block RAMs: a fixed number, and a number for each bit of a slice.
    flip_flops: tuple[float, float]


_DOUBLING = ((36, 512, 1), (18, 1024, 1), (9, 2048, 1), (4, 4096, 1), (2, 8192, 1), (1, 16384, 1))
_ECP5 = _Family(_DOUBLING, 16, 1200, (4, 16, 4), (22.0, 1.0), (13.0, 2.0))
_ICE40 = _Family(
    ((16, 256, 1), (8, 512, 1), (4, 1024, 1), (2, 2048, 1)), 0, 0, (1, 1, 1), (8.0, 1.15), (13.0, 2.0)
)
_XILINX = _Family(_DOUBLING, 64, 0, (6, 32, 4), (2.0, 0.0), (0.0, 0.0))
_FAMILIES = {"ecp5": _ECP5, "ice40": _ICE40, "ice40hx": _ICE40, "xilinx": _XILINX}


@lru_cache(maxsize=1 << 14)
def memory_resources(target: str, width: int, depth: int, part: int) -> dict[str, float]:
    """LUTs, flip-flops and block RAMs of a memory with `depth` `width`-bit words, written `part` bits at a time."""
    family = _FAMILIES[target]
    if depth <= family.words or width * depth <= family.bits:
        bits, words, luts = family.cell
        deep = ceil_div(depth, words)
        # Several LUT memories stacked in depth need a multiplexer.
        return {"lut": ceil_div(width, bits) * luts * deep * (1 + (deep - 1) / 3), "ff": width, "bram": 0}
    blocks = min(
        units * _across(width, part, bits) * ceil_div(depth, words) for bits, words, units in family.blocks
    )
    return {
        "lut": family.luts[0] + family.luts[1] * width,
        "ff": family.flip_flops[0] + family.flip_flops[1] * part if family.flip_flops[0] else 0.0,
        "bram": blocks,
    }


def _across(width: int, part: int, bits: int) -> int:
    """Number of `bits`-bit block RAMs side by side."""
    whole, rest = divmod(width, part)
    if part < bits:
        return ceil_div(whole + bool(rest), bits // part)
    return whole * ceil_div(part, bits) + ceil_div(rest, bits)
