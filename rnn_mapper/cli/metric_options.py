"""`--metric`: the user's own figure, of floating point and of the grid side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import rich_click as click
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from rnn_mapper.network.tensors import FloatArray
    from rnn_mapper.report.metrics import Metric, MetricValues
    from rnn_mapper.run.result import SimulationResult

__all__ = ["describe_metric", "metric_from_option", "metric_of_result", "metric_option"]

metric_option = click.option(
    "--metric", metavar="FILE.py:FUNCTION",
    help="Figure to tell for floating point and for the integers: function(outputs, reference, inputs), all [steps, "
         "values] in real units, gives a number or a dict of them. The file is run.",
)


def metric_from_option(text: str | None) -> Metric | None:
    """The metric that `metric_option` names; raises ConfigurationError if there is none."""
    from rnn_mapper.report.metrics import load_metric

    return None if text is None else load_metric(text)


def metric_of_result(
    metric: Metric, result: SimulationResult, inputs: Sequence[FloatArray]
) -> list[MetricValues]:
    """The figures of a simulation: by the outputs that came out of the grid. `inputs` are those of each stream."""
    import numpy as np

    from rnn_mapper.network.float_reference import run_float

    prepared = result.prepared
    wanted = [run_float(prepared.network, one, prepared.state).outputs for one in inputs]
    got = list(result.stream_outputs.astype(np.float64) * result.output_scale)
    return metric.values(wanted, got, inputs)


def describe_metric(values: Sequence[MetricValues], console: Console) -> None:
    """Both figures of each name."""
    table = Table(title="Metric", title_justify="left", box=None, pad_edge=False)
    for heading in ("", "floating point", "integers"):
        table.add_column(heading, justify="right" if heading else "left")
    for one in values:
        table.add_row(one.name, f"{one.float_value:.6g}", f"{one.grid_value:.6g}")
    console.print()
    console.print(table)
