"""Mappings that a search compares, and the choice of the fastest.

The exact cycles of most mappings are not needed: mappings are taken in the order of the lower bounds of their cycles,
and the bound of the first is tightened until the first mapping is exact. Then no other mapping can be faster.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from heapq import heapify, heapreplace

from rnn_mapper.mapping.choices import Choice
from rnn_mapper.mapping.plans import Plan, Plans

__all__ = ["Candidate", "fastest"]


class Candidate:
    """A mapping whose cycles are bounded more tightly with each call of `improve`."""

    __slots__ = ("_plan", "_plans", "choice", "exact", "least", "units", "words", "worthwhile")

    def __init__(self, plans: Plans, choice: Choice, words: int, units: int) -> None:
        self._plans = plans
        self._plan: Plan | None = None
        self.choice = choice
        #: Cycles of a step in which phases read (for one network also its weight words in a site); units of a site.
        self.words, self.units = words, units
        #: Lower bound on the cycles; infinite if the mapping is impossible. Every step reads all operands, one phase
        #: after the other; only the first step may be shorter.
        self.least: float = 0 if plans.response else (plans.steps - 1) * words
        #: `least` is the exact number of cycles.
        self.exact = False
        #: The mapping may be kept.
        self.worthwhile = False

    def improve(self) -> None:
        """Make `least` a tighter bound, or exact."""
        plan = self._plan
        if plan is None:
            plan = self._plan = self._plans.plan(self.choice)
            if plan is None:
                self.least = math.inf
                return
        elif not plan.exact:
            plan.improve()
        self.least, self.exact = plan.least, plan.exact


def fastest(candidates: Iterable[Candidate], best: float) -> Candidate | None:
    """The first of the fastest mappings; None if no mapping takes fewer cycles than `best`."""
    heap = [(candidate.least, place, candidate) for place, candidate in enumerate(candidates)]
    heapify(heap)
    while heap:
        least, place, candidate = heap[0]
        if least >= best:
            break
        if candidate.exact:
            return candidate
        candidate.improve()
        heapreplace(heap, (candidate.least, place, candidate))
    return None
