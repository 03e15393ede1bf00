"""Options that say how scales follow from the calibration input, and what was chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click
from rich.console import Console

if TYPE_CHECKING:
    from rnn_mapper.calibration import ScaleRule
    from rnn_mapper.quantised import QuantisedNetwork

__all__ = ["describe_scales", "rate_option", "rule_from_options", "scale_options"]

Command = TypeVar("Command", bound=Callable[..., object])

rate_option = click.option(
    "--rate", type=click.IntRange(min=1), metavar="HZ",
    help="Samples per second that WAV inputs must have. Default: any.",
)


def scale_options(function: Command) -> Command:
    """`--calibration-method` and `--percentile`, which the command passes on to `rule_from_options`."""
    options = (
        click.option("--calibration-method", "method", type=click.Choice(["minmax", "percentile", "mse", "auto"]),
                     default="minmax", show_default=True,
                     help="Range that scales hold: minmax the largest magnitude, percentile all but the largest few, "
                          "mse the least mean square error, auto whichever gives the network's outputs the least "
                          "error on the calibration input."),
        click.option("--percentile", type=float, default=99.99, show_default=True, metavar="PERCENT",
                     help="Share of the magnitudes that the method percentile holds."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def rule_from_options(options: Mapping[str, Any]) -> ScaleRule:
    """The rule of `scale_options`. Raises ConfigurationError for a percentile out of its range."""
    from rnn_mapper.calibration import Method, ScaleRule

    return ScaleRule(Method(options["method"]), options["percentile"])


def describe_scales(networks: Iterable[QuantisedNetwork], console: Console) -> None:
    """How the scales were chosen, in a line for each network whose reason differs."""
    for reason in dict.fromkeys(network.choice.reason for network in networks):
        console.print(f"Scales     {reason}", markup=False, soft_wrap=True)
