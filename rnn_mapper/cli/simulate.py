"""`spatial-rnn simulate`: a network run on the Verilog of a grid, and compared bit by bit."""

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
    clock_from_option,
    clock_option,
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
from rnn_mapper.cli.scale_options import calibration_from_options, input_options, sequences_from_options
from rnn_mapper.cli.tables import plain_table

if TYPE_CHECKING:
    from rnn_mapper.run.prepare import Prepared
    from rnn_mapper.run.result import SimulationResult

#: Directory for waves if none is named.
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
              help="Simulator. Default: icarus for runs of a few seconds, else verilator.")
@click.option("--waves", is_flag=True,
              help=f"Record waves, in the results directory (without -o: {WAVES_DIRECTORY}), with a layout for GTKWave "
                   "and Surfer beside them.")
@click.option("--outputs", type=PATH, metavar="FILE.npy",
              help="Write the grid's 16-bit outputs, int16 [steps, outputs]; of a batch in the layout of the inputs. "
                   "Steps left to the host are not applied.")
@click.option("-o", "--output", "directory", type=PATH, metavar="DIR",
              help="Keep memory images, log and waves in DIR; it is created.")
@clock_option
@grid_options
@force_option
@json_option
def command(
    model: Path, ru: int | None, hu: int | None, schedule: str, picture: Path | None, input_files: tuple[Path, ...],
    streams: int | None, calibration: Path | None, metric: str | None, simulator: str | None, waves: bool,
    outputs: Path | None, directory: Path | None, clock_mhz: float | None, force: bool,
    json_file: str | None, **options: Any,
) -> int:
    """Quantise a network, map it, generate the grid's Verilog, simulate it, and compare every bit and cycle.

    Without a grid option the smallest preset that fits is used. The exit status is 1 when an output differs from the
    reference or the cycle count from the prediction. A network with bidirectional layers runs as several models of the
    grid, one after the other; the cycles are the sum over these models.

    Example: spatial-rnn simulate --model lstm.pt --input speech.npy --preset medium
    """
    started = time.perf_counter()
    output = Output(json_file)
    check_picture(picture)
    judge = metric_from_option(metric)
    clock = clock_from_option(clock_mhz)
    if outputs is not None:
        check_writable(outputs)
    if waves and directory is None:
        directory, force = WAVES_DIRECTORY, True
    with contextlib.ExitStack() as stack:
        folder = None if directory is None else stack.enter_context(output_directory(directory, force))
        refusal = stack.enter_context(Refusal(output.console, options))
        status = stack.enter_context(output.status("reading"))
        from rnn_mapper.run.simulate import place_streams, simulate_prepared
        from sim_tests.simulator.run import logs_kept

        if folder is not None:
            # The folder is deleted if the command fails.
            stack.enter_context(logs_kept())
        imported = models_from_options((model,), options)[0]
        inputs = sequences_from_options(input_files, imported, options)
        typical = calibration_from_options(calibration, inputs, imported, options)
        status("quantising and mapping")
        steps = max(inputs.steps)

        def place(count: int) -> Prepared:
            refusal.models([imported.network], steps, count)
            return prepare_from_options([imported], [typical], options, ru, hu, schedule, steps, count)[0]

        progress = Progress(output.errors, status)
        prepared = place_streams(inputs, streams, place)
        result = simulate_prepared(prepared, inputs, simulator, waves, folder, progress, started, clock)
        if picture is not None:
            from rnn_mapper.report.schedule_picture import schedule_picture

            title = f"{model.stem} on a {prepared.grid_name} grid"
            drawn = [(mapping, one.prediction) for mapping, one in zip(prepared.mappings, result.runs[0], strict=True)]
            schedule_picture(drawn, picture, title)
        if outputs is not None:
            _save(outputs, result)
    describe_model(model, imported, output.console)
    print_line(output.console, f"Input      {inputs.text}{_order(result)}")
    more = _report(result, output.console)
    if judge is not None:
        from rnn_mapper.report.metrics import metric_json

        figures = metric_of_result(judge, result)
        more |= {"metric": metric_json(figures)}
        describe_metric(figures, output.console)
    if result.waves is not None and directory is not None:
        print_line(output.console, f"Waves      {directory / result.waves.name}; "
                                   f"gtkwave {directory / result.waves.with_suffix('.gtkw').name}")
    output.write_json({"imported": [model_json(model, imported)], **result.to_json(), **more})
    if not result.is_exact:
        print_line(output.errors, f"different: {difference(result)}")
        return DIFFERENT
    return 0


def difference(result: SimulationResult) -> str:
    """All differences from the expected results, in one line."""
    texts = []
    count = len(result.runs[0])
    for index, one in enumerate(result.segments):
        run = f"run {index // count}: " if len(result.runs) > 1 else ""
        where = run + (f"model {result.prepared.first_model + index % count}: " if count > 1 else "")
        if one.mismatches:
            step, unit = (int(index[0]) for index in (one.outputs != one.expected).nonzero())
            texts.append(
                f"{where}{one.mismatches} of {one.outputs.size} outputs differ from the reference, first step {step}, "
                f"unit {unit}: {one.outputs[step, unit]} instead of {one.expected[step, unit]}"
            )
        if one.cycles_predicted != one.cycles_simulated:
            texts.append(f"{where}{one.cycles_simulated} cycles simulated, {one.cycles_predicted} predicted")
    return "; ".join(texts)


def _order(result: SimulationResult) -> str:
    """How several sequences ran."""
    if len(result.inputs) == 1:
        return ""
    if result.streams == 1:
        return "; run one after the other"
    return "; all at once" if len(result.runs) == 1 else f"; {result.streams} at once"


def _save(path: Path, result: SimulationResult) -> None:
    import numpy as np

    outputs = result.outputs
    if isinstance(outputs, list):
        # An .npy holds one array: [sequences, longest, outputs], with zeros after the end of a shorter sequence.
        longest = max(result.inputs.steps)
        outputs = np.stack([np.pad(one, ((0, longest - len(one)), (0, 0))) for one in result.sequence_outputs])
    buffer = io.BytesIO()
    np.save(buffer, outputs)
    replace_file(path, buffer.getvalue())


def _report(result: SimulationResult, console: Console) -> dict[str, Any]:
    """Print the result; returns further values for the JSON."""
    from rnn_mapper.report.clock import duration

    steps, width = result.steps, result.sequence_outputs[0].shape[1] * result.streams
    describe([result.prepared], console)
    print_line(console, f"Simulator  {result.simulator}: built in {result.build_seconds:.1f} s, "
                        f"ran {result.run_seconds:.1f} s, {result.seconds:.1f} s in total")
    bits = "all equal to the reference" if not result.mismatches else f"{result.mismatches} DIFFER from the reference"
    print_line(console, f"Outputs    {steps} step{'s' if steps > 1 else ''} of {width} 16-bit values: {bits}")
    if len(result.runs[0]) > 1:
        _report_segments(result, console)
    cycles = "as predicted" if result.cycles_predicted == result.cycles else f"{result.cycles_predicted} PREDICTED"
    print_line(console, f"Cycles     {result.cycles:,}, {cycles}; {result.cycles / steps:,.1f} a step; "
                        f"multipliers busy {result.utilisation:.1%} of the time")
    if result.clock is not None:
        print_line(console, f"Time       {result.clock.text(result.cycles)}, "
                            f"{duration(result.clock.microseconds(result.cycles / steps))} a step")
    more = streams_line(result.prepared, result.cycles, steps, console)
    console.print()
    console.print(account_table(result.account))
    console.print()
    console.print(error_table(result))
    return more


def _report_segments(result: SimulationResult, console: Console) -> None:
    """Print the model of each segment; no figure includes the host's work between them."""
    segments = zip(result.prepared.quantised.segments, zip(*result.runs, strict=True), strict=True)
    for number, (segment, compared) in enumerate(segments, result.prepared.first_model):
        merge = "" if segment.merge is None else f", both directions at once, {segment.merge}"
        wrong = sum(one.mismatches for one in compared)
        bits = "equal to the reference" if not wrong else f"{wrong} DIFFER from the reference"
        predicted, simulated = (
            sum(getattr(one, name) for one in compared) for name in ("cycles_predicted", "cycles_simulated")
        )
        cycles = "as predicted" if predicted == simulated else f"{predicted} PREDICTED"
        print_line(console, f"MODEL {number:<4} {segment.name}{merge}: {bits}; {simulated:,} cycles, {cycles}")


def error_table(result: SimulationResult) -> Table:
    """A table of the errors of the integers against floating point, per layer."""
    figures = ("RMS", "99.9 %", "largest", "signal RMS")
    table = plain_table("", *figures, title="Error of the integers against floating point", right=figures)
    for error in result.layer_errors:
        table.add_row(error.name, *(f"{v:.5f}" for v in (error.rms, error.p999, error.max, error.signal_rms)))
    return table
