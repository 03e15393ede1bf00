"""`spatial-rnn fit`: the resources that models need, and the smallest grid and FPGA that have them."""

from __future__ import annotations

import contextlib
from collections import abc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.console import Console
from rich.table import Table

from rnn_mapper.cli.common import Output, grid_from_options, grid_is_named, grid_options, json_option
from rnn_mapper.cli.mapped import PATH, describe_grid, print_line
from rnn_mapper.cli.model_options import MODEL_HELP, describe_model, model_json, model_options, models_from_options

if TYPE_CHECKING:
    from rnn_mapper.explore.fit import Account, FittingGrid

__all__ = ["Refusal", "command", "print_account"]

#: Exit status when the models do not fit the grid that was named.
_DOES_NOT_FIT = 1
_STEPS = 16
_CLOCK = 100.0


@click.command("fit", epilog=f"MODEL: {MODEL_HELP}")
@click.argument("model_files", metavar="MODEL...", type=PATH, nargs=-1, required=True)
@model_options
@click.option("--within", type=float, metavar="CYCLES",
              help="Limit of the smallest grid: at most CYCLES a step, for all models one after the other.")
@click.option("--steps", type=click.IntRange(1, 1 << 16), default=_STEPS, show_default=True,
              help="Steps of the sequence whose cycles are reported.")
@click.option("--clock", type=click.FloatRange(0, min_open=True), default=_CLOCK, show_default=True, metavar="MHZ",
              help="Clock to convert cycles to time. The clock of a real grid depends on place and route.")
@grid_options
@json_option
def command(
    model_files: tuple[Path, ...], within: float | None, steps: int, clock: float, json_file: str | None,
    **options: Any,
) -> int:
    """Compare the resources that models need with a grid's, and find the smallest grid and FPGA that fit.

    Several models are resident in one grid at once. Without a grid option the smallest preset that fits is compared.
    The exit status is 1 if the models do not fit the grid that was named. 'spatial-rnn explore' searches for the
    fastest grids within a budget.

    Example: spatial-rnn fit model.onnx --preset small --within 2000
    """
    output = Output(json_file)
    with output.status("reading"):
        from rnn_mapper.explore.fit import account_of

        models = models_from_options(model_files, options)
    with output.status("looking for the smallest grid"):
        grid = _named_grid(options)
        account = account_of([model.network for model in models], grid, steps, within)
    for file, model in zip(model_files, models, strict=True):
        describe_model(file, model, output.console)
    print_account(account, output.console, grid is None, within, clock)
    output.write_json({
        "models": [model_json(file, model) for file, model in zip(model_files, models, strict=True)],
        **account.to_json(),
    })
    return 0 if account.grid.fits or grid is None else _DOES_NOT_FIT


class Refusal(contextlib.AbstractContextManager["Refusal"]):
    """Prints the account of models that do not fit, before the error is passed on.

    `models` sets the models, as soon as they are known.
    """

    def __init__(self, console: Console, options: abc.Mapping[str, Any]) -> None:
        self._console, self._options = console, options
        self._networks: list[Any] = []
        self._steps, self._streams = _STEPS, 1

    def models(self, networks: Sequence[Any], steps: int, streams: int = 1) -> None:
        """Set the networks that must be resident in the grid at once."""
        self._networks, self._steps, self._streams = list(networks), steps, streams

    def __exit__(self, error_type: object, error: BaseException | None, trace: object) -> None:
        from rnn_mapper.mapping.allocation import CapacityError

        if isinstance(error, CapacityError) and self._networks:
            from rnn_mapper.explore.fit import account_of

            account = account_of(self._networks, _named_grid(self._options), self._steps, streams=self._streams)
            print_account(account, self._console, not grid_is_named(self._options))


def _named_grid(options: abc.Mapping[str, Any]) -> tuple[str, Any] | None:
    """Name and parameters of the grid in the options; None if they name no grid."""
    if not grid_is_named(options):
        return None
    parameters = grid_from_options(options)
    return grid_name(parameters), parameters


def grid_name(parameters: Any) -> str:
    """The name of a preset with these parameters, or "custom"."""
    from rnn_mapper.run.prepare import as_grid

    return as_grid(parameters)[0]


def print_account(
    account: Account, console: Console, chosen: bool = False, within: float | None = None, clock: float = _CLOCK
) -> None:
    """Print the account for people. `chosen`: the grid was not named, but is the smallest preset that fits."""
    grid = account.grid
    print_line(console, f"Needs      {account.weights:,} 8-bit weights, {account.multiplications:,} "
                        "multiplications a step")
    describe_grid(grid.name, grid.parameters, chosen and grid.fits, console)
    table = Table(box=None, pad_edge=False, title_justify="left",
                  title="Resources of the grid" if grid.fits else "Resources of the grid, shortages first")
    for heading in ("memory or table", "needed", "has", "", "parameter"):
        table.add_column(heading, justify="right" if heading in ("needed", "has") else "left")
    for need in grid.needs:
        verdict = f"{need.needed / need.available:.0%}" if need.is_met else f"{need.needed - need.available:,} short"
        table.add_row(need.what, f"{need.needed:,}", f"{need.available:,}", verdict, need.field)
    console.print(table)
    if grid.cycles is not None:
        print_line(console, f"Fits       {_latency(grid.cycles, account.steps, clock)}")
    else:
        print_line(console, "Fits       no" if not chosen else "Fits       no, and it is the largest preset")
        if grid.enlarged is not None:
            larger = grid.enlarged.parameters.to_dict()
            changes = ", ".join(
                f"{name} = {value}" for name, value in larger.items() if value != getattr(grid.parameters, name)
            )
            print_line(console, f"With       {changes}: {_latency(grid.enlarged.cycles, account.steps, clock)}; "
                                f"{_device_text(grid.enlarged)}")
    limit = "" if within is None else f" within {within:,.0f} cycles a step"
    if account.smallest is None:
        print_line(console, f"Smallest   none{limit} among the sizes with known areas")
        return
    p = account.smallest.parameters
    depths = ", ".join(f"{name} = {getattr(p, name)}" for name in ("weight_depth", "vector_depth", "units",
                                                                  "gate_entries"))
    print_line(console, f"Smallest   {p.rows} x {p.cols} sites of {p.lanes} lanes ({p.multipliers} multipliers)"
                        f"{limit}, {depths}: {_latency(account.smallest.cycles, account.steps, clock)}")
    print_line(console, f"FPGA       {_device_text(account.smallest)}")


def _latency(cycles: int, steps: int, clock: float) -> str:
    each = cycles / steps
    return (
        f"{cycles:,} cycles for {steps} step{'s' if steps > 1 else ''}, {each:,.1f} a step "
        f"({each / clock:,.2f} us at {clock:g} MHz)"
    )


def _device_text(grid: FittingGrid) -> str:
    if grid.device is None:
        return "none of the known FPGAs is large enough"
    limits = grid.device.limits
    used = ", ".join(f"{grid.used.get(name, 0):,.0f} of {limits[name]:,} {name.upper()}" for name in limits)
    return f"{grid.device.name} is the smallest that is large enough: {used} (estimated)"
