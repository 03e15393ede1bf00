"""Options and reports that `map` and `simulate` share."""

from __future__ import annotations

from collections import abc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click
from rich.console import Console
from rich.table import Table

from rnn_mapper.cli.common import grid_from_options, grid_is_named
from rnn_mapper.cli.model_options import model_options
from rnn_mapper.cli.output_files import check_writable
from rnn_mapper.cli.scale_options import describe_scales, rate_option, rule_from_options, scale_options
from rnn_mapper.cli.tables import plain_table
from rnn_mapper.errors import ConfigurationError
from rnn_mapper.summary import counted

if TYPE_CHECKING:
    from hdl.parameters import GridParameters
    from rnn_mapper.importers import Imported
    from rnn_mapper.run.prepare import Prepared
    from rnn_mapper.schedule.prediction import CycleAccount

__all__ = [
    "PATH", "Progress", "account_table", "check_picture", "describe", "describe_grid", "network_options",
    "prepare_from_options", "print_line", "streams_line", "streams_option",
]

Command = TypeVar("Command", bound=Callable[..., object])
PATH = click.Path(path_type=Path)


streams_option = click.option(
    "--streams", type=click.IntRange(min=1), metavar="N",
    help="Independent streams of the model that run step by step at once; each hides the latency of the others.",
)


def network_options(function: Command) -> Command:
    """`model_options`, `scale_options`, `--rate`, `--ru`, `--hu`, `--schedule` and `--picture`."""
    options = (
        model_options,
        scale_options,
        rate_option,
        click.option("--ru", type=int, metavar="N",
                     help="PCUs that share a matrix row, in every layer. Default: the number with the fewest cycles."),
        click.option("--hu", type=int, metavar="N",
                     help="Hidden units computed at once, a multiple of the grid's rows, in every layer. "
                          "Default: the number with the fewest cycles."),
        click.option("--schedule", type=click.Choice(["fused", "response", "sequential", "blas"]), default="fused",
                     show_default=True,
                     help="fused: a step in one pass, the next step's X in its tail: for sequences that lie ready. "
                          "response: H is computed before the input comes: for inputs that come one at a time. For "
                          "comparison: sequential (no overlap of steps) and blas (X, H and the element-wise operations "
                          "as separate kernels)."),
        click.option("--picture", type=PATH, metavar="FILE", help="Draw the schedule on the grid (.svg or .png)."),
    )
    for option in reversed(options):
        function = option(function)
    return function


class Progress:
    """Reports the progress of long work: in place on a terminal, else one line each on standard error."""

    def __init__(self, errors: Console, update: Callable[[str], None]) -> None:
        self._errors, self._update = errors, update

    def __call__(self, text: str) -> None:
        if self._errors.is_terminal:
            self._update(text)
        else:
            self._errors.print(f"{text} ...", markup=False, soft_wrap=True)


def prepare_from_options(
    models: Sequence[Imported], calibrations: Sequence[Any], options: abc.Mapping[str, Any], ru: int | None,
    hu: int | None, schedule: str, steps: int, streams: int = 1,
) -> list[Prepared]:
    """Map models on the grid in the options, or on the smallest preset that fits."""
    from rnn_mapper.run.prepare import prepare_together
    from rnn_mapper.schedule.phases import PhaseOrder

    grid = grid_from_options(options) if grid_is_named(options) else None
    return prepare_together(
        models, calibrations, grid, ru=ru, hu=hu, steps=steps, schedule=PhaseOrder(schedule), streams=streams,
        rule=rule_from_options(options),
    )


def describe(prepared: Sequence[Prepared], console: Console) -> None:
    """Print the networks, their grid and the loop nests in a few lines."""
    from rnn_mapper.report.mapping import splits

    for one in prepared:
        layers, outputs = one.network.layers, one.network.output_size
        sizes = " -> ".join(str(size) for size in (one.network.input_size, *(layer.hidden_size for layer in layers)))
        head = "" if one.network.head is None else f", dense head to {outputs}"
        print_line(console, f"Network    {' and '.join(dict.fromkeys(layer.kind for layer in layers))} {sizes}{head}")
    first = prepared[0]
    describe_grid(first.grid_name, first.mapping.parameters, first.grid_chosen, console)
    describe_scales(
        (member for one in prepared for segment in one.quantised.segments for member in segment.members), console
    )
    for number, mapping in enumerate(first.deployment.models):
        place = f"model {number}, " if len(first.deployment.models) > 1 else ""
        for split in splits(mapping):
            print_line(console, f"Mapping    {place}{split['name']}: {split['hu']} hidden units at once (hu), a matrix "
                                f"row over {counted(split['ru'], 'PCU')} (ru) of {split['rv']} lanes (rv)")


def describe_grid(name: str, p: GridParameters, chosen: bool, console: Console) -> None:
    """Print the grid in one line."""
    suffix = " grid" if name == "custom" else ""
    print_line(console, f"Grid       {name}{suffix}: {p.rows} x {p.cols} sites of {p.lanes} lanes "
                        f"({p.multipliers} multipliers){', the smallest preset that fits' if chosen else ''}")


def streams_line(prepared: Prepared, cycles: int, steps: int, console: Console) -> dict[str, float]:
    """Print and return (as JSON values) the cycles per step and stream, and the cycles per step of one stream alone."""
    from rnn_mapper.mapping.deployment import deploy

    if prepared.streams == 1:
        return {}
    mapping = prepared.mapping
    members = [segment.members for segment in prepared.quantised.segments]
    alone = deploy(members, mapping.parameters, steps, schedule=mapping.schedule)
    single = sum(model.predict(steps).cycles for model in alone.models) / steps
    per_step = cycles / steps / prepared.streams
    effect = "hide latency" if per_step < single else "bring nothing"
    print_line(console, f"Streams    {prepared.streams} at once {effect}: {single:,.1f} -> {per_step:,.1f} "
                        "cycles per step and stream")
    return {"cycles_per_step_and_stream": per_step, "cycles_per_step_of_one_stream_alone": single}


def account_table(account: CycleAccount) -> Table:
    """A table of where the cycles of a sequence go."""
    from rnn_mapper.report.mapping import account_rows

    table = plain_table("", "cycles", "share", "meaning", title="Where the cycles go", right=("cycles", "share"))
    for name, cycles, share, text in account_rows(account):
        table.add_row(name, f"{cycles:,.1f}", f"{share:.1%}", text)
    return table


def print_line(console: Console, text: str) -> None:
    """Print one line as it is, without markup or wrapping."""
    console.print(text, markup=False, soft_wrap=True)


def check_picture(picture: Path | None) -> None:
    """Reject a file name that cannot be drawn or written, before any work is done."""
    if picture is None:
        return
    if picture.suffix not in (".svg", ".png"):
        raise ConfigurationError(f"--picture {picture}: the name must end in .svg or .png")
    check_writable(picture)
