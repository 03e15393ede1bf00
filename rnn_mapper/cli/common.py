"""Options and helpers that commands share."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import abc
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from hdl import parameters as parameters_module
from hdl.errors import ConfigurationError
from hdl.output.field_comments import field_comments
from hdl.parameters import RANGES, GridParameters, load_parameters, preset_names
from rnn_mapper.cli.output_files import check_writable, replace_file
from rnn_mapper.cli.tables import TableConsole

__all__ = [
    "Output", "clock_from_option", "clock_option", "force_option", "grid_from_options", "grid_is_named", "grid_options",
    "json_option",
]

if TYPE_CHECKING:
    from rnn_mapper.report.clock import Clock

Command = TypeVar("Command", bound=Callable[..., object])
#: Seconds between two lines of progress in a log.
QUIET_SECONDS = 10.0
FIELDS = tuple(field.name for field in fields(GridParameters))


def grid_options(function: Command) -> Command:
    """Options that name a grid: `preset`, `config`, and one option for each field of `GridParameters`.

    The command takes them as keyword arguments; `grid_from_options` makes parameters from them.
    """
    comments = field_comments(Path(str(parameters_module.__file__)))
    for name in reversed(FIELDS):
        low, high, power_of_two = RANGES[name]
        text = f"{comments['GridParameters', name]} [{low} to {high}{', a power of two' if power_of_two else ''}]"
        function = click.option("--" + name.replace("_", "-"), name, type=int, metavar="N", help=text)(function)
    function = click.option(
        "--config", type=click.Path(path_type=Path), metavar="FILE.toml",
        help="Grid from a TOML file with a table [grid].",
    )(function)
    return click.option(
        "--preset", metavar="NAME", help=f"Grid from a preset: {', '.join(preset_names())}."
    )(function)


def grid_is_named(options: abc.Mapping[str, Any]) -> bool:
    """Whether any grid option was given."""
    return any(options.get(name) is not None for name in ("preset", "config", *FIELDS))


def grid_from_options(options: abc.Mapping[str, Any]) -> GridParameters:
    """Parameters from the values of `grid_options`; other keys are ignored.

    Fields that are not given come from the preset or the file, or else from the defaults of `GridParameters`.
    Raises `ConfigurationError`.
    """
    preset, config = options.get("preset"), options.get("config")
    if preset is not None and config is not None:
        raise ConfigurationError(f"--preset {preset} and --config {config}: name one of them, not both")
    base = GridParameters()
    if preset is not None:
        base = load_parameters(str(preset))
    if config is not None:
        base = load_parameters(Path(config))
    given = {name: options[name] for name in FIELDS if options.get(name) is not None}
    return GridParameters.from_mapping({**base.to_dict(), **given}, "options")


def clock_option(function: Command) -> Command:
    """`--clock MHZ` (as `clock_mhz`), which the command hands to `clock_from_option`."""
    text = "Clock, to report times beside cycles: a figure of yours, or of place and route. Default: cycles alone."
    return click.option("--clock", "clock_mhz", type=float, metavar="MHZ", help=text)(function)


def clock_from_option(mhz: float | None) -> Clock | None:
    """The clock of `clock_option`. Raises ConfigurationError for what is no frequency."""
    from rnn_mapper.report.clock import clock_of

    return clock_of(mhz, "--clock")


def force_option(function: Command) -> Command:
    """`--force`, for commands that write with `output_files.output_directory`."""
    text = "Write into a directory that has files; files that the command writes are replaced, others stay."
    return click.option("--force", is_flag=True, help=text)(function)


def json_option(function: Command) -> Command:
    """`--json FILE|-`; the command hands its value (`json_file`) to `Output`."""
    text = "Write the results as JSON to FILE, or to standard output with '-' (messages then go to standard error)."
    return click.option("--json", "json_file", metavar="FILE|-", help=text)(function)


class Output:
    """The messages and the JSON that a command writes.

    `console` is for people: it writes to standard output, or to standard error if the JSON goes there. Raises
    `OutputError` at once when the JSON file cannot be written, before any work is done.
    """

    def __init__(self, json_file: str | None) -> None:
        self.json_file = json_file
        self.console = TableConsole(stderr=json_file == "-")
        self.errors = Console(stderr=True, highlight=False)
        if json_file not in (None, "-"):
            check_writable(Path(str(json_file)))

    def write_json(self, values: abc.Mapping[str, Any]) -> None:
        """Write the results, if `--json` was given."""
        if self.json_file is None:
            return
        text = json.dumps(values, indent=2) + "\n"
        if self.json_file == "-":
            click.echo(text, nl=False)
        else:
            replace_file(Path(self.json_file), text.encode())

    @contextlib.contextmanager
    def progress(self, what: str, already: int = 0) -> Iterator[Callable[..., None]]:
        """Reports long work: a bar with time spent and left on a terminal, in a log a line every ten seconds.

        Yields a function of what is done and of all, in units of `what`, such as ``modules``, and of the part that is
        under way (default: none). `already` of them were done before.
        """
        started = time.perf_counter()
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), TextColumn("{task.fields[part]}"),
        )
        terminal = self.errors.is_terminal
        state: tuple[int, int, str] = (0, 0, "")

        def line() -> str:
            done, total, part = state
            seconds = time.perf_counter() - started
            rest = seconds / max(done - already, 1) * (total - done)
            left = f", about {rest:,.0f} s left" if done > already else ""
            return f"{done} of {total} {what}{f', {part}' if part else ''}, {seconds:.0f} s{left}"

        with (
            Progress(*columns, console=self.errors, transient=True, disable=not terminal) as bar,
            self._heartbeat(line),
        ):
            task = bar.add_task(what, total=None, completed=already, part="")

            def report(done: int, total: int, part: str = "") -> None:
                nonlocal state
                state = (done, total, part)
                bar.update(task, completed=done, total=total, part=part)

            yield report

    @contextlib.contextmanager
    def status(self, text: str) -> Iterator[Callable[[str], None]]:
        """A status line on the terminal, in a log a line every ten seconds. Yields a function that changes the text."""
        started = time.perf_counter()
        current = text

        def change(other: str) -> None:
            nonlocal current
            current = other
            status.update(other)

        with (
            self.errors.status(text) as status,
            self._heartbeat(lambda: f"{current}, {time.perf_counter() - started:.0f} s"),
        ):
            yield change

    @contextlib.contextmanager
    def _heartbeat(self, line: Callable[[], str]) -> Iterator[None]:
        """Within the block, a line every ten seconds unless standard error is a terminal."""
        if self.errors.is_terminal:
            yield
            return
        over = threading.Event()

        def beat() -> None:
            while not over.wait(QUIET_SECONDS):
                self.errors.print(line(), markup=False, soft_wrap=True)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
