"""From cycles to time, with a clock that somebody has named: without place and route no clock of a grid is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rnn_mapper.errors import ConfigurationError

__all__ = ["Clock", "clock_json", "clock_of", "duration"]

#: Slower and faster than any grid will run; beyond it a unit was mistaken.
_LOWEST_MHZ, _HIGHEST_MHZ = 1e-3, 1e5


@dataclass(frozen=True)
class Clock:
    """A clock in MHz, and where it comes from, such as ``--clock``."""

    mhz: float
    source: str

    def microseconds(self, cycles: float) -> float:
        """Time of that many cycles."""
        return cycles / self.mhz

    def text(self, cycles: float) -> str:
        """Such as ``12.34 µs at 100 MHz (--clock)``."""
        return f"{duration(self.microseconds(cycles))} at {self.mhz:g} MHz ({self.source})"


def clock_of(mhz: float | None, source: str = "clock_mhz") -> Clock | None:
    """The clock that the user has named; None without one. Raises ConfigurationError for what is no frequency."""
    if mhz is None:
        return None
    if isinstance(mhz, bool) or not isinstance(mhz, int | float) or not math.isfinite(mhz):
        raise ConfigurationError(f"{source} is {mhz}, must be a frequency in MHz")
    if not _LOWEST_MHZ <= mhz <= _HIGHEST_MHZ:
        raise ConfigurationError(
            f"{source} is {mhz:g} MHz, must be {_LOWEST_MHZ:g} to {_HIGHEST_MHZ:,.0f}: the frequency in MHz, not in Hz"
        )
    return Clock(float(mhz), source)


def duration(microseconds: float) -> str:
    """A time in the unit that leaves one to three digits before the point."""
    for unit, size in (("s", 1e6), ("ms", 1e3), ("µs", 1.0)):
        if microseconds >= size:
            return f"{microseconds / size:,.2f} {unit}"
    return f"{microseconds * 1e3:,.1f} ns"


def clock_json(clock: Clock | None, cycles: float, steps: int) -> dict[str, Any]:
    """``clock_mhz``, ``microseconds`` and ``microseconds_per_step``; None without a clock."""
    if clock is None:
        return {"clock_mhz": None, "microseconds": None, "microseconds_per_step": None}
    time = clock.microseconds(cycles)
    return {"clock_mhz": clock.mhz, "microseconds": time, "microseconds_per_step": time / steps}
