"""The loop nest of a phase on a grid: hidden units in parallel over chains, a matrix row over the PCUs of a chain.

    for u in units of a chain:                       # in time
      for g in gates:                                # in time
        for k in words:                              # in time
          parallel over `hu` units, `ru` PCUs of a chain, `rv` lanes of a PCU:
            acc[unit, g] += W[g, unit, (member * words + k) * rv + lane] * v[...]

Unit n is in group n // rows; group number c + u * chains is unit u of chain c of every row, and the row of the grid is
n % rows. So the collector receives one group at once, and groups arrive nearly in order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hdl.parameters import GridParameters
from rnn_mapper.schedule.phases import Phase

__all__ = ["LoopNest", "ceil_div", "least_words"]


def ceil_div(a: int, b: int) -> int:
    """The quotient, rounded up."""
    return -(-a // b)


def least_words(phase: Phase, parameters: GridParameters, ru: int) -> int:
    """Vector words of a matrix row in each of `ru` PCUs; without products one word of zeros."""
    return max(1, ceil_div(ceil_div(phase.operand_size, parameters.lanes), ru))


@dataclass(frozen=True)
class LoopNest:
    """Extents of one phase on a grid."""

    rows: int
    lanes: int
    #: PCUs of a chain, the parallelism of a matrix row (times `lanes`).
    ru: int
    #: Chains of a row.
    chains: int
    #: Groups of `rows` units.
    groups: int
    gates: int
    #: Vector words of a gate in one PCU.
    words: int

    @classmethod
    def of(cls, phase: Phase, parameters: GridParameters, ru: int, chains: int, words: int | None = None) -> LoopNest:
        """The loop nest of `phase` with `chains` chains of `ru` PCUs in every row.

        `words` are the vector words of a row in one PCU, if the row takes more than its products need.
        """
        groups = ceil_div(phase.units, parameters.rows)
        length = least_words(phase, parameters, ru) if words is None else words
        return cls(parameters.rows, parameters.lanes, ru, chains, groups, phase.gates, length)

    @property
    def hu(self) -> int:
        """Hidden units computed at once."""
        return self.rows * self.chains

    @property
    def rv(self) -> int:
        """Lanes of a PCU."""
        return self.lanes

    def units(self, chain: int) -> int:
        """Units of one chain (in every row)."""
        return max(0, ceil_div(self.groups - chain, self.chains))

    @property
    def max_units(self) -> int:
        """Units of the first chain, which has the most."""
        return self.units(0)

    def tail(self, chain: int) -> int:
        """Column of the last PCU of a chain."""
        return (chain + 1) * self.ru - 1

    def group(self, chain: int, unit: int) -> int:
        """Group number of a unit of a chain."""
        return chain + unit * self.chains

    def arrange(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Values [G, H] as [rows, chains, units, G]; values beyond H are zero."""
        gates, hidden = values.shape
        padded = np.zeros((gates, self.max_units * self.chains * self.rows), dtype=values.dtype)
        padded[:, :hidden] = values
        return padded.reshape(gates, self.max_units, self.chains, self.rows).transpose(3, 2, 1, 0)

    def arrange_weights(self, weights: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """Weights [G, H, I] as [rows, chains, ru, units, G, words, lanes]; weights beyond H or I are zero."""
        gates, hidden, size = weights.shape
        shape = (gates, self.max_units, self.chains, self.rows, self.ru, self.words, self.lanes)
        padded = np.zeros((gates, int(np.prod(shape[1:4])), int(np.prod(shape[4:]))), dtype=np.int8)
        padded[:, :hidden, :size] = weights
        return padded.reshape(shape).transpose(3, 2, 4, 1, 0, 5, 6)
