"""`--metric`: a figure that the user defines, for floating point and for the grid side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import rich_click as click
from rich.console import Console

from rnn_mapper.cli.tables import plain_table

if TYPE_CHECKING:
    from rnn_mapper.report.metrics import Metric, MetricValues
    from rnn_mapper.run.result import SimulationResult

__all__ = ["describe_metric", "metric_from_option", "metric_of_result", "metric_option"]

metric_option = click.option(
    "--metric", metavar="FILE.py:FUNCTION",
    help="Figure to report for floating point and for the integers: function(outputs, reference, inputs), all [steps, "
         "values] in real units, returns a number or a dict of numbers. The file is run.",
)


def metric_from_option(text: str | None) -> Metric | None:
    """The metric that `metric_option` names; raises ConfigurationError if there is none."""
    from rnn_mapper.report.metrics import load_metric

    return None if text is None else load_metric(text)


def metric_of_result(metric: Metric, result: SimulationResult) -> list[MetricValues]:
    """The figures of a simulation, computed from the outputs of the grid."""
    import numpy as np

    from rnn_mapper.network.float_reference import run_float

    prepared = result.prepared
    inputs = result.inputs.values
    wanted = [run_float(prepared.network, one, prepared.state).outputs for one in inputs]
    got = [one.astype(np.float64) * result.output_scale for one in result.sequence_outputs]
    return metric.values(wanted, got, inputs)


def describe_metric(values: Sequence[MetricValues], console: Console) -> None:
    """Print each figure for floating point and for the integers."""
    table = plain_table("", "floating point", "integers", title="Metric", right=("floating point", "integers"))
    for one in values:
        table.add_row(one.name, f"{one.float_value:.6g}", f"{one.grid_value:.6g}")
    console.print()
    console.print(table)
