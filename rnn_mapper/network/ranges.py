"""The values of a vector over a run, summarised in bounded memory: the material of calibration."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["EXACT_VALUES", "ValueRange"]

#: Up to this number of magnitudes are kept one by one; more are counted in bins.
EXACT_VALUES = 1 << 16
_BINS = 1 << 13
#: Number of values that are gathered before they are evaluated.
_BATCH = 1 << 14

_Values = npt.NDArray[np.float64]


class ValueRange:
    """The range of a vector's values over all steps, and the distribution of their magnitudes.

    Up to `EXACT_VALUES` magnitudes other than zero are kept as they are. More are counted in 8,192 bins of equal width
    from zero to the power of two above the largest; each bin has a sum of its magnitudes, too.
    """

    def __init__(self) -> None:
        self._pending: list[_Values] = []
        self._waiting = 0
        self._low, self._high = np.inf, -np.inf
        self._count = 0
        self._finite = True
        self._exact: list[_Values] = []
        self._kept = 0
        self._counts: _Values | None = None
        self._sums = np.zeros(0)
        self._exponent = 0  # the bins reach up to 2^exponent

    def add(self, values: npt.ArrayLike) -> None:
        """Add values of any shape."""
        array = np.array(values, dtype=np.float64).reshape(-1)
        self._pending.append(array)
        self._waiting += array.size
        if self._waiting >= _BATCH:
            self._flush()

    @property
    def count(self) -> int:
        """Number of values seen."""
        self._flush()
        return self._count

    @property
    def low(self) -> float:
        """The smallest finite value; 0 if there is none."""
        self._flush()
        return float(self._low) if np.isfinite(self._low) else 0.0

    @property
    def high(self) -> float:
        """The largest finite value; 0 if there is none."""
        self._flush()
        return float(self._high) if np.isfinite(self._high) else 0.0

    @property
    def peak(self) -> float:
        """The largest finite magnitude."""
        return max(abs(self.low), abs(self.high))

    @property
    def is_finite(self) -> bool:
        """Whether all values were finite: none was infinite or not a number."""
        self._flush()
        return self._finite

    def points(self) -> tuple[_Values, _Values]:
        """Magnitudes other than zero, ascending, and how often each was seen; a bin counts as its mean."""
        self._flush()
        if self._counts is None:
            return np.unique(np.concatenate([np.zeros(0), *self._exact]), return_counts=True)
        used = self._counts > 0
        return self._sums[used] / self._counts[used], self._counts[used]

    def percentile(self, percent: float) -> float:
        """The magnitude that at least `percent` % of the non-zero ones do not exceed; 0 if all are zero."""
        values, weights = self.points()
        if not values.size:
            return 0.0
        reached = np.cumsum(weights)
        index = np.searchsorted(reached, percent / 100 * reached[-1] * (1 - 1e-12))
        return float(values[min(int(index), len(values) - 1)])

    def _flush(self) -> None:
        if not self._pending:
            return
        values = np.concatenate(self._pending)
        self._pending, self._waiting = [], 0
        self._count += values.size
        finite = values[np.isfinite(values)]
        self._finite &= finite.size == values.size
        if not finite.size:
            return
        self._low, self._high = min(self._low, finite.min()), max(self._high, finite.max())
        magnitudes = np.abs(finite)
        magnitudes = magnitudes[magnitudes > 0]
        if self._counts is not None:
            self._bin(magnitudes)
            return
        self._exact.append(magnitudes)
        self._kept += magnitudes.size
        if self._kept > EXACT_VALUES:
            gathered, self._exact = np.concatenate(self._exact), []
            self._counts, self._sums = np.zeros(_BINS), np.zeros(_BINS)
            self._exponent = int(np.frexp(gathered.max())[1])
            self._bin(gathered)

    def _bin(self, magnitudes: _Values) -> None:
        """Count magnitudes; the bins double their width until the largest magnitude fits."""
        if self._counts is None or not magnitudes.size:
            return
        wanted = int(np.frexp(magnitudes.max())[1])
        while self._exponent < wanted:
            empty = np.zeros(_BINS // 2)
            self._counts = np.concatenate([self._counts.reshape(-1, 2).sum(axis=1), empty])
            self._sums = np.concatenate([self._sums.reshape(-1, 2).sum(axis=1), empty])
            self._exponent += 1
        index = np.minimum(np.ldexp(magnitudes, -self._exponent) * _BINS, _BINS - 1).astype(np.int64)
        self._counts += np.bincount(index, minlength=_BINS)
        self._sums += np.bincount(index, weights=magnitudes, minlength=_BINS)
