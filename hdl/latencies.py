"""Latencies of a grid, read from its components: the only knowledge of the hardware in scheduler and predictor."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import NamedTuple

from hdl.grid.controller import Controller
from hdl.grid.top import Grid
from hdl.parameters import GridParameters

__all__ = ["ENTRY_INTERVAL", "FIRST_ENTRY", "FIRST_INPUT", "GridLatencies", "UnitPathLatencies"]

#: First cycle in which the controller considers an entry, counted from the first in which it is busy, and cycles from
#: an entry to the next.
FIRST_ENTRY, ENTRY_INTERVAL = Controller.first_entry, Controller.entry_interval
#: First cycle in which a beat of the input is taken.
FIRST_INPUT = 1


class UnitPathLatencies(NamedTuple):
    """The latencies on which unit programs depend, see `GridLatencies`."""

    ring: int
    state_distance: int
    kept_distance: int


@dataclass(frozen=True)
class GridLatencies:
    """Cycles between events. `column` is the column of a site, `delay` its delay in a phase."""

    #: From the issue of a token to the first operands in a PCU, without `column` and `delay`.
    token: int
    #: From the last operands of a gate to its result on the result link, when the gate's own instruction emits.
    result: int
    #: One trip round the unit path; each further instruction of a program adds one.
    ring: int
    #: From the last operands of a row that stores to its value in the memory of stored pre-activations.
    store: int
    #: From a row that stores a pre-activation to the first row that may read it.
    store_distance: int
    #: From an instruction that writes a state word to the first that reads the new value; earlier ones read the old.
    state_distance: int
    #: From an instruction that keeps its result to the first that can use it; earlier ones use the one before it.
    kept_distance: int
    #: One hop of the result link; a result reaches the collector after `column` hops.
    result_hop: int = 1

    @classmethod
    def of(cls, parameters: GridParameters) -> GridLatencies:
        """The latencies of the grid with these parameters."""
        return _latencies(parameters)

    @property
    def unit_path(self) -> UnitPathLatencies:
        """Those on which unit programs depend."""
        return UnitPathLatencies(self.ring, self.state_distance, self.kept_distance)

    def to_dict(self) -> dict[str, int]:
        """Field names and values."""
        return asdict(self)


@lru_cache(maxsize=4096)
def _latencies(parameters: GridParameters) -> GridLatencies:
    """Asked for again and again while grids are compared, and the hardware takes long to put together."""
    grid = Grid(parameters)
    pcu = grid.site.pcu
    return GridLatencies(
        grid.token_latency, pcu.result_latency, pcu.ring_latency, pcu.store_latency, pcu.store_distance,
        pcu.state_distance, pcu.kept_distance,
    )
