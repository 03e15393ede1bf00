"""Random values and words for the benches of components."""

from __future__ import annotations

import numpy as np

from hdl.numerics import Arithmetic
from rnn_mapper.fixed_point import Codes, operand_type
from rnn_mapper.mapping.images import LayoutPacker

__all__ = ["NoiseWords", "corner_values", "random_codes"]


def corner_values(rng: np.random.Generator, bits: int, count: int) -> list[int]:
    """Signed values: the ends, around zero, around powers of two, and random of every magnitude."""
    half = 1 << (bits - 1)
    values = [-half, half - 1, 0, 1, -1]
    while len(values) < count:
        size = int(rng.integers(1, bits))
        values.append(max(-half, min(half - 1, int(rng.integers(-(1 << size), 1 << size)) + int(rng.integers(-1, 2)))))
    return [values[index] for index in rng.permutation(len(values))]


def random_codes(rng: np.random.Generator, arithmetic: Arithmetic, shape: tuple[int, ...], extreme: bool) -> Codes:
    """Operand codes over their whole range; `extreme` takes the two ends only."""
    limit, kind = arithmetic.operand_limit, operand_type(arithmetic)
    if extreme:
        return rng.choice(np.array([-limit, limit - 1], dtype=kind), size=shape)
    return rng.integers(-limit, limit, size=shape, dtype=kind)


class NoiseWords:
    """Random words of a layout, for ports whose value must not matter and for memory contents."""

    def __init__(self, rng: np.random.Generator, packer: LayoutPacker) -> None:
        self.rng, self.packer = rng, packer

    def word(self, **fields: int) -> int:
        """A word with these fields and random bits elsewhere."""
        size = self.packer.layout.size
        bits = int.from_bytes(self.rng.bytes(-(-size // 8)), "little") & ((1 << size) - 1)
        return self.packer.pack(self.packer.unpack(bits) | fields) if fields else bits
