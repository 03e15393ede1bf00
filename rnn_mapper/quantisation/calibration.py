"""How the range of a vector follows from the values that it took: the methods of calibration.

A method weighs values that are cut off (clipping) against finer steps for all others (rounding). It has a say where the
arithmetic leaves a choice: in the scale of the network's input, which is any real number, and in the position of the
operands that are made of a 16-bit vector, which is a shift. Formats of 16 bits, which the host and the states see,
always hold the largest value.
"""

from __future__ import annotations

from collections import abc
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from rnn_mapper.errors import ConfigurationError
from rnn_mapper.network.ranges import ValueRange
from rnn_mapper.network.tensors import FloatArray

__all__ = ["CANDIDATES", "DEFAULT_RULE", "Choice", "Method", "ScaleRule", "clip_of", "shift_of"]

#: Clips that `mse` tries at first, from the largest magnitude down by a 16th of an octave each, and how many of the
#: finer ones around the best.
_COARSE, _FINE = 128, 32
_LARGEST_CODE = 32767.0


class Method(StrEnum):
    """How a range is chosen."""

    #: The largest magnitude: nothing of the calibration input is cut off.
    MINMAX = "minmax"
    #: The magnitude that a percentage of those other than zero do not exceed.
    PERCENTILE = "percentile"
    #: The range with the least mean square of what clipping and rounding do to the vector.
    MSE = "mse"
    #: Each of them for the whole network; the one with the least error of the network's output is kept.
    AUTO = "auto"


@dataclass(frozen=True)
class ScaleRule:
    """A method with its setting. Raises ConfigurationError for an unknown method or a percentile out of its range."""

    method: Method | str = Method.MINMAX
    #: For `percentile`, above 50 and up to 100; other methods do without.
    percentile: float = 99.99

    def __post_init__(self) -> None:
        if self.method not in list(Method):
            raise ConfigurationError(f"calibration method '{self.method}' is unknown: choose {', '.join(Method)}")
        object.__setattr__(self, "method", Method(self.method))
        if not 50 < self.percentile <= 100:
            raise ConfigurationError(f"percentile is {self.percentile:g}, must be above 50 and at most 100")

    @property
    def text(self) -> str:
        """Such as ``percentile 99.99``."""
        return f"{self.method} {self.percentile:g}" if self.method is Method.PERCENTILE else str(self.method)


#: Where nothing else is asked for.
DEFAULT_RULE = ScaleRule()
#: What `auto` compares, besides the percentile that it is given; of equal errors the first is taken.
CANDIDATES = (
    DEFAULT_RULE, ScaleRule(Method.PERCENTILE), ScaleRule(Method.PERCENTILE, 99.9), ScaleRule(Method.MSE),
)


@dataclass(frozen=True)
class Choice:
    """The method by which the scales of a network were chosen, and why."""

    rule: ScaleRule = DEFAULT_RULE
    #: Was it chosen by `auto`?
    is_automatic: bool = False
    #: Of `auto`: for each rule's text the RMS error of the network's outputs on the calibration input, in real units;
    #: None for one that the arithmetic refuses.
    errors: abc.Mapping[str, float | None] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """In one sentence."""
        if not self.is_automatic:
            return f"{self.rule.text}: as asked for"
        others = ", ".join(
            f"{name} {'is refused' if error is None else f'{error:.5g}'}"
            for name, error in self.errors.items() if name != self.rule.text
        )
        best = self.errors[self.rule.text]
        return f"{self.rule.text}: the least RMS error of the outputs on the calibration input, {best:.5g} ({others})"

    def to_json(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "method": str(self.rule.method), "percentile": self.rule.percentile, "automatic": self.is_automatic,
            "errors": dict(self.errors), "reason": self.reason,
        }


def clip_of(observed: ValueRange, rule: ScaleRule, limit: int) -> float:
    """The magnitude that the largest code, `limit`, stands for where any scale is allowed; 0 if all values are 0."""
    peak = observed.peak
    if rule.method is Method.PERCENTILE:
        return observed.percentile(rule.percentile)
    if rule.method is not Method.MSE or not peak:
        return peak
    values, weights = observed.points()
    values = values / peak  # squares of very large or small numbers do not fit
    weights = weights / weights.sum()

    def error(clip: float) -> float:
        step = clip / limit
        rounded = np.minimum(np.rint(values / step), limit) * step
        return float(weights @ np.square(rounded - values))

    octave = 16
    coarse = min((2.0 ** (-index / octave) for index in range(_COARSE)), key=error)
    fine = (coarse * 2.0 ** (index / octave / _FINE) for index in range(-_FINE, _FINE + 1))
    return peak * min((coarse, *(clip for clip in fine if clip <= 1.0)), key=error)


def shift_of(observed: ValueRange, fraction: int, rule: ScaleRule, limit: int, shifts: range) -> int:
    """The position of the operands made of a vector with `fraction` fraction bits: saturate(round(value, shift)).

    The smallest of `shifts` with which the codes of the rule's range stay within `limit`, or for `mse` the one with the
    least mean square error; of equal ones the larger, which leaves more room. `shifts` ascend.
    """
    if rule.method is not Method.MSE:
        code = np.array([_code(clip_of(observed, rule, limit), fraction)])
        return next((shift for shift in shifts if _rounded(code, shift)[0] <= limit), shifts[-1])
    values, weights = observed.points()
    codes = np.minimum(np.rint(np.ldexp(values, fraction)), _LARGEST_CODE)

    def error(shift: int) -> float:
        wrong = np.ldexp(np.minimum(_rounded(codes, shift), limit), shift) - codes
        return float(weights @ np.square(wrong))

    return min(reversed(shifts), key=error)


def _code(magnitude: float, fraction: int) -> float:
    """The 16-bit code of a magnitude."""
    return float(np.rint(min(np.ldexp(magnitude, fraction), _LARGEST_CODE)))


def _rounded(codes: FloatArray, shift: int) -> FloatArray:
    """`fixed_point.round_shift` of codes."""
    return np.floor(np.ldexp(codes, -shift) + 0.5) if shift else codes
