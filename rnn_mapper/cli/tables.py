"""Tables that fit the terminal: no word is broken or cut off, whatever the width."""

from __future__ import annotations

from typing import Any

from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

__all__ = ["TableConsole", "plain_table"]

_LOG_WIDTH = 160


def plain_table(*headings: str, title: str | None = None, right: tuple[str, ...] = ()) -> Table:
    """A table without lines; the columns whose headings are in `right` are aligned there."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left")
    return table


class TableConsole(Console):
    """A console that gives every column of a table at least its longest word, and the rest to those that need it.

    A table for which the terminal is too narrow is shown as a list: one line for each heading and value.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False)
        if not self.is_terminal:
            # In a log there is room for all columns.
            self.width = _LOG_WIDTH

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(_fitted(one, self) if isinstance(one, Table) else one for one in objects), **options)


def _fitted(table: Table, console: Console) -> RenderableType:
    least, most = [], []
    for column in table.columns:
        measures = [
            Measurement.get(console, console.options, Text.from_markup(str(cell)))
            for cell in (column.header, *column.cells)
        ]
        least.append(max(measure.minimum for measure in measures))
        most.append(max(measure.maximum for measure in measures))
    columns = len(table.columns)
    _, right, _, left = table.padding
    edges = 0 if table.pad_edge else 2
    spare = console.width - sum(least) - columns * (left + right) + edges - (columns + 1 if table.box else 0)
    if spare < 0:
        return _listed(table)
    while spare and any(width < limit for width, limit in zip(least, most, strict=True)):
        wanting = [index for index in range(columns) if least[index] < most[index]]
        for index in wanting:
            given = min(max(spare // len(wanting), 1), most[index] - least[index], spare)
            least[index] += given
            spare -= given
    for column, width in zip(table.columns, least, strict=True):
        column.width = width
        column.overflow = "fold"
    return table


def _listed(table: Table) -> RenderableType:
    """The rows one below the other."""
    headings = [str(column.header) for column in table.columns]
    lines = [str(table.title)] if table.title else []
    for number, row in enumerate(zip(*(column.cells for column in table.columns), strict=True)):
        lines += [""] * (number > 0)
        lines += [f"{heading}: {cell}" if heading else str(cell)
                  for heading, cell in zip(headings, row, strict=True) if cell]
    lines += ["", str(table.caption)] if table.caption else []
    return Group(*(Text.from_markup(line, overflow="fold") for line in lines))
