"""Memory images of a mapped network: the words of every memory, packed by the layouts of `hdl.layouts`.

An image file has one hexadecimal word per line ($readmemh), from address 0.
"""

from __future__ import annotations

from collections import abc
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from amaranth.lib import data

from hdl.layouts import table_entry_layout
from hdl.parameters import GridParameters
from rnn_mapper.fixed_point import Codes, sigmoid_table

__all__ = ["Image", "LayoutPacker", "hex_lines", "packed_words", "table_image"]


class LayoutPacker:
    """Packs mappings of field values into words of a layout, thousands at a time."""

    def __init__(self, layout: data.StructLayout) -> None:
        self.layout = layout
        self.fields = {
            name: (member.offset, member.width) for name, member in layout
        }

    def pack(self, values: abc.Mapping[str, int]) -> int:
        """The word with these field values. Every field must be given and fit its width."""
        if values.keys() != self.fields.keys():
            raise AssertionError(f"fields {sorted(values.keys() ^ self.fields.keys())} are missing or unknown")
        word = 0
        for name, (offset, width) in self.fields.items():
            value = int(values[name])
            if not -(1 << (width - 1)) <= value < 1 << width:
                raise AssertionError(f"{name} = {value} does not fit into {width} bits")
            word |= (value & ((1 << width) - 1)) << offset
        return word

    def unpack(self, word: int) -> dict[str, int]:
        """The field values of a word, unsigned."""
        return {name: word >> offset & ((1 << width) - 1) for name, (offset, width) in self.fields.items()}


@dataclass(frozen=True)
class Image:
    """Contents of one memory from address 0, with `width` bits per word."""

    width: int
    words: list[int]


def hex_lines(image: Image) -> str:
    """The image as a $readmemh file."""
    digits = -(-image.width // 4)
    return "".join(f"{word:0{digits}x}\n" for word in image.words)


def packed_words(values: Codes) -> list[int]:
    """The words of weights or operands [words, lanes], with lane 0 in the least significant bits."""
    raw = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes()
    size = values.shape[1] * values.itemsize
    return [int.from_bytes(raw[at : at + size], "little") for at in range(0, len(raw), size)]


def table_image(parameters: GridParameters) -> Image:
    """The activation table."""
    packer = LayoutPacker(table_entry_layout(parameters))
    knots = [int(knot) for knot in sigmoid_table(parameters.table_segments)]
    words = [packer.pack({"base": left, "rise": right - left}) for left, right in pairwise(knots)]
    return Image(packer.layout.size, words)
