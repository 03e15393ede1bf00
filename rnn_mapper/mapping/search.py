"""The search for the fastest mapping, for one grid or for several grids with the same rows and lanes.

The number of columns only limits the mappings that are possible, not their cycles. So each plan is evaluated once, and
is the same on every grid that is wide enough.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rnn_mapper.mapping.candidates import Candidate, fastest
from rnn_mapper.mapping.choices import Choice, GroupWays, Way
from rnn_mapper.mapping.plans import Plans

__all__ = ["Search", "uncollected"]


@contextmanager
def uncollected() -> Iterator[None]:
    """Switch off garbage collection: a search keeps its objects to the end, and scanning them takes a sixth of its
    time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Search:
    """Compares mappings of networks.

    `groups` are the ways of each unit group, `most_words` is the largest number of weight words in a site.
    """

    def __init__(self, plans: Plans, groups: Sequence[GroupWays], most_words: float = math.inf) -> None:
        self.plans, self._groups, self._most_words = plans, groups, most_words
        # Streams of one model are mapped alike: the same unit groups of the same network are listed together.
        self._alike: dict[object, list[int]] = {}
        for index, group in enumerate(plans.frames.groups):
            key = plans.frames.members[group.member], group.layer, group.kind
            self._alike.setdefault(key, []).append(index)
        self._candidates: dict[Choice, Candidate] = {}

    def descend(
        self, schedule: str, programs: str, options: Sequence[Sequence[Way]], grid: dict[Choice, Candidate]
    ) -> Candidate | None:
        """The best mapping found by changing one unit group after the other, until no single change is better.

        `options` are the ways of every unit group to choose from; the search begins with the first way of each group.
        All compared mappings are added to `grid`, in the order of the search.
        """
        ways = tuple(each[0] for each in options)
        best: Candidate | None = None
        # The first mapping is compared together with the changes of the first group.
        unknown = [Choice(schedule, ways, programs)]
        improved = True
        while improved:
            improved = False
            for places in self._alike.values():
                kept = ways[places[0]]
                changed = [
                    Choice(schedule, _changed(ways, places, option), programs)
                    for option in options[places[0]] if option != kept
                ]
                found = self._better(unknown + changed, math.inf if best is None else best.least, grid)
                unknown = []
                if found is not None:
                    improved |= found.choice.ways != ways
                    best, ways = found, found.choice.ways
            if len(self._alike) == 1:
                break
        return best

    def _better(
        self, choices: list[Choice], best: float, grid: dict[Choice, Candidate]
    ) -> Candidate | None:
        """The fastest of some mappings, if it is faster than the best mapping so far."""
        candidates = []
        for choice in choices:
            # Mappings compared before are no faster than the best.
            if choice not in grid:
                grid[choice] = candidate = self._candidate(choice)
                candidates.append(candidate)
        found = fastest(candidates, best)
        if found is not None:
            best = found.least
        for candidate in candidates:
            # A mapping with a cut group is kept only if it may be the fastest: a cut saves cycles, not memory.
            least = 0 if self.plans.response else (self.plans.steps - 1) * candidate.words
            if least <= best or all(len(way) == 1 for way in candidate.choice.ways):
                candidate.worthwhile = True
        return found

    def _candidate(self, choice: Choice) -> Candidate:
        candidate = self._candidates.get(choice)
        if candidate is None:
            words = units = 0
            for group, way in zip(self._groups, choice.ways, strict=True):
                more_words, more_units = group.size(way)
                words += more_words
                units += more_units
            candidate = self._candidates[choice] = Candidate(self.plans, choice, words, units)
            if words > self._most_words:
                candidate.least = math.inf
        return candidate


def _changed(ways: tuple[Way, ...], places: Sequence[int], option: Way) -> tuple[Way, ...]:
    """The ways with `option` at these places."""
    changed = list(ways)
    for place in places:
        changed[place] = option
    return tuple(changed)
