"""`spatial-rnn quantise`: a network in integers compared with floating point, without hardware."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.table import Table

from rnn_mapper.cli.common import Output, grid_from_options, grid_is_named, grid_options, json_option
from rnn_mapper.cli.mapped import PATH, check_picture, print_line
from rnn_mapper.cli.metric_options import describe_metric, metric_from_option, metric_option
from rnn_mapper.cli.model_options import (
    describe_model,
    model_json,
    model_option,
    model_options,
    models_from_options,
)
from rnn_mapper.cli.scale_options import (
    calibration_from_options,
    describe_scales,
    input_options,
    rate_option,
    rule_from_options,
    scale_options,
    sequences_from_options,
)
from rnn_mapper.cli.tables import plain_table
from rnn_mapper.summary import counted

if TYPE_CHECKING:
    from hdl.numerics import Arithmetic
    from rnn_mapper.importers import Imported
    from rnn_mapper.network.tensors import FloatArray
    from rnn_mapper.quantisation.calibration import ScaleRule
    from rnn_mapper.quantisation.integer_network import QuantisedModel, QuantisedNetwork
    from rnn_mapper.report.quantisation import QuantisationReport


@click.command("quantise")
@model_option
@model_options
@input_options
@scale_options
@rate_option
@metric_option
@click.option("--picture", type=PATH, metavar="FILE", help="Draw the error over the steps (.svg or .png).")
@grid_options
@json_option
def command(
    model: Path, input_files: tuple[Path, ...], calibration: Path | None, metric: str | None, picture: Path | None,
    json_file: str | None, **options: Any,
) -> None:
    """Quantise a network and report, layer by layer, formats, limited values, errors against floating point and drift.

    Nothing is simulated: the integers come from the reference, with which every simulation is compared, so long
    sequences take little time. Of the grid options only those that change the integers have an effect
    (--table-segments, --accumulator-bits, --operand-bits). The RMS error of every calibration method is reported,
    whichever is chosen.

    Example: spatial-rnn quantise --model lstm.pt --input speech.npy --calibration typical.npy --picture error.svg
    """
    output = Output(json_file)
    check_picture(picture)
    rule = rule_from_options(options)
    judge = metric_from_option(metric)
    parameters = grid_from_options(options) if grid_is_named(options) else None
    with output.status("reading") as status:
        from hdl.numerics import DEFAULT_ARITHMETIC
        from rnn_mapper.quantisation.accuracy import run_both
        from rnn_mapper.report.metrics import metric_json
        from rnn_mapper.report.quantisation import report_on

        imported = models_from_options((model,), options)[0]
        inputs = sequences_from_options(input_files, imported, options)
        typical = calibration_from_options(calibration, inputs, imported, options)
        assert typical is not None
        arithmetic = DEFAULT_ARITHMETIC if parameters is None else parameters.arithmetic
        status("quantising")
        quantised, members, compared = _quantise(imported, typical.joined, arithmetic, rule)
        status(f"running {counted(sum(inputs.steps), 'step')}")
        runs = run_both(imported.network, quantised, inputs.values, imported.state)
        report = report_on(runs)
        figures = [] if judge is None else judge.values(runs.wanted, runs.got, inputs.values)
        if picture is not None:
            from rnn_mapper.report.error_picture import error_picture

            error_picture(report, picture, f"{model.stem}: error of the integers against floating point")
    console = output.console
    describe_model(model, imported, console)
    print_line(console, f"Input      {inputs.text}")
    describe_scales(members, console)
    parts = [", ".join(one.names) for one in runs.members]
    for table in (
        _methods(parts, members, compared), _formats(report), _limited(report), _errors(report), _products(report),
    ):
        console.print()
        console.print(table)
    print_line(console, _drift(report))
    if figures:
        describe_metric(figures, console)
    output.write_json({
        "imported": [model_json(model, imported)],
        "inputs": inputs.text,
        "arithmetic": vars(arithmetic),
        "calibration": [
            {**made.choice.to_json(), "compared": other.choice.to_json()}
            for made, other in zip(members, compared, strict=True)
        ],
        **report.to_json(),
        **({"metric": metric_json(figures)} if figures else {}),
    })


def _quantise(
    imported: Imported, typical: FloatArray, arithmetic: Arithmetic, rule: ScaleRule
) -> tuple[QuantisedModel, list[QuantisedNetwork], list[QuantisedNetwork]]:
    """The network in integers, its members by the requested rule, and its members by the automatic rule."""
    from dataclasses import replace

    from rnn_mapper.quantisation.calibration import Method
    from rnn_mapper.quantisation.quantise import quantise_model

    rules = dict.fromkeys((rule, replace(rule, method=Method.AUTO)))
    made = [quantise_model(imported.network, typical, arithmetic, imported.state, one) for one in rules]
    members = [[member for segment in one.segments for member in segment.members] for one in made]
    return made[0], members[0], members[-1]


def _table(title: str, *headings: str, left: tuple[str, ...] = ("",)) -> Table:
    return plain_table(*headings, title=title, right=tuple(heading for heading in headings if heading not in left))


def _methods(parts: list[str], members: list[QuantisedNetwork], compared: list[QuantisedNetwork]) -> Table:
    """The error that each method gives, for each member of the network, as each has scales of its own."""
    names = list(compared[0].choice.errors)
    table = _table("RMS error of the outputs on the calibration input, by calibration method", "", *names)
    for part, made, other in zip(parts, members, compared, strict=True):
        errors = other.choice.errors
        cells = ["rejected" if (error := errors[name]) is None else _marked(f"{error:.5g}", name, made, other)
                 for name in names]
        table.add_row(part, *cells)
    return table


def _marked(text: str, name: str, made: QuantisedNetwork, best: QuantisedNetwork) -> str:
    notes = ["taken"] * (name == made.choice.rule.text) + ["least"] * (name == best.choice.rule.text)
    return f"{text} ({', '.join(notes)})" if notes else text


def _formats(report: QuantisationReport) -> Table:
    table = _table("Values in floating point, and their formats", "", "vector", "smallest", "largest", "16 bits",
                   "operand", left=("", "vector", "16 bits", "operand"))
    for layer in report.layers:
        name = f"{layer.name} ({layer.cell} {layer.input_size} -> {layer.output_size})"
        for vector in layer.vectors:
            table.add_row(name, vector.name, f"{vector.low:.4g}", f"{vector.high:.4g}", vector.words or "-",
                          vector.operand or "-")
            name = ""
    return table


def _limited(report: QuantisationReport) -> Table:
    table = _table("Values that did not fit and were limited", "", "where", "values", "of", "share",
                   left=("", "where"))
    for layer in report.layers:
        shown = [one for one in layer.limited if one.count]
        for one in shown:
            table.add_row(layer.name, one.what, f"{one.count:,}", f"{one.of:,}", f"{one.share:.3%}")
        if not shown:
            table.add_row(layer.name, "none", "0", f"{sum(one.of for one in layer.limited):,}", "0 %")
    return table


def _errors(report: QuantisationReport) -> Table:
    from rnn_mapper.report.quantisation import decibels

    table = _table(f"Error of the integers against floating point over "
                   f"{counted(report.steps, 'step')}", "", "signal to noise",
                   "RMS", "99.9 %", "largest", "signal RMS", "drift")
    for layer in report.layers:
        error = layer.error
        ratio = decibels(error.signal_rms, error.rms)
        table.add_row(layer.name, f"{ratio:.1f} dB" if math.isfinite(ratio) else str(ratio),
                      *(f"{value:.5f}" for value in (error.rms, error.p999, error.max, error.signal_rms)),
                      f"{error.drift:.2f}")
    return table


def _products(report: QuantisationReport) -> Table:
    table = _table(f"Proof for the {report.accumulator_bits}-bit accumulators, and the scales of the weight rows",
                   "", "worst sum", "bits", "margin", "smallest scale", "largest scale")
    for one in report.products:
        bound = one.bound
        table.add_row(bound.product, f"{bound.worst:,}", f"{bound.bits}", f"{bound.margin} bits",
                      f"{one.row_scales[0]:.3g}", f"{one.row_scales[2]:.3g}")
    return table


def _drift(report: QuantisationReport) -> str:
    from rnn_mapper.report.quantisation import DRIFT_BOUND, DRIFT_STEPS

    rule = "RMS error of the last fifth of the steps divided by the RMS error of the first fifth"
    if not report.is_judged_for_drift:
        return f"\nDrift      {rule}; judged from {DRIFT_STEPS:,} steps on, this run has {report.steps:,}"
    if report.drifting:
        return f"\nDrift      {', '.join(report.drifting)}: {rule} is above {DRIFT_BOUND}, the error GROWS"
    return f"\nDrift      none: {rule} is at most {DRIFT_BOUND} in every layer"
