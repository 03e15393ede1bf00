"""Images of a mapping as files, which are baked in or read by a simulation, and as packets to load over the bus."""

from __future__ import annotations

import struct
from collections import abc
from collections.abc import Iterator

from hdl.grid.image_loader import HEADER_BYTES, LOAD_CHECK, load_header_layout
from hdl.layouts import Memory, memory_shape
from hdl.naming import SCHEDULE_INSTANCE, SITE_INSTANCES, image_file, site_name
from hdl.parameters import GridParameters
from rnn_mapper.mapping.deployment import Deployment
from rnn_mapper.mapping.images import Image, LayoutPacker, hex_lines
from rnn_mapper.mapping.mapping import Mapping

__all__ = ["image_files", "load_header", "load_packet", "load_packets"]


def image_files(mapping: Mapping | Deployment) -> Iterator[tuple[str, str]]:
    """(file name, text) of every image, with the file names that `memory.v` reads."""
    yield image_file(SCHEDULE_INSTANCE), hex_lines(mapping.schedule_image)
    for row in range(mapping.parameters.rows):
        for col in range(mapping.parameters.cols):
            for memory, image in mapping.site_images(row, col).items():
                text = hex_lines(image)
                for instance in SITE_INSTANCES[memory]:
                    yield image_file(site_name(row, col), instance), text


def load_packets(mapping: Mapping | Deployment) -> Iterator[bytes]:
    """Load packets (data of `tdest` 1) that put a mapping into a running grid."""
    p = mapping.parameters
    for memory in (Memory.PROGRAM, Memory.TABLE):
        image = mapping.program_image if memory == Memory.PROGRAM else mapping.table_image
        yield load_packet(p, memory, image, row=None, col=None)
    for row in range(p.rows):
        for col in range(p.cols):
            for memory, image in mapping.site_images(row, col).items():
                if memory not in (Memory.PROGRAM, Memory.TABLE) and image.words:
                    yield load_packet(p, memory, image, row, col)
    yield load_packet(p, Memory.SCHEDULE, mapping.schedule_image, row=0, col=0)


def load_packet(
    parameters: GridParameters, memory: Memory, image: Image, row: int | None, col: int | None, word: int = 0
) -> bytes:
    """One load packet. `row` or `col` None writes to all rows or columns; `word` is the first address."""
    header = load_header({
        "memory": int(memory), "all_rows": row is None, "all_cols": col is None, "reserved": 0,
        "row": row or 0, "col": col or 0, "word": word, "words": len(image.words),
    })
    beat = parameters.beat_bytes
    _, _, beats = memory_shape(parameters, memory)
    packet = header.ljust(-(-HEADER_BYTES // beat) * beat, b"\0")
    return packet + b"".join(value.to_bytes(beats * beat, "little") for value in image.words)


def load_header(fields: abc.Mapping[str, int]) -> bytes:
    """The header of a load packet with these values of the fields of `load_header_layout`, and with its check."""
    header = LayoutPacker(load_header_layout()).pack({**fields, "check": 0}).to_bytes(HEADER_BYTES, "little")
    words = struct.unpack("<4I", header)
    return header[:-4] + struct.pack("<I", words[0] ^ words[1] ^ words[2] ^ LOAD_CHECK)
