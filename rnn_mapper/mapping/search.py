"""The search for the fastest mapping, for one grid or for several of one height and one width of PCU.

The cycles of a mapping depend on the number of columns only through the columns that it may take, so each plan is
evaluated once and is the same on every grid that is wide enough.
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
    """Look for no garbage: what a search makes is kept to its end, and looking through it takes a sixth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Search:
    """Compares mappings of networks.

    `groups` are the ways of each unit group, `most_words` the most weight words that a site can have.
    """

    def __init__(self, plans: Plans, groups: Sequence[GroupWays], most_words: float = math.inf) -> None:
        self.plans, self._groups, self._most_words = plans, groups, most_words
        # Streams of one model are mapped alike: for each unit group all that are the same of the same network.
        self._alike: dict[object, list[int]] = {}
        for index, group in enumerate(plans.frames.groups):
            key = plans.frames.members[group.member], group.layer, group.kind
            self._alike.setdefault(key, []).append(index)
        self._candidates: dict[Choice, Candidate] = {}

    def descend(
        self, schedule: str, programs: str, options: Sequence[Sequence[Way]], grid: dict[Choice, Candidate]
    ) -> Candidate | None:
        """The best mapping that is found by changing one unit group after the other, until no change of one is better.

        `options` are the ways of every unit group to choose from; the search begins with the first of each. `grid` gets
        all mappings that were compared, in the order in which the search came to them.
        """
        ways = tuple(each[0] for each in options)
        best: Candidate | None = None
        # The mapping to begin with is compared with those of the first group.
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
        """The fastest of some mappings, if it is faster than the best of those before."""
        candidates = []
        for choice in choices:
            # Those that were compared before are no faster than the best.
            if choice not in grid:
                grid[choice] = candidate = self._candidate(choice)
                candidates.append(candidate)
        found = fastest(candidates, best)
        if found is not None:
            best = found.least
        for candidate in candidates:
            # A group in two slices is kept only where it may be the fastest: it saves cycles, not memory.
            if (self.plans.steps - 1) * candidate.words <= best or all(len(way) == 1 for way in candidate.choice.ways):
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
    """The ways with another one at these places."""
    changed = list(ways)
    for place in places:
        changed[place] = option
    return tuple(changed)
