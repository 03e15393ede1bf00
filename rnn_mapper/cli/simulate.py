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

from rnn_mapper.cli.common import (
    Output,
    force_option,
    grid_options,
    json_option,
)
from rnn_mapper.cli.fit import Refusal
from rnn_mapper.cli.mapped import (
    PATH,
    Progress,
    account_table,
    check_picture,
    describe,
    network_options,
    prepare_from_options,
    print_line,
    streams_line,
    streams_option,
)
from rnn_mapper.cli.metric_options import (
    describe_metric,
    metric_from_option,
    metric_of_result,
    metric_option,
)
from rnn_mapper.cli.model_options import describe_model, model_json, model_option, models_from_options
from rnn_mapper.cli.output_files import check_writable, output_directory, replace_file
from rnn_mapper.cli.scale_options import input_options
from rnn_mapper.errors import ConfigurationError

if TYPE_CHECKING:
    from rnn_mapper.run.result import SimulationResult

#: Where waves are kept when no directory is named.
WAVES_DIRECTORY = Path("build/simulate")
#: Exit status when bits or cycles are not as expected.
DIFFERENT = 1


@click.command("simulate")
@model_option
@network_options
@input_options
@streams_option
@metric_option
@click.option("--sim", "simulator", type=click.Choice(["icarus", "verilator"]),
              help="Simulator. Default: icarus for what it finishes within seconds, else verilator.")
@click.option("--waves", is_flag=True,
              help=f"Record waves, in the results directory (without -o: {WAVES_DIRECTORY}).")
@click.option("--outputs", type=PATH, metavar="FILE.npy",
              help="Write the 16-bit outputs, int16 [steps, hidden]; of several streams [streams, steps, hidden].")
@click.option("-o", "--output", "directory", type=PATH, metavar="DIR",
              help="Keep memory images, log and waves in DIR; it is created.")
@grid_options
@force_option
@json_option
def command(
    model: Path, ru: int | None, hu: int | None, schedule: str, picture: Path | None, input_files: tuple[Path, ...],
    streams: int | None, calibration: Path | None, metric: str | None, simulator: str | None, waves: bool,
    outputs: Path | None, directory: Path | None, force: bool, json_file: str | None, **options: Any,
) -> int:
    """Quantise a network, map it, generate the grid's Verilog, simulate it, and compare every bit and cycle.

    Without a grid option the smallest preset that fits is taken. The exit status is 1 when an output differs from the
    reference or the cycle count from the prediction. A network with bidirectional layers runs as several models of the
    grid, one after the other; cycles are the sum of theirs.

    Example: spatial-rnn simulate --model lstm.pt --input speech.npy --preset medium
    """
    started = time.perf_counter()
    output = Output(json_file)
    check_picture(picture)
    judge = metric_from_option(metric)
    if outputs is not None:
        check_writable(outputs)
    if waves and directory is None:
        directory, force = WAVES_DIRECTORY, True
    with contextlib.ExitStack() as stack:
        folder = None if directory is None else stack.enter_context(output_directory(directory, force))
        refusal = stack.enter_context(Refusal(output.console, options))
        status = stack.enter_context(output.status("reading"))
        import numpy as np

        from rnn_mapper.run.prepare import as_inputs, as_streams
        from rnn_mapper.run.simulate import simulate_prepared
        from sim_tests.simulator.run import logs_kept

        if folder is not None:
            # It vanishes when the command fails.
            stack.enter_context(logs_kept())
        imported = models_from_options((model,), options)[0]
        network = imported.network
        inputs = as_streams(list(input_files), network, options["rate"])
        if streams is not None and streams != len(inputs):
            raise ConfigurationError(f"--streams {streams}: the inputs hold {len(inputs)}")
        typical = np.concatenate(inputs) if calibration is None else as_inputs(calibration, network, options["rate"])
        status("quantising and mapping")
        refusal.models([network], len(inputs[0]), len(inputs))
        progress = Progress(output.errors, status)
        steps = len(inputs[0])
        (prepared,) = prepare_from_options([imported], [typical], options, ru, hu, schedule, steps, len(inputs))
        result = simulate_prepared(prepared, inputs, simulator, waves, folder, progress, started)
        if picture is not None:
            from rnn_mapper.report.schedule_picture import schedule_picture

            title = f"{model.stem} on a {prepared.grid_name} grid"
            drawn = [(mapping, one.prediction) for mapping, one in zip(prepared.mappings, result.segments, strict=True)]
            schedule_picture(drawn, picture, title)
        if outputs is not None:
            _save(outputs, result)
    describe_model(model, imported, output.console)
    more = _report(result, output.console)
    if judge is not None:
        from rnn_mapper.report.metrics import metric_json

        figures = metric_of_result(judge, result, inputs)
        more |= {"metric": metric_json(figures)}
        describe_metric(figures, output.console)
    if result.waves is not None and directory is not None:
        print_line(output.console, f"Waves      {directory / result.waves.name}")
    output.write_json({"imported": [model_json(model, imported)], **result.to_json(), **more})
    if not result.is_exact:
        print_line(output.errors, f"different: {difference(result)}")
        return DIFFERENT
    return 0


def difference(result: SimulationResult) -> str:
    """What is not as expected, in a line."""
    texts = []
    for number, one in enumerate(result.segments, result.prepared.first_model):
        where = f"model {number}: " if len(result.segments) > 1 else ""
        if one.mismatches:
            step, unit = (int(index[0]) for index in (one.outputs != one.expected).nonzero())
            texts.append(
                f"{where}{one.mismatches} of {one.outputs.size} outputs differ from the reference, first step {step}, "
                f"unit {unit}: {one.outputs[step, unit]} instead of {one.expected[step, unit]}"
            )
        if one.cycles_predicted != one.cycles_simulated:
            texts.append(f"{where}{one.cycles_simulated} cycles simulated, {one.cycles_predicted} predicted")
    return "; ".join(texts)


def _save(path: Path, result: SimulationResult) -> None:
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, result.stream_outputs if result.streams > 1 else result.outputs)
    replace_file(path, buffer.getvalue())


def _report(result: SimulationResult, console: Console) -> dict[str, Any]:
    """Print the result; returns what belongs into the JSON, too."""
    steps = len(result.outputs)
    describe([result.prepared], console)
    print_line(console, f"Simulator  {result.simulator}: built in {result.build_seconds:.1f} s, "
                        f"ran {result.run_seconds:.1f} s, {result.seconds:.1f} s in all")
    bits = "all as the reference" if not result.mismatches else f"{result.mismatches} DIFFER from the reference"
    print_line(console, f"Outputs    {steps} steps of {result.outputs.shape[1]} values of 16 bits: {bits}")
    if len(result.segments) > 1:
        _report_segments(result, console)
    cycles = "as predicted" if result.cycles_predicted == result.cycles else f"{result.cycles_predicted} PREDICTED"
    print_line(console, f"Cycles     {result.cycles:,}, {cycles}; {result.cycles / steps:,.1f} a step; "
                        f"multipliers busy {result.utilisation:.1%} of the time")
    more = streams_line(result.prepared, result.cycles, steps, console)
    console.print()
    console.print(account_table(result.account))
    console.print()
    console.print(error_table(result))
    return more


def _report_segments(result: SimulationResult, console: Console) -> None:
    """The model of each segment; the host's work between them is in no figure."""
    segments = zip(result.prepared.quantised.segments, result.segments, strict=True)
    for number, (segment, one) in enumerate(segments, result.prepared.first_model):
        merge = "" if segment.merge is None else f", both directions at once, {segment.merge}"
        bits = "all bits as the reference" if not one.mismatches else f"{one.mismatches} DIFFER from the reference"
        cycles = "as predicted" if one.cycles_predicted == one.cycles_simulated else f"{one.cycles_predicted} PREDICTED"
        text = f"{segment.name}{merge}: {bits}; {one.cycles_simulated:,} cycles, {cycles}"
        print_line(console, f"MODEL {number:<4} {text}")


def error_table(result: SimulationResult) -> Table:
    """Integers against floating point, per layer."""
    table = Table(title="Error of the integers against floating point", title_justify="left", box=None, pad_edge=False)
    for heading in ("", "RMS", "99.9 %", "largest", "signal RMS"):
        table.add_column(heading, justify="left" if not heading else "right")
    for error in result.layer_errors:
        table.add_row(error.name, *(f"{v:.5f}" for v in (error.rms, error.p999, error.max, error.signal_rms)))
    return table
