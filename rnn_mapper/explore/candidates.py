"""Mappings that a search compares, and which of them are worth keeping.

Cycles of most mappings need not be known: mappings are taken in the order of what their cycles are at least, and the
bound of the first is made closer until the first is exact. No other can be faster than that one then.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace

from hdl.parameters import RANGES
from rnn_mapper.errors import MappingError
from rnn_mapper.explore.adapter import Choice
from rnn_mapper.explore.plans import Plan, Plans

__all__ = ["KEPT", "SLOWEST", "Found", "Trial", "fastest", "kept"]

#: Mappings kept for a grid: the fastest, and slower ones that take less memory.
KEPT = 4
#: A mapping that takes this much longer than the fastest is not worth any memory.
SLOWEST = 1.2


@dataclass(frozen=True)
class Found:
    """A mapping and its exact cycles for the whole sequence."""

    cycles: int
    choice: Choice


class Trial:
    """A mapping, whose cycles are known as far as one asks."""

    __slots__ = ("_plan", "_plans", "choice", "exact", "least", "units", "words", "worthwhile")

    def __init__(self, plans: Plans, choice: Choice, words: int, units: int) -> None:
        self._plans = plans
        self._plan: Plan | None = None
        self.choice = choice
        #: Weight words and units of a site.
        self.words, self.units = words, units
        #: It takes no fewer cycles; infinite where there is no such mapping. Every step reads all operands, one phase
        #: after the other; only the first may be shorter.
        self.least: float = (plans.steps - 1) * words if words <= RANGES["weight_depth"][1] else math.inf
        #: It takes just these.
        self.exact = False
        #: It may be kept.
        self.worthwhile = False

    def improve(self) -> None:
        """Make `least` a closer bound, or exact."""
        plan = self._plan
        if plan is None:
            try:
                plan = self._plan = self._plans.plan(self.choice)
            except MappingError:
                self.least = math.inf
                return
        elif not plan.exact:
            plan.improve()
        self.least, self.exact = plan.least, plan.exact


def fastest(trials: Iterable[Trial], best: float) -> Trial | None:
    """The first of the fastest mappings; None where none takes fewer cycles than `best`."""
    heap = [(trial.least, place, trial) for place, trial in enumerate(trials)]
    heapify(heap)
    while heap:
        least, place, trial = heap[0]
        if least >= best:
            break
        if trial.exact:
            return trial
        trial.improve()
        heapreplace(heap, (trial.least, place, trial))
    return None


def kept(trials: Iterable[Trial]) -> list[Found]:
    """The fastest mapping, and slower ones with fewer weight words or units in a site; of equal ones the first."""
    heap = [(t.least, t.words, t.units, place, t) for place, t in enumerate(trials) if t.worthwhile]
    heapify(heap)
    found: list[Found] = []
    memory: list[tuple[int, int]] = []
    while heap and len(found) < KEPT:
        least, words, units, place, trial = heap[0]
        if least == math.inf or (found and least > SLOWEST * found[0].cycles):
            break
        # What comes from the heap comes in the order of cycles, so those that were found before are no slower.
        if any(other <= words and few <= units for other, few in memory):
            heappop(heap)
        elif trial.exact:
            heappop(heap)
            found.append(Found(int(least), trial.choice))
            memory.append((words, units))
        else:
            trial.improve()
            heapreplace(heap, (trial.least, words, units, place, trial))
    return found
