"""`spatial-rnn synth`: area of a grid."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.table import Table

from hdl.errors import ConfigurationError, did_you_mean
from rnn_mapper.cli.common import (
    Output,
    clock_from_option,
    clock_option,
    grid_from_options,
    grid_is_named,
    grid_options,
    json_option,
)
from rnn_mapper.cli.tables import plain_table

if TYPE_CHECKING:
    from hdl.synthesis.report import ModuleArea, SynthesisReport


@click.command("synth")
@click.argument("directory", type=click.Path(path_type=Path), required=False)
@click.option("--target", default="generic", metavar="generic|ice40|ecp5|xilinx|ice40hx", show_default=True,
              help="generic counts gate equivalents (NAND2), the others LUTs, flip-flops, DSPs and block RAMs "
                   "(ice40hx: devices without DSPs).")
@click.option("--liberty", type=click.Path(path_type=Path), metavar="FILE",
              help="Library of standard cells for the target 'generic' (.lib or .lib.gz).")
@click.option("--timing", is_flag=True, help="Longest paths in the library instead of areas, by OpenSTA, no wires.")
@click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Modules synthesised at once.")
@clock_option
@grid_options
@json_option
def command(
    directory: Path | None, target: str, liberty: Path | None, timing: bool, jobs: int, clock_mhz: float | None,
    json_file: str | None, **options: Any,
) -> None:
    """Synthesise a grid with Yosys and show the area of each module and of the whole grid.

    The grid is a DIRECTORY that 'generate' wrote, or is generated from the options. Each distinct module is
    synthesised once and multiplied by its instances.

    Example: spatial-rnn synth --preset small

    Example: spatial-rnn synth build/grid --target ice40

    Example: spatial-rnn synth --preset tiny --liberty cells.lib --timing
    """
    started = time.perf_counter()
    output = Output(json_file)
    clock = clock_from_option(clock_mhz)
    if directory is not None and grid_is_named(options):
        raise ConfigurationError(f"{directory}: name a generated directory or a grid's options, not both")
    parameters = grid_from_options(options)
    from hdl.synthesis.area import synthesise
    from hdl.synthesis.flow import parameters_of
    from hdl.synthesis.recipes import TARGETS, Liberty

    # Wrong options are reported before the grid is generated; synthesise() checks them again.
    if target not in TARGETS:
        raise ConfigurationError(f"target {target!r} is unknown: choose one of {', '.join(TARGETS)}"
                                 f"{did_you_mean(target, TARGETS)}")
    if liberty is not None:
        if target != "generic":
            raise ConfigurationError(
                f"a Liberty file cannot be used with the target {target}: use the target 'generic'"
            )
        Liberty.read(liberty)
    elif timing:
        raise ConfigurationError("--timing needs a library of standard cells: name one with --liberty FILE.lib")
    if timing and clock is not None:
        raise ConfigurationError("--clock: --timing finds the clock; name one of the two")
    with tempfile.TemporaryDirectory(prefix="spatial-rnn-") as temporary:
        if directory is None:
            from hdl.output.package import make_package

            with output.progress("modules generated") as progress:
                make_package(parameters, progress=progress).write(Path(temporary))
        if timing:
            assert liberty is not None
            _timing(output, directory or Path(temporary), liberty, jobs, started)
            return
        with output.progress("syntheses") as progress:
            report = synthesise(
                directory or Path(temporary), target, liberty,
                lambda what, done, total: progress(done, total, what), jobs=jobs,
            )
    seconds = time.perf_counter() - started
    _print(output, report, seconds)
    if directory is not None:
        parameters = parameters_of(directory)
    multipliers = parameters.multipliers
    if clock is not None:
        output.console.print(
            f"Peak: {multipliers:,} multiplications a cycle, {multipliers * clock.mhz / 1e3:,.2f} billion a second at "
            f"{clock.mhz:g} MHz ({clock.source}); place and route shows whether a device reaches this clock",
            soft_wrap=True, markup=False,
        )
    output.write_json({
        **report.to_json(), "seconds": round(seconds, 3), "multipliers": multipliers,
        "clock_mhz": None if clock is None else clock.mhz,
        "multiplications_per_second": None if clock is None else multipliers * clock.mhz * 1e6,
    })


def _timing(output: Output, directory: Path, liberty: Path, jobs: int, started: float) -> None:
    from hdl.synthesis.timing import grid_timing

    with output.progress("modules timed") as progress:
        report = grid_timing(directory, liberty, lambda what, done, total: progress(done, total, what), jobs=jobs)
    seconds = time.perf_counter() - started
    figures = ("period (ns)", "of a dot product", "area")
    table = plain_table("module", *figures, "from", "to", title=f"Timing, library {report.liberty} ({seconds:.0f} s)",
                        right=figures)
    table.caption_justify = "left"
    table.caption = (
        "Each module with all that it holds, except memories; not the top level; without wires. Area in the library's "
        "unit."
    )
    for module in (report.reference, *report.modules):
        table.add_row(module.name, f"{module.period_ns:.2f}", f"{module.period_ns / report.reference.period_ns:.2f}",
                      f"{module.area:,.0f}", module.begins, module.ends)
    output.console.print(table)
    output.console.print(
        f"Clock without wires: {1e3 / report.worst.period_ns:,.0f} MHz, limited by {report.worst.name}", markup=False,
        soft_wrap=True,
    )
    output.write_json({**report.to_json(), "seconds": round(seconds, 3)})


_CAPTION = "Figures are for one instance, the total for the whole grid."


def _print(output: Output, report: SynthesisReport, seconds: float) -> None:
    whole = report.total()
    library = f", library {report.liberty}" if report.liberty else ""
    title = f"Area, target {report.target}{library} ({seconds:.0f} s)"
    generic = report.target == "generic"
    table = _gates_table(report, title) if generic else _fpga_table(report, title)
    output.console.print(table)
    cells = plain_table("cell", "in the whole grid", title="Cells by type", right=("in the whole grid",))
    for name, count in whole.cells.items():
        cells.add_row(name, f"{count:,}")
    output.console.print(cells)
    if report.pcu_overhead_ratio is not None and report.bare_dot_product is not None:
        output.console.print(
            f"PCU: {100 * report.pcu_overhead_ratio:.1f} % more gate equivalents than a bare dot product "
            f"({report.bare_dot_product:,.0f})"
        )


def _gates_table(report: SynthesisReport, title: str) -> Table:
    figures = ("instances", "cells", "gates (NAND2)", "multipliers", "adders", "rest", "flip-flops", "memory bits")
    table = plain_table("module", *figures, title=title, right=figures)
    table.caption_justify = "left"
    table.caption = f"{_CAPTION} The split is an estimate: each operator is synthesised alone."

    def add(area: ModuleArea) -> None:
        gates = area.gate_equivalents or 0.0
        shares = (f"{100 * part / gates:.0f} %" if gates else "" for part in (area.multipliers, area.adders,
                                                                               area.overhead))
        table.add_row(area.name, f"{area.instances:,}", f"{sum(area.cells.values()):,}", f"{gates:,.0f}", *shares,
                      f"{area.flip_flops:,}", f"{area.memory_bits:,}")

    for module in report.modules:
        if not module.memory:
            add(module)
    table.add_section()
    add(report.total())
    return table


def _fpga_table(report: SynthesisReport, title: str) -> Table:
    resources = ("lut", "ff", "dsp", "bram")
    figures = ("instances", "cells", *(name.upper() for name in resources), "memory bits")
    table = plain_table("module", *figures, title=title, right=figures)
    table.caption_justify = "left"
    table.caption = _CAPTION

    def add(area: ModuleArea) -> None:
        table.add_row(area.name, f"{area.instances:,}", f"{sum(area.cells.values()):,}",
                      *(f"{area.resources.get(name, 0):,}" for name in resources), f"{area.memory_bits:,}")

    for module in report.modules:
        add(module)
    table.add_section()
    add(report.total())
    return table
