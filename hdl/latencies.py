"""Latencies of a grid, read from its components: all that the scheduler and the predictor know of the hardware."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from hdl.grid.top import Grid
from hdl.parameters import GridParameters

__all__ = ["GridLatencies"]


@dataclass(frozen=True)
class GridLatencies:
    """Cycles between events; `column` and `delay` below are those of a site."""

    #: Token issued by the controller to first operands in a PCU, plus `column` and `delay`.
    token: int
    #: Last operands of a gate to its result on the result link, when the gate's own instruction emits.
    result: int
    #: One trip round the unit path, for each instruction further down the program.
    ring: int
    #: Last operands of a row that stores to its part in the memory of stored parts.
    store: int
    #: Between a row that stores a pre-activation and the first row that may read it.
    store_distance: int
    #: From an instruction that writes a state word to the first one that reads what it wrote; before, the old is read.
    state_distance: int
    #: Hop of the result link; a result reaches the collector after `column` hops.
    result_hop: int = 1

    @classmethod
    def of(cls, parameters: GridParameters) -> GridLatencies:
        """The latencies of the grid with these parameters."""
        grid = Grid(parameters)
        pcu = grid.site.pcu
        return cls(
            grid.token_latency, pcu.result_latency, pcu.ring_latency, pcu.store_latency, pcu.store_distance,
            pcu.state_distance,
        )

    def to_dict(self) -> dict[str, int]:
        """Field names and values."""
        return asdict(self)
