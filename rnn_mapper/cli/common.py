"""Options and helpers that commands share."""

from __future__ import annotations

import contextlib
import json
from collections import abc
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click
from rich.console import Console

from hdl import parameters as parameters_module
from hdl.errors import ConfigurationError
from hdl.output.field_comments import field_comments
from hdl.parameters import RANGES, GridParameters, load_parameters, preset_names
from rnn_mapper.cli.output_files import check_writable, replace_file

__all__ = ["Output", "force_option", "grid_from_options", "grid_is_named", "grid_options", "json_option"]

Command = TypeVar("Command", bound=Callable[..., object])
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
        # `soft_wrap` is not set: tables fit the terminal. Without a terminal nothing must be cut off.
        self.console = Console(stderr=json_file == "-", highlight=False)
        self.errors = Console(stderr=True, highlight=False)
        if not self.console.is_terminal:
            self.console.width = 160
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
    def status(self, text: str) -> Iterator[Callable[[str], None]]:
        """A status line on the terminal; nothing if standard error is not a terminal.

        Yields a function that changes the text.
        """
        with self.errors.status(text) as status:
            yield status.update
