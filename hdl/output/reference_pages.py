"""The reference documentation of registers, memories and layouts, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from hdl.output.layout_tables import enum_tables, layout_tables
from hdl.output.manifest import memory_tables
from hdl.output.register_tables import register_tables
from hdl.parameters import load_parameters

__all__ = ["PRESET", "reference_markdown"]

#: The preset whose widths and depths the documentation shows.
PRESET = "medium"


def reference_markdown() -> str:
    """The whole page; it depends on the sources of `hdl` only."""
    return "\n".join([*_head(), *_registers(), *_memories(), *_layouts(), *_enums()]) + "\n"


def _head() -> Iterator[str]:
    yield "# Reference: registers, memories and layouts"
    yield ""
    yield (
        "Made by `scripts/make_reference.py` from `hdl/register_map.py` and `hdl/layouts.py`; do not edit. Widths and "
        f"depths are those of the preset `{PRESET}`; `spatial-rnn info --layouts --preset NAME` shows another grid's."
    )


def _registers() -> Iterator[str]:
    yield from ("", "## Registers", "", "AXI4-Lite, 32 bits each, at byte offsets.", "")
    tables = list(register_tables())
    yield from _table(
        ("Offset", "Register", "Access", "Reset", "What it is"),
        (
            (f"0x{t.register.offset:02X}", t.register.name, t.register.access.value, t.reset_text, t.register.text)
            for t in tables
        ),
    )
    for table in tables:
        if table.bits:
            yield from ("", f"### Bits of {table.register.name}", "")
            yield from _table(("Bit", "Name", "Meaning"), ((str(b.position), b.name, b.text) for b in table.bits))


def _memories() -> Iterator[str]:
    yield from ("", "## Memories", "")
    yield (
        "Written by load packets (`load_header`, then words in `beats` beats each), or read from image files: one "
        "hexadecimal word a line from address 0, in `<images>/<instance>.hex`."
    )
    yield ""
    yield from _table(
        ("Number", "Memory", "Bits", "Words", "Beats", "Instances", "What it is"),
        (
            (
                str(m["number"]), name, str(m["width"]), str(m["depth"]), str(m["beats"]),
                "<br>".join(f"`{instance}`" for instance in m["instances"]), m["text"],
            )
            for name, m in memory_tables(load_parameters(PRESET)).items()
        ),
    )


def _layouts() -> Iterator[str]:
    yield from ("", "## Layouts")
    for table in layout_tables(load_parameters(PRESET)):
        yield from ("", f"### `{table.name}` ({table.width} bits)", "", table.text, "")
        yield from _table(
            ("Bits", "Field", "Type", "Meaning"),
            ((_bits(f.offset, f.width), f"`{f.name}`", f.type, f.text) for f in table.fields),
        )


def _enums() -> Iterator[str]:
    yield from ("", "## Enumerations")
    for table in enum_tables():
        yield from ("", f"### {table.name}", "", table.text, "")
        yield from _table(("Value", "Name", "Meaning"), ((str(v), name, text) for name, v, text in table.members))


def _bits(offset: int, width: int) -> str:
    return str(offset) if width == 1 else f"{offset + width - 1}-{offset}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
