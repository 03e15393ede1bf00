"""A lower bound of the cycles of a sequence, much cheaper than counting them.

Every token waits for others: for the one before it (as long as that one's duration) and perhaps for the results of a
phase (until its completion). So a sequence takes at least the sum of all durations. Following the waits back from entry
to entry, one comes to the same entry again some iterations earlier: a circuit. Where a circuit adds up to more than the
durations of as many iterations, each round of it that fits in the sequence adds the difference. A token also waits for
a slot of the write stream that no result of the token before it takes. What else may delay a token (slots that others
or the input take, durations that are lengthened so that phases do not disturb each other, input and output) only comes
on top of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from operator import sub
from typing import NamedTuple

from rnn_mapper.schedule.distances import Distances
from rnn_mapper.schedule.durations import Outline
from rnn_mapper.schedule.entries import ScheduleEntry
from rnn_mapper.schedule.timing import Timing
from rnn_mapper.schedule.tokens import FIRST_CYCLE

__all__ = ["Circuit", "Known", "circuits", "follow_on", "least_cycles", "least_durations"]

#: Circuits that are looked at; any of them gives a bound, and networks that one would explore have fewer.
_LIMIT = 64


class Circuit(NamedTuple):
    """Entries whose durations and completions lie between an entry and the same entry, some iterations later."""

    #: Places in a list of all durations and then all completions.
    terms: tuple[int, ...]
    #: How many of them are completions.
    completions: int
    iterations: int
    #: How often it fits in the sequence.
    rounds: int


class _Wait(NamedTuple):
    """The tokens of `after` wait for those of `before`, this many iterations earlier."""

    before: int
    after: int
    iterations: int
    #: Until the last result of `before` is there, not just as long as it lasts.
    completes: bool


def circuits(entries: Sequence[ScheduleEntry], steps: int) -> list[Circuit]:
    """Circuits of a schedule that fit in a sequence of so many steps."""
    last = len(entries) - 1
    waits = [_Wait(index - 1 if index else last, index, int(index == 0), False) for index in range(len(entries))]
    waits += [
        _Wait(entry.waits_for, index, entry.lag + entry.wait_back - entries[entry.waits_for].lag, True)
        for index, entry in enumerate(entries) if entry.waits_for is not None
    ]
    by_after: list[list[_Wait]] = [[] for _ in entries]
    for wait in waits:
        # Completions first: most of what limits a network is one of these.
        by_after[wait.after].insert(0, wait)
    found = []
    for walk in islice(_closed(by_after), _LIMIT):
        lags = [entries[wait.before].lag for wait in walk]
        # Steps at the ends of a sequence in which not all of the entries take part, or take their usual time.
        ends = 2 + max(lags) - min(lags)
        iterations = sum(wait.iterations for wait in walk)
        rounds = (steps - ends) // iterations
        # One without completions adds up to the durations of all.
        if rounds > 0 and any(wait.completes for wait in walk):
            found.append(Circuit(
                tuple(wait.before + wait.completes * len(entries) for wait in walk),
                sum(wait.completes for wait in walk), iterations, rounds,
            ))
    return found


def _closed(by_after: Sequence[Sequence[_Wait]]) -> Iterator[list[_Wait]]:
    """Walks from an entry back to itself that pass no entry twice; each once, from its first entry on."""
    for start in range(len(by_after)):
        pending: list[tuple[int, list[_Wait]]] = [(start, [])]
        while pending:
            entry, walk = pending.pop()
            passed = {wait.before for wait in walk}
            for wait in reversed(by_after[entry]):
                if wait.before == start:
                    yield [*walk, wait]
                elif wait.before > start and wait.before not in passed:
                    pending.append((wait.before, [*walk, wait]))


class Known(NamedTuple):
    """What is known of a plan: by entry, cycles that may be less than they are."""

    durations: Sequence[int]
    #: Durations in the first step.
    fresh: Sequence[int]
    completions: Sequence[int]
    #: Slots of the write stream that tokens take, in all steps but the first; these are as they are.
    slots: Sequence[int]
    #: The duration is taken even in an iteration in which the entry does nothing.
    holds: Sequence[bool] = ()


def least_cycles(found: Sequence[Circuit], known: Known, outline: Outline, steps: int) -> int:
    """No sequence of `steps` steps takes fewer cycles."""
    durations = known.durations
    iteration = sum(durations)
    # In all iterations in which, and after which, every entry has a token, none of them that of the first step.
    settled = max(0, steps - 2 - max([entry.lag for entry in outline.entries]))
    gained = _round(known)
    more = 0
    # A token without results takes no slot but its own.
    terms = [_free(slots, cycle) if slots > 1 else cycle for slots, cycle in zip(known.slots, durations, strict=True)]
    terms += known.completions
    for places, completes, iterations, rounds in found:
        # A token that waits for a result comes in the cycle after its completion.
        longer = sum([terms[place] for place in places]) + completes - iterations * gained
        if longer > 0:
            more = max(more, rounds * longer)
    more += settled * (gained - iteration)
    # Idle iterations at both ends of the sequence, but for the one of the last token.
    idle = sum([durations[index] for index, held in enumerate(known.holds) if held])
    idle *= max(0, outline.entries[outline.last].lag - 1)
    # Rounds of a circuit may begin in the first step of other entries.
    first = sum(map(min, known.fresh, durations))
    return FIRST_CYCLE + (steps - 1) * iteration + first + idle + more + _after_last(known, outline, steps)


def _free(slots: int, cycle: int) -> int:
    """The first cycle from this one on whose slot is free."""
    taken = slots >> cycle
    return cycle + (~taken & (taken + 1)).bit_length() - 1


def _round(known: Known) -> int:
    """Cycles from a token of the first entry to the next one, where every entry has a token.

    A token comes no sooner than it may after those before it, and if they come later, the first free slot is no sooner
    either: slots are counted from the last token that has results, until the next one that has.
    """
    total = cycle = taken = 0
    for slots, duration in zip(known.slots, known.durations, strict=True):
        if slots > 1:
            total, cycle, taken = total + cycle, 0, slots
        cycle = _free(taken, cycle + duration) if taken else cycle + duration
    return total + cycle


def _after_last(known: Known, outline: Outline, steps: int) -> int:
    """Cycles after the issue of the last token, less its duration: that need not be over, but its results are sent."""
    last = outline.last
    if steps == 1:
        return -known.fresh[last]
    return (known.completions[last] if outline.output == last else 0) - known.durations[last]


def least_durations(timings: Sequence[Timing], barriers: Sequence[bool]) -> list[int]:
    """Durations of phases of one unit group, no longer than they are in any schedule with these phases."""
    return [
        max(
            timing.waiting, timing.stored if barrier else 0,
            *(max(map(sub, timing.ends, other.delays)) for other in timings if other.tiling.ru == timing.tiling.ru),
        )
        for timing, barrier in zip(timings, barriers, strict=True)
    ]


def follow_on(
    durations: Sequence[int], outline: Outline, timings: Sequence[Timing], distances: Distances
) -> list[int]:
    """Durations, longer where the next entry could not follow else."""
    longer = []
    for index, duration in enumerate(durations):
        after = (index + 1) % len(durations)
        # What waits for results comes late enough.
        if outline.entries[after].waits_for != index:
            shared = outline.shared[index][after]
            duration = max(duration, distances.of(timings[index], timings[after], shared))
        longer.append(duration)
    return longer
