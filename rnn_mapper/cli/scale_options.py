"""Options for inputs and for the method that derives scales from them, and the report of the choice."""

from __future__ import annotations

from collections import abc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click
from rich.console import Console

if TYPE_CHECKING:
    from rnn_mapper.quantisation.calibration import ScaleRule
    from rnn_mapper.quantisation.integer_network import QuantisedNetwork

__all__ = ["describe_scales", "input_options", "rate_option", "rule_from_options", "scale_options"]

Command = TypeVar("Command", bound=Callable[..., object])
PATH = click.Path(path_type=Path)

rate_option = click.option(
    "--rate", type=click.IntRange(min=1), metavar="HZ",
    help="Samples per second that WAV inputs must have. Default: any.",
)


def input_options(function: Command) -> Command:
    """`--input` (as `input_files`) and `--calibration`."""
    options = (
        click.option("--input", "input_files", type=PATH, metavar="FILE", required=True, multiple=True,
                     help="Input of the network: float [steps, features] (.npy, .npz) or frames of samples (.wav). "
                          "Unless --calibration is given, it is the calibration input, too. For independent streams "
                          "that run at once: [streams, steps, features], or one file for each stream."),
        click.option("--calibration", type=PATH, metavar="FILE", help="Typical input, which sets the scales."),
    )
    for option in reversed(options):
        function = option(function)
    return function


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
