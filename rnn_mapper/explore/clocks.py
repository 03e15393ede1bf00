"""The clock that a grid reaches on an FPGA, without placing it: fitted to grids that were placed and routed.

The period grows with the levels of the adder tree and with the distances on the device, so that it is taken as linear
in the logarithms of lanes and sites. `scripts/timing.py` places and routes the grids, each with several seeds, of which
the best counts; the data file names the commit. The stated error is that on each measured grid when it is left out of
the fit.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hdl.parameters import GridParameters

__all__ = ["ClockModel", "clock_model"]

DATA = Path(__file__).parent / "data"


def _features(rows: int, cols: int, lanes: int) -> list[float]:
    return [1.0, math.log2(lanes), math.log2(rows * cols)]


class ClockModel:
    """The clock of grids on one family of FPGAs; `values` is the data file's content."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.commit: str = values["commit"]
        best: dict[tuple[int, int, int], float] = {}
        for row in values["grids"]:
            size = row["rows"], row["cols"], row["lanes"]
            best[size] = max(best.get(size, 0.0), row["fmax_mhz"])
        #: Clock of the measured grids in MHz, by rows, columns and lanes; the largest number of their multipliers.
        self.measured = best
        self.largest = max(math.prod(size) for size in best)
        self._weights = _fit(best)
        #: Relative error on each grid when it is left out.
        errors = [
            abs(_megahertz(_fit({other: mhz for other, mhz in best.items() if other != size}), *size) / best[size] - 1)
            for size in best
        ]
        self.largest_error, self.mean_error = max(errors), sum(errors) / len(errors)

    def megahertz(self, p: GridParameters) -> float:
        """The estimated clock of a grid with `memory_registers`, in MHz."""
        return _megahertz(self._weights, p.rows, p.cols, p.lanes)

    @property
    def text(self) -> str:
        """The source and the error of the clocks."""
        return (
            f"Clocks are fitted to {len(self.measured)} grids of up to {self.largest} multipliers that were placed "
            f"and routed at {self.commit}: within {self.largest_error:.0%} (mean {self.mean_error:.0%}) of each one "
            "when it is left out"
        )


def _fit(clocks: dict[tuple[int, int, int], float]) -> np.ndarray:
    """Weights of the features for the period in microseconds; relative errors are minimised."""
    matrix = np.array([_features(*size) for size in clocks])
    rates = np.array([*clocks.values()])
    return np.linalg.lstsq(matrix * rates[:, None], np.ones(len(rates)), rcond=None)[0]


def _megahertz(weights: np.ndarray, rows: int, cols: int, lanes: int) -> float:
    return float(1 / (np.array(_features(rows, cols, lanes)) @ weights))


@lru_cache(maxsize=8)
def clock_model(target: str) -> ClockModel | None:
    """The clocks of a target of `hdl.synthesis.area`; None where nothing was placed and routed."""
    path = DATA / f"clock_{target}.json"
    return ClockModel(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
