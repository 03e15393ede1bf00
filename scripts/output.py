"""The files and lines that scripts write; the same values give the same bytes."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections import abc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from rich.console import Console

from rnn_mapper.cli.interruption import announce_interruption, interruptible
from rnn_mapper.pretrained.progress import with_seconds
from scripts.provenance import ROOT

__all__ = [
    "drawing", "geometric_mean", "markdown_table", "output_option", "progress_lines", "run_script", "without_frame",
    "write_csv", "write_json",
]

#: The option of all scripts that write results.
output_option = click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=ROOT / "results", show_default=True,
    help="Directory of the results.",
)


def progress_lines(console: Console) -> Callable[[str], None]:
    """A function that prints a line with the seconds since this call."""
    return with_seconds(lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True))


def write_json(path: Path, values: abc.Mapping[str, Any]) -> None:
    """Write `values`; the directory is made if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def write_csv(path: Path, rows: Sequence[abc.Mapping[str, Any]]) -> None:
    """Write the rows under the names of the first one's columns."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]], rule: str = "---") -> list[str]:
    """The lines of a Markdown table; `rule` is a cell of the line below the headings."""
    first, *others = ["| " + " | ".join(row) + " |" for row in (headings, *rows)]
    return [first, "|" + f"{rule}|" * len(headings), *others]


def geometric_mean(values: Sequence[float]) -> float:
    """The n-th root of the product of n values."""
    return math.exp(sum(map(math.log, values)) / len(values))


def run_script(command: click.Command) -> None:
    """Run a script's command and exit, with one line if it is interrupted and nothing left that it has started."""
    try:
        with interruptible():
            command.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        announce_interruption()
        sys.exit(2)


@contextmanager
def drawing(
    path: Path, *shape: int, rect: tuple[float, float, float, float] = (0, 0, 1, 1), salt: str = "spatial-rnn",
    font_size: float = 10, **options: Any,
) -> Iterator[tuple[Any, Any]]:
    """A figure and its axes as `pyplot.subplots` makes them; written to `path` at the end, the axes within `rect`.

    `salt` makes the names inside an SVG file.
    """
    with matplotlib.rc_context({"svg.hashsalt": salt, "font.size": font_size}):
        figure, axes = pyplot.subplots(*shape, **options)
        yield figure, axes
        figure.tight_layout(rect=rect)
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)


def without_frame(*axes: Any) -> None:
    """Remove the upper and the right edge of the axes."""
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
