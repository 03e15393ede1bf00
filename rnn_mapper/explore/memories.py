"""What a memory takes of an FPGA: the rule by which its words are laid over block RAMs of each family.

A block RAM offers some widths, each with as many words as fit; a memory takes the cheapest tiling. Memories of few
bits become LUT memories where the family has them. Some families need logic around a block RAM, because a word that is
read while it is written must give the old value. `docs/explore.md` compares the rule with what Yosys makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from rnn_mapper.loop_nest import ceil_div

__all__ = ["memory_resources"]


@dataclass(frozen=True)
class _Family:
    #: Width and words of a block RAM, each way to use it, and the units that it counts.
    blocks: tuple[tuple[int, int, int], ...]
    #: Words of a memory up to which LUTs are used, and bits of a word in one LUT memory with its words and its LUTs.
    small: int
    cell: tuple[int, int, int]
    #: LUTs and flip-flops around a memory in block RAMs, beside those for each bit of a word.
    luts: tuple[float, float]
    flip_flops: tuple[float, float]


_ECP5 = _Family(
    ((36, 512, 1), (18, 1024, 1), (9, 2048, 1), (4, 4096, 1), (2, 8192, 1), (1, 16384, 1)), 64, (4, 16, 4),
    (24.0, 1.0), (42.0, 0.1),
)
_ICE40 = _Family(((16, 256, 1), (8, 512, 1), (4, 1024, 1), (2, 2048, 1)), 0, (1, 1, 1), (20.0, 0.8), (41.0, 0.1))
_XILINX = _Family(
    ((36, 512, 1), (18, 1024, 1), (9, 2048, 1), (4, 4096, 1), (2, 8192, 1), (1, 16384, 1),
     (72, 512, 2), (36, 1024, 2), (18, 2048, 2), (9, 4096, 2), (4, 8192, 2), (2, 16384, 2), (1, 32768, 2)),
    64, (6, 32, 4), (1.0, 0.0), (0.0, 0.0),
)
_FAMILIES = {"ecp5": _ECP5, "ice40": _ICE40, "ice40hx": _ICE40, "xilinx": _XILINX}


@lru_cache(maxsize=1 << 14)
def memory_resources(target: str, width: int, depth: int, part: int) -> dict[str, float]:
    """LUTs, flip-flops and block RAMs of a memory of `depth` words of `width` bits, written `part` bits at a time."""
    family = _FAMILIES[target]
    if depth <= family.small:
        bits, words, luts = family.cell
        return {"lut": ceil_div(width, bits) * ceil_div(depth, words) * luts, "ff": width, "bram": 0}
    blocks = min(units * ceil_div(width, bits) * ceil_div(depth, words) for bits, words, units in family.blocks)
    return {
        "lut": family.luts[0] + family.luts[1] * width, "ff": family.flip_flops[0] + family.flip_flops[1] * width,
        "bram": blocks,
    }
