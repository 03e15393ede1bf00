"""Options for inputs and for the method that derives scales from them, and the report of the choice."""

from __future__ import annotations

from collections import abc
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click
from rich.console import Console

if TYPE_CHECKING:
    from rnn_mapper.importers import Imported
    from rnn_mapper.quantisation.calibration import ScaleRule
    from rnn_mapper.quantisation.integer_network import QuantisedNetwork
    from rnn_mapper.run.sequences import Sequences

__all__ = [
    "INPUT_HELP", "calibration_from_options", "describe_scales", "input_options", "layout_options", "rate_option",
    "rule_from_options", "scale_options", "sequences_from_options",
]

Command = TypeVar("Command", bound=Callable[..., object])
PATH = click.Path(path_type=Path)

rate_option = click.option(
    "--rate", type=click.IntRange(min=1), metavar="HZ",
    help="Samples per second that WAV inputs must have. Default: any.",
)


INPUT_HELP = (
    "float [steps, features] (.npy, .npz), or frames of samples (.wav). A batch of sequences is in the model's own "
    "layout, or as --layout says."
)


def input_options(function: Command) -> Command:
    """`--input` (as `input_files`), `--calibration` and `layout_options`."""
    options = (
        click.option("--input", "input_files", type=PATH, metavar="FILE", required=True, multiple=True,
                     help=f"Input of the network: {INPUT_HELP} May be repeated, for sequences of any lengths. Unless "
                          "--calibration is given, it is the calibration input, too."),
        click.option("--calibration", type=PATH, metavar="FILE", help="Typical input, which sets the scales."),
        layout_options,
    )
    for option in reversed(options):
        function = option(function)
    return function


def layout_options(function: Command) -> Command:
    """`--layout` and `--lengths`, which the command passes on to `sequences_from_options`."""
    options = (
        click.option("--layout", type=click.Choice(["steps-first", "batch-first"]),
                     help="Layout of a batch: [steps, batch, features] (PyTorch's and ONNX's default) or [batch, "
                          "steps, features]. Default: the model's own; where it has none, batch-first."),
        click.option("--lengths", type=PATH, metavar="FILE.npy",
                     help="Steps of each sequence of a padded batch. Default: the array 'lengths' of an .npz, else the "
                          "whole batch."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def sequences_from_options(files: Sequence[Path], model: Imported, options: abc.Mapping[str, Any]) -> Sequences:
    """The sequences of these files; `options` holds the values of `layout_options` and `rate_option`."""
    from rnn_mapper.importers.arrays import load_batch
    from rnn_mapper.run.sequences import as_sequences

    given: Any = files[0] if len(files) == 1 else list(files)
    lengths = None if options["lengths"] is None else load_batch(options["lengths"])[0]
    return as_sequences(given, model, layout=options["layout"], lengths=lengths, rate=options["rate"])


def calibration_from_options(
    file: Path | None, inputs: Sequences | None, model: Imported, options: abc.Mapping[str, Any]
) -> Sequences | None:
    """The sequences of the calibration file, or else the inputs."""
    return inputs if file is None else sequences_from_options([file], model, {**options, "lengths": None})


def scale_options(function: Command) -> Command:
    """`--calibration-method` and `--percentile`, which the command passes on to `rule_from_options`."""
    options = (
        click.option("--calibration-method", "method", type=click.Choice(["minmax", "percentile", "mse", "auto"]),
                     default="minmax", show_default=True,
                     help="Range that the scales hold. minmax: the largest magnitude; percentile: all but the largest "
                          "few; mse: the range with the least mean square error; auto: the method with the least "
                          "error of the network's outputs on the calibration input."),
        click.option("--percentile", type=float, default=99.99, show_default=True, metavar="PERCENT",
                     help="Percentage of the magnitudes that the method percentile holds."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def rule_from_options(options: abc.Mapping[str, Any]) -> ScaleRule:
    """The rule of `scale_options`. Raises ConfigurationError for a percentile out of range."""
    from rnn_mapper.quantisation.calibration import Method, ScaleRule

    return ScaleRule(Method(options["method"]), options["percentile"])


def describe_scales(networks: Iterable[QuantisedNetwork], console: Console) -> None:
    """Print how the scales were chosen, one line for each different reason."""
    for reason in dict.fromkeys(network.choice.reason for network in networks):
        console.print(f"Scales     {reason}", markup=False, soft_wrap=True)
