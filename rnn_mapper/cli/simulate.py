"""`spatial-rnn simulate`: a network and its input through the Verilog of a grid, compared bit by bit."""

from __future__ import annotations

import contextlib
import io
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.console import Console
from rich.table import Table

from rnn_mapper.cli.common import Output, force_option, grid_options, json_option
from rnn_mapper.cli.mapped import (
    PATH,
    Progress,
    account_table,
    check_picture,
    describe,
    model_options,
    prepare_from_options,
    print_line,
)
from rnn_mapper.cli.output_files import check_writable, output_directory, replace_file

if TYPE_CHECKING:
    from rnn_mapper.simulation_result import SimulationResult

#: Where waves are kept when no directory is named.
WAVES_DIRECTORY = Path("build/simulate")
#: Exit status when bits or cycles are not as expected.
DIFFERENT = 1


@click.command("simulate")
@model_options
@click.option("--input", "input_file", type=PATH, metavar="FILE.npy", required=True,
              help="Input, float [steps, features]; it is the calibration input, too, unless --calibration is given.")
@click.option("--calibration", type=PATH, metavar="FILE.npy", help="Typical input, which sets the scale of the inputs.")
@click.option("--sim", "simulator", type=click.Choice(["icarus", "verilator"]),
              help="Simulator. Default: icarus for what it finishes within seconds, else verilator.")
@click.option("--waves", is_flag=True,
              help=f"Record waves, in the results directory (without -o: {WAVES_DIRECTORY}).")
@click.option("--outputs", type=PATH, metavar="FILE.npy", help="Write the 16-bit outputs, int16 [steps, hidden].")
@click.option("-o", "--output", "directory", type=PATH, metavar="DIR",
              help="Keep memory images, log and waves in DIR; it is created.")
@grid_options
@force_option
@json_option
def command(
    model: Path, cell: str | None, cells_file: Path | None, ru: int | None, hu: int | None, schedule: str,
    picture: Path | None,
    input_file: Path, calibration: Path | None, simulator: str | None, waves: bool, outputs: Path | None,
    directory: Path | None, force: bool, json_file: str | None, **options: Any,
) -> int:
    """Quantise a network, map it, generate the grid's Verilog, simulate it, and compare every bit and cycle.

    Without a grid option the smallest preset that fits is taken. The exit status is 1 when an output differs from the
    reference or the cycle count from the prediction.

    Example: spatial-rnn simulate --model lstm.npz --input speech.npy --preset medium
    """
    started = time.perf_counter()
    output = Output(json_file)
    check_picture(picture)
    if outputs is not None:
        check_writable(outputs)
    if waves and directory is None:
        directory, force = WAVES_DIRECTORY, True
    with contextlib.ExitStack() as stack:
        folder = None if directory is None else stack.enter_context(output_directory(directory, force))
        status = stack.enter_context(output.status("reading"))
        from rnn_mapper.cells.user_files import with_cells
        from rnn_mapper.preparation import as_inputs, as_network
        from rnn_mapper.simulation import simulate_prepared
        from sim_tests.simulators import logs_kept

        if folder is not None:
            # It vanishes when the command fails.
            stack.enter_context(logs_kept())
        network = as_network(model, cell, with_cells(cells_file))
        inputs = as_inputs(input_file, network)
        typical = inputs if calibration is None else as_inputs(calibration, network)
        status("quantising and mapping")
        prepared = prepare_from_options(network, typical, options, ru, hu, schedule, len(inputs))
        result = simulate_prepared(prepared, inputs, simulator, waves, folder, Progress(output.errors, status), started)
        if picture is not None:
            from rnn_mapper.pictures import schedule_picture

            title = f"{model.stem} on a {prepared.grid_name} grid"
            schedule_picture(prepared.mapping, result.prediction, picture, title)
        if outputs is not None:
            _save(outputs, result)
    _report(result, output.console)
    if result.waves is not None and directory is not None:
        print_line(output.console, f"Waves      {directory / result.waves.name}")
    output.write_json(result.to_json())
    if not result.is_exact:
        print_line(output.errors, f"different: {difference(result)}")
        return DIFFERENT
    return 0


def difference(result: SimulationResult) -> str:
    """What is not as expected, in a line."""
    texts = []
    if result.mismatches:
        step, unit = (int(index[0]) for index in (result.outputs != result.expected).nonzero())
        texts.append(
            f"{result.mismatches} of {result.outputs.size} outputs differ from the reference, first step {step}, "
            f"unit {unit}: {result.outputs[step, unit]} instead of {result.expected[step, unit]}"
        )
    if result.cycles_predicted != result.cycles_simulated:
        texts.append(f"{result.cycles_simulated} cycles simulated, {result.cycles_predicted} predicted")
    return "; ".join(texts)


def _save(path: Path, result: SimulationResult) -> None:
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, result.outputs)
    replace_file(path, buffer.getvalue())


def _report(result: SimulationResult, console: Console) -> None:
    steps = len(result.outputs)
    describe(result.prepared, console)
    print_line(console, f"Simulator  {result.simulator}: built in {result.build_seconds:.1f} s, "
                        f"ran {result.run_seconds:.1f} s, {result.seconds:.1f} s in all")
    bits = "all as the reference" if not result.mismatches else f"{result.mismatches} DIFFER from the reference"
    print_line(console, f"Outputs    {steps} steps of {result.outputs.shape[1]} values of 16 bits: {bits}")
    cycles = "as predicted" if result.cycles_predicted == result.cycles else f"{result.cycles_predicted} PREDICTED"
    print_line(console, f"Cycles     {result.cycles:,}, {cycles}; {result.cycles / steps:,.1f} a step; "
                        f"multipliers busy {result.prediction.utilisation:.1%} of the time")
    console.print()
    console.print(account_table(result.mapping, result.prediction))
    console.print()
    console.print(error_table(result))


def error_table(result: SimulationResult) -> Table:
    """Integers against floating point, per layer."""
    table = Table(title="Error of the integers against floating point", title_justify="left", box=None, pad_edge=False)
    for heading in ("", "RMS", "99.9 %", "largest", "signal RMS"):
        table.add_column(heading, justify="left" if not heading else "right")
    for error in result.layer_errors:
        table.add_row(error.name, *(f"{v:.5f}" for v in (error.rms, error.p999, error.max, error.signal_rms)))
    return table
