"""`spatial-rnn fit`: the resources that models need, and the smallest grid and FPGA that have them."""

from __future__ import annotations

import contextlib
from collections import abc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.console import Console

from rnn_mapper.cli.common import (
    Output,
    clock_from_option,
    clock_option,
    grid_from_options,
    grid_is_named,
    grid_options,
    json_option,
)
from rnn_mapper.cli.mapped import PATH, describe_grid, print_line
from rnn_mapper.cli.model_options import MODEL_HELP, describe_model, model_json, model_options, models_from_options
from rnn_mapper.cli.tables import plain_table
from rnn_mapper.report.clock import duration
from rnn_mapper.summary import counted

if TYPE_CHECKING:
    from rnn_mapper.explore.devices import Device
    from rnn_mapper.explore.fit import Account
    from rnn_mapper.report.clock import Clock

__all__ = ["Refusal", "command", "print_account"]

#: Exit status when the models do not fit the grid that was named.
_DOES_NOT_FIT = 1
_STEPS = 16
#: Share of a resource above which place and route of an FPGA becomes difficult, by the vendors' advice.
_TIGHT = 0.85


@click.command("fit", epilog=f"MODEL: {MODEL_HELP}")
@click.argument("model_files", metavar="MODEL...", type=PATH, nargs=-1, required=True)
@model_options
@click.option("--within", type=float, metavar="CYCLES",
              help="Limit of the smallest grid: at most CYCLES a step, for all models one after the other.")
@click.option("--steps", type=click.IntRange(1, 1 << 16), default=_STEPS, show_default=True,
              help="Steps of the sequence whose cycles are reported.")
@clock_option
@grid_options
@json_option
def command(
    model_files: tuple[Path, ...], within: float | None, steps: int, clock_mhz: float | None, json_file: str | None,
    **options: Any,
) -> int:
    """Compare the resources that models need with a grid's, and find the smallest grid and FPGA that fit.

    Several models are resident in one grid at once. Without a grid option the smallest preset that fits is compared.
    The exit status is 1 if the models do not fit the grid that was named. 'spatial-rnn explore' searches for the
    fastest grids within a budget.

    Example: spatial-rnn fit model.onnx --preset small --within 2000
    """
    output = Output(json_file)
    clock = clock_from_option(clock_mhz)
    with output.status("reading"):
        from rnn_mapper.explore.fit import account_of

        models = models_from_options(model_files, options)
    grid = _named_grid(options)
    with output.progress("grid sizes") as progress:
        account = account_of([model.network for model in models], grid, steps, within, progress=progress)
    for file, model in zip(model_files, models, strict=True):
        describe_model(file, model, output.console)
    print_account(account, output.console, grid is None, within, clock)
    output.write_json({
        "models": [model_json(file, model) for file, model in zip(model_files, models, strict=True)],
        **account.to_json(),
        "clock_mhz": None if clock is None else clock.mhz,
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
    account: Account, console: Console, chosen: bool = False, within: float | None = None,
    clock: Clock | None = None,
) -> None:
    """Print the account for people. `chosen`: the grid was not named, but is the smallest preset that fits."""
    grid = account.grid
    print_line(console, f"Needs      {account.weights:,} 8-bit weights, {account.multiplications:,} "
                        "multiplications a step")
    describe_grid(grid.name, grid.parameters, chosen and grid.fits, console)
    title = "Resources of the grid" if grid.fits else "Resources of the grid, shortages first"
    headings = ("memory or table", "needed", "has", "", "parameter")
    table = plain_table(*headings, title=title, right=("needed", "has"))
    for need in grid.needs:
        verdict = f"{need.needed / need.available:.0%}" if need.is_met else f"{need.needed - need.available:,} short"
        table.add_row(need.what, f"{need.needed:,}", f"{need.available:,}", verdict, need.field)
    console.print(table)
    if grid.cycles is not None:
        print_line(console, f"Fits       {_latency(grid.cycles, account.steps, clock)}")
        print_line(console, f"FPGA       for this grid: {_device_text(grid.device, grid.used)}")
    else:
        print_line(console, "Fits       no" if not chosen else "Fits       no, and it is the largest preset")
        if grid.enlarged is not None:
            larger = grid.enlarged.parameters.to_dict()
            changes = ", ".join(
                f"{name} = {value}" for name, value in larger.items() if value != getattr(grid.parameters, name)
            )
            print_line(console, f"With       {changes}: {_latency(grid.enlarged.cycles, account.steps, clock)}; "
                                f"FPGA for it: {_device_text(grid.enlarged.device, grid.enlarged.used)}")
    limit = "" if within is None else f" within {within:,.0f} cycles a step"
    if account.smallest is None:
        print_line(console, f"Smallest   none{limit} among the sizes with known areas")
        return
    p = account.smallest.parameters
    depths = ", ".join(f"{name} = {getattr(p, name)}" for name in ("weight_depth", "vector_depth", "units",
                                                                  "gate_entries"))
    print_line(console, f"Smallest   {p.rows} x {p.cols} sites of {p.lanes} lanes ({p.multipliers} multipliers)"
                        f"{limit}, {depths}: {_latency(account.smallest.cycles, account.steps, clock)}")
    text = _device_text(account.smallest.device, account.smallest.used)
    print_line(console, f"FPGA       for the smallest grid: {text}")
    print_line(console, f"           {_clock_text(account)}")
    print_line(console, "           The grid belongs inside an FPGA, behind a bus: it has more ports than small "
                        "packages have pins.")


def _clock_text(account: Account) -> str:
    """The time a step of the smallest grid on its FPGA, as far as it is known."""
    from rnn_mapper.explore.clocks import clock_model

    smallest = account.smallest
    if smallest is None or smallest.device is None:
        return "No clock is known for it."
    clocks = clock_model(smallest.device.target)
    if smallest.clock_mhz is None or clocks is None:
        return f"No clock is known for it: no grid was placed and routed on the family of the {smallest.device.name}."
    each = smallest.cycles / account.steps / smallest.clock_mhz
    return f"About {smallest.clock_mhz:.0f} MHz there, {duration(each)} a step. {clocks.text}."


def _latency(cycles: int, steps: int, clock: Clock | None) -> str:
    each = cycles / steps
    time = "" if clock is None else f" ({clock.text(each)})"
    return f"{cycles:,} cycles for {counted(steps, 'step')}, {each:,.1f} a step{time}"


def _device_text(device: Device | None, used: abc.Mapping[str, float]) -> str:
    from rnn_mapper.explore.area import area_model
    from rnn_mapper.explore.fit import limiting

    if device is None:
        return "none of the known FPGAs is large enough"
    parts = ", ".join(f"{used.get(name, 0):,.0f} of {limit:,} {name.upper()}" for name, limit in device.limits.items())
    resource, share = limiting(device, used)
    tight = f"; above {_TIGHT:.0%}, place and route may fail or be slow" if share > _TIGHT else ""
    errors = area_model(device.target).whole_error
    error = f", estimated within {max(errors.values()):.0%} of whole grids" if errors else ", estimated"
    return f"{device.name} is the smallest that is large enough: {parts}{error}; limited by {resource.upper()}, " \
           f"{share:.0%}{tight}"
