"""The layouts of `hdl.layouts` as tables: for manifests, documentation and `spatial-rnn info`."""

from __future__ import annotations

import enum as python_enum
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from amaranth.hdl import Shape
from amaranth.lib import data

from hdl import layouts
from hdl.grid.image_loader import load_header_layout
from hdl.output.field_comments import field_comments
from hdl.parameters import GridParameters

__all__ = ["ENUMS", "MEMORY_LAYOUTS", "EnumTable", "LayoutField", "LayoutTable", "enum_tables", "layout_tables"]

#: Layouts of the words of each memory by name; the other memories hold plain numbers.
MEMORY_LAYOUTS: dict[str, tuple[str, ...]] = {
    "PHASE": ("phase",),
    "BIAS": ("bias",),
    "GATE": ("gate_entry",),
    "PROGRAM": ("instruction",),
    "UNIT": ("unit_entry",),
    "TABLE": ("table_entry",),
    "SCHEDULE": ("schedule_header", "schedule_entry"),
}
#: The enums of fields, of memory numbers and of error bits.
ENUMS: tuple[type[python_enum.Enum], ...] = (
    layouts.Memory, layouts.WriteKind, layouts.Activation, layouts.FactorX, layouts.FactorY,
    layouts.Subtrahend, layouts.Addend, layouts.Hold, layouts.Keep, layouts.LinkError,
)


@dataclass(frozen=True)
class LayoutField:
    """One field: its least significant bit and its width in bits."""

    name: str
    offset: int
    width: int
    #: "unsigned", "signed", or the name of an enum or of a layout.
    type: str
    text: str


@dataclass(frozen=True)
class LayoutTable:
    """One layout for given parameters; `width` in bits."""

    name: str
    text: str
    width: int
    fields: tuple[LayoutField, ...]


@dataclass(frozen=True)
class EnumTable:
    """One enum: (name, value, text) of its members."""

    name: str
    text: str
    members: tuple[tuple[str, int, str], ...]


def layout_tables(parameters: GridParameters) -> Iterator[LayoutTable]:
    """All layouts of a grid with these parameters."""
    functions = [
        function for name, function in vars(layouts).items() if name.endswith("_layout") and callable(function)
    ]
    known: dict[data.StructLayout, str] = {}
    yield _table(load_header_layout, load_header_layout(), known)
    for function in functions:
        yield _table(function, function(parameters), known)


def _table(
    function: Callable[..., data.StructLayout], layout: data.StructLayout, known: dict[data.StructLayout, str]
) -> LayoutTable:
    """The table of the layout that `function` returns; `known` has the names of the layouts before it."""
    comments = field_comments(Path(inspect.getfile(inspect.unwrap(function))))
    fields = tuple(
        LayoutField(
            key, field.offset, field.width, _type_name(field.shape, known), comments.get((function.__name__, key), "")
        )
        for key, field in layout
    )
    name = known[layout] = function.__name__.removesuffix("_layout")
    return LayoutTable(name, inspect.cleandoc(function.__doc__ or ""), layout.size, fields)


def enum_tables() -> Iterator[EnumTable]:
    """The enums of the layouts' fields."""
    comments = field_comments(Path(layouts.__file__))
    for kind in ENUMS:
        members = tuple(
            (member.name, int(member.value), comments.get((kind.__name__, member.name), "")) for member in kind
        )
        yield EnumTable(kind.__name__, inspect.cleandoc(kind.__doc__ or ""), members)


def _type_name(shape: object, known: dict[data.StructLayout, str]) -> str:
    if isinstance(shape, type):
        return shape.__name__
    if isinstance(shape, data.StructLayout):
        return next(name for layout, name in known.items() if layout == shape)
    return "signed" if Shape.cast(shape).signed else "unsigned"
