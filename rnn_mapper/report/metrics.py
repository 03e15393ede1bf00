"""The user's own figure of merit: a function from their file, on the outputs of floating point and of the grid."""

from __future__ import annotations

import math
import numbers
from collections import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rnn_mapper.errors import ConfigurationError
from rnn_mapper.network.tensors import FloatArray
from rnn_mapper.user_code import run_file, user_code

__all__ = ["Metric", "MetricValues", "load_metric", "metric_json"]


@dataclass(frozen=True)
class MetricValues:
    """One figure, computed from both outputs."""

    name: str
    #: Of the outputs in floating point.
    float_value: float
    #: Of the outputs in integers.
    grid_value: float


@dataclass(frozen=True)
class Metric:
    """A function from a user's file: ``function(outputs, reference, inputs)`` to a number, or a dict of them by name.

    All three are float64 [steps, values] in real units, of several sequences [sequences, steps, values], and of
    sequences of different lengths a list of [steps, values]. `reference` are the outputs of the network in floating
    point, before the steps left to the host, `inputs` the inputs of both. The function is called twice: with the
    outputs in floating point, and with the outputs in integers. The arrays are copies.
    """

    file: Path
    name: str
    function: Callable[..., Any]

    def values(
        self, wanted: Sequence[FloatArray], got: Sequence[FloatArray], inputs: Sequence[FloatArray]
    ) -> list[MetricValues]:
        """Both calls, on the outputs in floating point and in integers of each sequence.

        Raises ConfigurationError, with file and line, if the function fails or returns something else.
        """
        first, second = (self._call(outputs, wanted, inputs) for outputs in (wanted, got))
        if list(first) != list(second):
            raise ConfigurationError(
                f"{self.file.name}: {self.name} returns {_names(first)} for floating point and {_names(second)} for "
                "the integers, must return the same names"
            )
        return [MetricValues(name, first[name], second[name]) for name in first]

    def _call(self, *sequences: Sequence[FloatArray]) -> dict[str, float]:
        arrays = [_argument(one) for one in sequences]
        with user_code(self.file, ConfigurationError):
            result = self.function(*arrays)
        named = dict(result) if isinstance(result, abc.Mapping) else {self.name: result}
        if not named:
            raise ConfigurationError(f"{self.file.name}: {self.name} returns no figure, must return a number or more")
        for name, value in named.items():
            if np.ndim(value) or not isinstance(value, numbers.Real | np.ndarray | np.bool_):
                raise ConfigurationError(
                    f"{self.file.name}: {self.name} returns {type(value).__name__} as {name!r}, must return a number "
                    "or a dict of numbers"
                )
        return {str(name): float(value) for name, value in named.items()}


def _argument(sequences: Sequence[FloatArray]) -> FloatArray | list[FloatArray]:
    """Copies of the sequences in the form that the function takes."""
    copies = [np.array(one, dtype=np.float64) for one in sequences]
    if len(copies) == 1:
        return copies[0]
    return np.stack(copies) if len({len(one) for one in copies}) == 1 else copies


def load_metric(text: str) -> Metric:
    """The function that ``FILE.py:function`` names; the file is run.

    Raises ConfigurationError if there is none, with the line if the file fails.
    """
    path, _, name = text.rpartition(":")
    if not path or not name:
        raise ConfigurationError(f"--metric {text}: must be FILE.py:function")
    file = Path(path)
    found = run_file(file, "spatial_rnn_metric", ConfigurationError)
    if not callable(found.get(name)):
        functions = ", ".join(
            key for key, value in found.items() if getattr(value, "__code__", None)
            and value.__code__.co_filename == str(file)
        )
        raise ConfigurationError(f"{path}: defines no function {name}; it defines {functions or 'none'}")
    return Metric(file, name, found[name])


def metric_json(values: Sequence[MetricValues]) -> dict[str, dict[str, float | None]]:
    """As JSON values by name; infinities and NaN are null."""

    def finite(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return {one.name: {"float": finite(one.float_value), "grid": finite(one.grid_value)} for one in values}


def _names(values: abc.Mapping[str, float]) -> str:
    return ", ".join(values)
