"""A lower bound on the cycles of a sequence, much cheaper than counting them.

Every token waits for other tokens: for the previous token (as long as its duration) and perhaps for the results of a
phase (until its completion). So a sequence takes at least the sum of all durations. Following the waits back from entry
to entry leads to the same entry again some iterations earlier: a circuit. Where a circuit adds up to more than the
durations of as many iterations, each round of the circuit that fits in the sequence adds the difference. A token also
waits for a slot of the write stream that is free of results of the previous token. All other causes of delay (slots
taken by other tokens or the input, durations lengthened so that phases do not disturb each other, input and output)
only add cycles to the bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from operator import sub
from typing import NamedTuple

from hdl.latencies import FIRST_ENTRY
from rnn_mapper.schedule.distances import Distances
from rnn_mapper.schedule.durations import Outline
from rnn_mapper.schedule.entries import ScheduleEntry
from rnn_mapper.schedule.timing import Timing

__all__ = ["Circuit", "Known", "circuits", "follow_on", "least_cycles", "least_durations", "least_response"]

#: Largest number of circuits examined. Any circuit gives a bound, and networks worth exploring have fewer.
_LIMIT = 64


class Circuit(NamedTuple):
    """Entries whose durations and completions are between an entry and the same entry some iterations later."""

    #: Indices into a list of all durations followed by all completions.
    terms: tuple[int, ...]
    #: Number of terms that are completions.
    completions: int
    iterations: int
    #: How often the circuit fits in the sequence.
    rounds: int


class _Wait(NamedTuple):
    """The tokens of `after` wait for the tokens of `before`, `iterations` iterations earlier."""

    before: int
    after: int
    iterations: int
    #: The wait ends with the last result of `before`, not with its duration.
    completes: bool


def circuits(entries: Sequence[ScheduleEntry], steps: int) -> list[Circuit]:
    """Circuits of a schedule that fit in a sequence of `steps` steps."""
    last = len(entries) - 1
    waits = [_Wait(index - 1 if index else last, index, int(index == 0), False) for index in range(len(entries))]
    waits += [
        _Wait(entry.waits_for, index, entry.lag + entry.wait_back - entries[entry.waits_for].lag, True)
        for index, entry in enumerate(entries) if entry.waits_for is not None
    ]
    by_after: list[list[_Wait]] = [[] for _ in entries]
    for wait in waits:
        # Completions first: they limit most networks.
        by_after[wait.after].insert(0, wait)
    found = []
    for walk in islice(_closed(by_after), _LIMIT):
        lags = [entries[wait.before].lag for wait in walk]
        # Steps at the ends of a sequence in which some entries do nothing or take other than their usual time.
        ends = 2 + max(lags) - min(lags)
        iterations = sum(wait.iterations for wait in walk)
        rounds = (steps - ends) // iterations
        # A circuit without completions adds up to the durations of all entries.
        if rounds > 0 and any(wait.completes for wait in walk):
            found.append(Circuit(
                tuple(wait.before + wait.completes * len(entries) for wait in walk),
                sum(wait.completes for wait in walk), iterations, rounds,
            ))
    return found


def _closed(by_after: Sequence[Sequence[_Wait]]) -> Iterator[list[_Wait]]:
    """Walks from an entry back to itself that pass no entry twice; each walk once, starting at its first entry."""
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
    """Known cycles of a plan, by entry; they may be lower than the actual cycles."""

    durations: Sequence[int]
    #: Durations in the first step.
    fresh: Sequence[int]
    completions: Sequence[int]
    #: Slots of the write stream that tokens take, in all steps but the first; these are exact.
    slots: Sequence[int]
    #: The entry takes its duration even in an iteration in which it does nothing.
    holds: Sequence[bool] = ()


def least_cycles(found: Sequence[Circuit], known: Known, outline: Outline, steps: int) -> int:
    """No sequence of `steps` steps takes fewer cycles."""
    durations = known.durations
    iteration = sum(durations)
    # Iterations in which every entry has a token, also in the next iteration, and no token is of the first step.
    settled = max(0, steps - 2 - max([entry.lag for entry in outline.entries]))
    gained = _round(known)
    more = 0
    # A token without results takes only its own slot.
    terms = [_free(slots, cycle) if slots > 1 else cycle for slots, cycle in zip(known.slots, durations, strict=True)]
    terms += known.completions
    for places, completes, iterations, rounds in found:
        # A token that waits for a result is issued in the cycle after its completion.
        longer = sum([terms[place] for place in places]) + completes - iterations * gained
        if longer > 0:
            more = max(more, rounds * longer)
    more += settled * (gained - iteration)
    # Idle iterations at both ends of the sequence, except the iteration of the last token.
    idle = sum([durations[index] for index, held in enumerate(known.holds) if held])
    idle *= max(0, outline.entries[outline.last].lag - 1)
    # Rounds of a circuit may begin in the first step of other entries.
    first = sum(map(min, known.fresh, durations))
    return FIRST_ENTRY + (steps - 1) * iteration + first + idle + more + _after_last(known, outline, steps)


def _free(slots: int, cycle: int) -> int:
    """The first cycle with a free slot, from `cycle` on."""
    taken = slots >> cycle
    return cycle + (~taken & (taken + 1)).bit_length() - 1


def _round(known: Known) -> int:
    """Cycles from a token of the first entry to its next token, in iterations in which every entry has a token.

    Each token is issued as soon as the previous tokens allow. If they are issued later, the first free slot is no
    earlier either: slots are counted from the last token with results to the next token with results.
    """
    total = cycle = taken = 0
    for slots, duration in zip(known.slots, known.durations, strict=True):
        if slots > 1:
            total, cycle, taken = total + cycle, 0, slots
        cycle = _free(taken, cycle + duration) if taken else cycle + duration
    return total + cycle


def _after_last(known: Known, outline: Outline, steps: int) -> int:
    """Cycles after the issue of the last token, less its duration, which need not be over when its results are sent."""
    last = outline.last
    if steps == 1:
        return -known.fresh[last]
    return (known.completions[last] if outline.output == last else 0) - known.durations[last]


def least_response(known: Known, outline: Outline) -> int:
    """No input that comes alone has its output in fewer cycles: one phase after the other needs it, up to the last."""
    output = outline.output
    lag = outline.entries[output].lag
    return sum(
        known.durations[index] for index, entry in enumerate(outline.entries[:output]) if entry.lag == lag
    ) + known.completions[output]


def least_durations(timings: Sequence[Timing], barriers: Sequence[bool]) -> list[int]:
    """Durations of phases of one unit group, no longer than in any schedule with these phases."""
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
    """The durations, lengthened where the next entry could not follow otherwise."""
    longer = []
    for index, duration in enumerate(durations):
        after = (index + 1) % len(durations)
        # An entry that waits for results is issued late enough.
        if outline.entries[after].waits_for != index:
            shared = outline.shared[index][after]
            duration = max(duration, distances.of(timings[index], timings[after], shared))
        longer.append(duration)
    return longer
