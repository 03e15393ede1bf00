"""Mappings that a search compares, and which of them is the fastest.

Cycles of most mappings need not be known: mappings are taken in the order of what their cycles are at least, and the
bound of the first is made closer until the first is exact. No other can be faster than that one then.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from heapq import heapify, heapreplace

from rnn_mapper.mapping.choices import Choice
from rnn_mapper.mapping.plans import Plan, Plans

__all__ = ["Candidate", "fastest"]


class Candidate:
    """A mapping, whose cycles are known as far as one asks."""

    __slots__ = ("_plan", "_plans", "choice", "exact", "least", "units", "words", "worthwhile")

    def __init__(self, plans: Plans, choice: Choice, words: int, units: int) -> None:
        self._plans = plans
        self._plan: Plan | None = None
        self.choice = choice
        #: Cycles of a step in which phases read (of one network also its weight words in a site), and units of a site.
        self.words, self.units = words, units
        #: It takes no fewer cycles; infinite where there is no such mapping. Every step reads all operands, one phase
        #: after the other; only the first may be shorter.
        self.least: float = (plans.steps - 1) * words
        #: It takes just these.
        self.exact = False
        #: It may be kept.
        self.worthwhile = False

    def improve(self) -> None:
        """Make `least` a closer bound, or exact."""
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
    """The first of the fastest mappings; None where none takes fewer cycles than `best`."""
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
