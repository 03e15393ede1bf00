"""The manifest of a generated grid: all that a test, a driver or a tool would otherwise have to guess."""

from __future__ import annotations

from collections import abc
from functools import cached_property
from pathlib import Path
from typing import Any

from amaranth.hdl import Value

from hdl import layouts
from hdl.grid.image_loader import HEADER_BYTES, LOAD_CHECK
from hdl.grid.memory import MEMORY_MODULE
from hdl.grid.sharing import port_names
from hdl.grid.top import Grid
from hdl.latencies import GridLatencies
from hdl.layouts import Memory, memory_shape
from hdl.naming import SCHEDULE_INSTANCE, SITE_INSTANCES, TOP_MODULE, image_file
from hdl.output.field_comments import field_comments
from hdl.output.layout_tables import MEMORY_LAYOUTS, LayoutTable, enum_tables, layout_tables
from hdl.output.register_tables import register_tables
from hdl.parameters import GridParameters
from hdl.register_map import ADDRESS_BITS, IDENTIFICATION, VERSION

__all__ = ["MANIFEST_FORMAT", "derived_sizes", "internal_memory_tables", "make_manifest", "memory_tables"]

#: Version of the manifest's structure: incremented when a field changes its meaning or is removed.
MANIFEST_FORMAT = 1

_IMAGE_FORMAT = (
    "Text for $readmemh: one hexadecimal word a line from address 0, the least significant bit last. A file may hold "
    "fewer words than the memory; the others are zero. Fields of a word are at the offsets of its layout."
)
_LOAD_FORMAT = (
    "A packet on s_axis with tdest 1 (or STREAM.IGNORE_TDEST and STREAM.LOAD): the header, least significant byte "
    "first, then as many memory words as it says. The exclusive or of the four 32-bit words of the header is check. "
    "Header and words each fill whole beats of beat_bytes bytes, least significant beat first; tlast is on the last "
    "beat."
)


def derived_sizes(parameters: GridParameters) -> dict[str, int]:
    """The sizes that follow from the parameters, by the name of their property."""
    properties = (n for n, member in vars(GridParameters).items() if isinstance(member, (property, cached_property)))
    return {name: size for name in properties if isinstance(size := getattr(parameters, name), int)}


def memory_tables(parameters: GridParameters) -> dict[str, dict[str, Any]]:
    """The loadable memories by name: number, sizes in bits and words, instances and layouts."""
    texts = field_comments(Path(layouts.__file__))
    tables: dict[str, dict[str, Any]] = {}
    for memory in Memory:
        width, depth, beats = memory_shape(parameters, memory)
        in_site = memory != Memory.SCHEDULE
        site = ("site_r{row}_c{col}",) if in_site else ()
        instances = SITE_INSTANCES[memory] if in_site else (SCHEDULE_INSTANCE,)
        tables[memory.name] = {
            "number": int(memory), "width": width, "depth": depth, "beats": beats,
            "copies": len(instances) * (parameters.sites if in_site else 1),
            "instances": [".".join((TOP_MODULE, *site, instance)) for instance in instances],
            "image_files": [image_file(*site, instance) for instance in instances],
            "text": texts["Memory", memory.name],
            "layouts": list(MEMORY_LAYOUTS.get(memory.name, ())),
        }
    return tables


def internal_memory_tables(parameters: GridParameters) -> dict[str, dict[str, Any]]:
    """The memories that the hardware fills itself, by name: sizes in bits and words, and instances."""
    p = parameters
    return {
        "STORED": {
            "width": 16, "depth": p.stored_depth, "copies": p.sites,
            "instances": [f"{TOP_MODULE}.site_r{{row}}_c{{col}}.stored_memory"],
            "text": "PCU: stored pre-activations.",
        },
        "OUTPUT": {
            "width": 16 * p.rows, "depth": 2 << p.group_bits, "copies": 1,
            "instances": [f"{TOP_MODULE}.output_stream.buffer"],
            "text": "Output stream: results of two steps.",
        },
    }


def make_manifest(grid: Grid, modules: abc.Mapping[str, tuple[str, int]]) -> dict[str, Any]:
    """The manifest; `modules` gives the file and the number of instances of each Verilog module by its name."""
    p = grid.parameters
    return {
        "format": MANIFEST_FORMAT,
        "generator": "spatial-rnn",
        "interface_version": {"major": VERSION >> 16, "minor": VERSION & 0xFFFF},
        "identification": IDENTIFICATION,
        "top": TOP_MODULE,
        "parameters": p.to_dict(),
        "derived": derived_sizes(p),
        "ports": _ports(grid),
        "modules": {name: {"file": file, "instances": count} for name, (file, count) in modules.items()},
        "memory_module": MEMORY_MODULE,
        "memories": memory_tables(p),
        "internal_memories": internal_memory_tables(p),
        "baked_images": grid.init_files,
        "latencies": GridLatencies.of(p).to_dict(),
        "registers": {"address_bits": ADDRESS_BITS, "map": [table.to_dict() for table in register_tables()]},
        "load_packet": {"text": _LOAD_FORMAT, "header_bytes": HEADER_BYTES, "beat_bytes": p.beat_bytes,
                        "header": "load_header", "check": LOAD_CHECK, "tdest": 1},
        "memory_image": {"text": _IMAGE_FORMAT},
        "layouts": {table.name: _layout(table) for table in layout_tables(p)},
        "enums": {
            table.name: {"text": table.text, "members": {name: value for name, value, _ in table.members}}
            for table in enum_tables()
        },
    }


def _ports(grid: Grid) -> list[dict[str, Any]]:
    reset = grid.reset
    polarity = "low" if reset.is_active_low else "high"
    signals = {reset.clock: "clock", reset.value: f"reset, synchronous, active {polarity}"}
    ports = []
    for name, is_input, value in port_names(grid):
        prefix = next((p for p in ("s_axil", "s_axis", "m_axis") if name.startswith(p)), name)
        ports.append({
            "name": name, "direction": "input" if is_input else "output", "width": len(Value.cast(value)),
            "interface": signals.get(name, prefix),
        })
    return ports


def _layout(table: LayoutTable) -> dict[str, Any]:
    fields = [
        {"name": f.name, "offset": f.offset, "width": f.width, "type": f.type, "text": f.text} for f in table.fields
    ]
    return {"width": table.width, "text": table.text, "fields": fields}
