"""Images altered by hand: faults that the mapper never makes and that must raise error flags."""

from __future__ import annotations

from collections.abc import Iterator

from hdl.layouts import Memory, phase_layout, schedule_entry_layout
from rnn_mapper.mapping.images import Image, LayoutPacker
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.mapping.packets import load_packet

__all__ = ["altered_phases", "altered_schedule", "one_model_many_times"]


def altered_phases(
    mapping: Mapping, rows: range, cols: range, field: str, values: dict[int, int], **others: int
) -> Iterator[bytes]:
    """Load packets that set a field of the phase words (by phase) of some sites, and `others` in the same words."""
    packer = LayoutPacker(phase_layout(mapping.parameters))
    for row in rows:
        for col in cols:
            words = list(mapping.site_images(row, col)[Memory.PHASE].words)
            for phase, value in values.items():
                words[phase] = packer.pack(packer.unpack(words[phase]) | {field: value} | others)
            image = Image(packer.layout.size, words)
            yield load_packet(mapping.parameters, Memory.PHASE, image, row, col)


def altered_schedule(mapping: Mapping, entry: int, field: str, value: int) -> bytes:
    """The load packet of the schedule with one field of one entry changed."""
    packer = LayoutPacker(schedule_entry_layout(mapping.parameters))
    words = list(mapping.schedule_image.words)
    address = mapping.parameters.models + entry
    words[address] = packer.pack(packer.unpack(words[address]) | {field: value})
    return load_packet(
        mapping.parameters, Memory.SCHEDULE, Image(mapping.schedule_image.width, words), row=0, col=0
    )


def one_model_many_times(mapping: Mapping) -> bytes:
    """The load packet of a schedule in which every model number is the mapped model."""
    header = mapping.schedule_image.words[0]
    image = Image(mapping.schedule_image.width, [header] * mapping.parameters.models)
    return load_packet(mapping.parameters, Memory.SCHEDULE, image, row=0, col=0)
