"""`spatial-rnn info`: presets, and the sizes, memories and latencies of a grid."""

from __future__ import annotations

from typing import Any

import rich_click as click
from rich.table import Table

from hdl.parameters import RANGES, GridParameters, load_parameters, preset_description, preset_names
from rnn_mapper.cli.common import Output, grid_from_options, grid_is_named, grid_options, json_option
from rnn_mapper.cli.tables import plain_table


@click.command("info")
@grid_options
@click.option("--registers", is_flag=True, help="Show the register map.")
@click.option("--layouts", is_flag=True, help="Show the fields of every word on the links and in the memories.")
@json_option
def command(registers: bool, layouts: bool, json_file: str | None, **options: Any) -> None:
    """Show the presets, or the sizes, memories and latencies that follow from a grid's parameters.

    Example: spatial-rnn info --preset paper

    Example: spatial-rnn info --layouts --rows 4 --cols 4 --lanes 16
    """
    output = Output(json_file)
    parameters = grid_from_options(options)
    console = output.console
    named = grid_is_named(options)
    tables = [_sizes_table(parameters), _memories_table(parameters)] if named else []
    if not named and not registers and not layouts:
        tables.append(_presets_table())
    if registers:
        tables.append(_registers_table())
    if layouts:
        tables += _layout_tables(parameters)
    for number, table in enumerate(tables):
        if number:
            console.print()
        console.print(table)
    if json_file is not None:
        output.write_json(_json(parameters))


def _presets_table() -> Table:
    table = plain_table(
        "preset", "rows", "cols", "lanes", "multipliers", "weights (bytes)", "purpose", title="Presets",
        right=("rows", "cols", "lanes", "multipliers", "weights (bytes)"),
    )
    for name in preset_names():
        p = load_parameters(name)
        weights = p.multipliers * p.weight_depth
        table.add_row(
            name, *map(str, (p.rows, p.cols, p.lanes)), f"{p.multipliers:,}", f"{weights:,}", preset_description(name)
        )
    return table


def _sizes_table(p: GridParameters) -> Table:
    from hdl.latencies import GridLatencies

    table = plain_table("size", "value", "may be", title=f"Grid of {p.rows} x {p.cols} sites of {p.lanes} lanes")
    for name, value in p.to_dict().items():
        low, high, power_of_two = RANGES[name]
        table.add_row(name, f"{value:,}", f"{low:,} to {high:,}{', a power of two' if power_of_two else ''}")
    table.add_section()
    for name in ("sites", "multipliers", "beat_bits", "group_beats", "word_beats", "vector_groups"):
        table.add_row(name, f"{getattr(p, name):,}")
    table.add_section()
    for name, value in GridLatencies.of(p).to_dict().items():
        table.add_row(f"latency: {name} (cycles)", str(value))
    return table


def _memory_bits(p: GridParameters) -> dict[str, int]:
    from hdl.output.manifest import internal_memory_tables, memory_tables

    tables = {**memory_tables(p), **internal_memory_tables(p)}
    return {name: m["width"] * m["depth"] * m["copies"] for name, m in tables.items()}


def _memories_table(p: GridParameters) -> Table:
    from hdl.output.manifest import internal_memory_tables, memory_tables

    bits = _memory_bits(p)
    table = plain_table("memory", "bits", "words", "copies", "total bits", "description", title="Memories",
                        right=("bits", "words", "copies", "total bits"))
    for name, m in {**memory_tables(p), **internal_memory_tables(p)}.items():
        table.add_row(name, *(f"{m[key]:,}" for key in ("width", "depth", "copies")), f"{bits[name]:,}", m["text"])
    table.add_section()
    table.add_row("total", "", "", "", f"{sum(bits.values()):,}")
    return table


def _registers_table() -> Table:
    from hdl.output.register_tables import register_tables

    table = plain_table("offset", "register", "access", "reset", "description", title="Registers (AXI4-Lite, 32-bit)")
    for entry in register_tables():
        r = entry.register
        table.add_row(f"0x{r.offset:02X}", r.name, r.access.value, entry.reset_text, r.text)
        for bit in entry.bits:
            table.add_row("", f"  bit {bit.position}: {bit.name}", "", "", bit.text)
    return table


def _layout_tables(p: GridParameters) -> list[Table]:
    from hdl.output.layout_tables import layout_tables

    tables = []
    for layout in layout_tables(p):
        table = plain_table("lsb", "width", "field", "type", "meaning", title=f"{layout.name} ({layout.width} bits)")
        for f in layout.fields:
            table.add_row(str(f.offset), str(f.width), f.name, f.type, f.text)
        tables.append(table)
    return tables


def _json(p: GridParameters) -> dict[str, Any]:
    from hdl.grid.top import Grid
    from hdl.output.manifest import make_manifest

    manifest = make_manifest(Grid(p), {})
    shown = ("parameters", "derived", "latencies", "memories", "internal_memories", "registers", "layouts", "enums")
    bits = _memory_bits(p)
    return {
        "presets": {
            name: {"description": preset_description(name), **load_parameters(name).to_dict()}
            for name in preset_names()
        },
        **{key: manifest[key] for key in shown},
        "memory_bits": {**bits, "total": sum(bits.values())},
    }
