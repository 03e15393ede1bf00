"""One DeepBench point: its counts, and the energy and power that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hdl.parameters import GridParameters
from rnn_mapper.report.activity import Activity
from scripts.deepbench.points import CLOCK_HZ
from scripts.estimate.constants import Bound
from scripts.estimate.model import Module, area, energy

__all__ = ["Point"]


@dataclass(frozen=True)
class Point:
    """One DeepBench point."""

    name: str
    steps: int
    activity: Activity
    #: Published latencies by machine.
    published_ms: dict[str, float]

    @property
    def seconds(self) -> float:
        """Of the whole sequence, at the assumed clock."""
        return self.activity.cycles / CLOCK_HZ

    @property
    def operations(self) -> int:
        """Multiplications and additions of the model."""
        return 2 * self.activity.model_multiplications

    @property
    def tera(self) -> float:
        """Effective TOPS: operations of the model in a second, times 1e-12."""
        return self.operations / self.seconds * 1e-12

    def joules_by_part(self, modules: list[Module], p: GridParameters, bound: Bound) -> dict[str, float]:
        """Of the whole sequence."""
        return energy(self.activity, modules, p, bound)

    def joules(self, modules: list[Module], p: GridParameters, bound: Bound) -> float:
        """Of the whole sequence."""
        return sum(self.joules_by_part(modules, p, bound).values())

    def watts(self, modules: list[Module], p: GridParameters, bound: Bound) -> float:
        """The average of the sequence."""
        return self.joules(modules, p, bound) / self.seconds

    def figures(self, modules: list[Module], p: GridParameters, bound: Bound) -> dict[str, Any]:
        """Energy by part, and power and efficiency, for `estimate.json`."""
        parts = self.joules_by_part(modules, p, bound)
        watts = sum(parts.values()) / self.seconds
        return {
            "microjoules_per_step_by_part": {part: joules / self.steps * 1e6 for part, joules in parts.items()},
            "microjoules_per_step": sum(parts.values()) / self.steps * 1e6,
            "watts": watts,
            "effective_tops": self.tera,
            "tops_per_watt": self.tera / watts,
            "tops_per_mm2": self.tera / area(modules, bound).total,
        }
