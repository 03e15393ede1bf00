"""Pairs of issues of a schedule that may come too close, and the issues between them.

Both depend only on the lags and waits of the phases, not on their timings. Issues that follow another issue form a
tree, so an issue that is far enough away is cut off with all issues after it. The tree is built on demand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rnn_mapper.schedule.entries import ScheduleEntry

__all__ = ["Following", "Pair"]

#: More than the number of places in a sequence; the base in which places are encoded as one order number.
_PLACES = 1 << 16


@dataclass(eq=False, slots=True)
class Pair:
    """An issue (2 * entry + fresh) and an issue that follows it, in all sequences in which they look alike."""

    issue: int
    #: Issues whose durations are between the two, including the first.
    path: tuple[int, ...]
    #: The issue that follows, or -1 where nothing is issued.
    other: int
    #: A skipped entry between the two that could hold its slot, or None.
    slot: int | None
    #: Where the pair occurs: number of the sequence, and the places of both issues in it.
    places: list[tuple[int, int, int]] = field(default_factory=list)
    #: The pairs one issue further on, each with its order; None until `Following.after` computes them.
    after: list[tuple[int, Pair]] | None = None


@dataclass(frozen=True, eq=False)
class _Sequence:
    """A short sequence in the order in which the controller considers it."""

    #: (entry, step, whether it is issued, whether it is fresh) of all entries that take time.
    issued: Sequence[tuple[int, int, bool, bool]]
    skipped: dict[tuple[int, int, int, int], list[int]]


class Following:
    """All pairs of a schedule, in the order in which they occur in sequences of one and more steps, cleared or not.

    All sequences look alike in the middle, so a few lengths contain all pairs.
    """

    def __init__(self, entries: Sequence[ScheduleEntry]) -> None:
        self._entries = entries
        self._sequences = []
        for steps in range(1, max(entry.lag for entry in entries) + 4):
            listed = list(_issues(entries, steps))
            skipped = _skipped_between(entries, listed)
            for cleared in (True, False):
                issued = [
                    (index, step, exists, cleared and step == 0) for index, step, exists in listed
                    if exists or entries[index].holds_slot
                ]
                self._sequences.append(_Sequence(issued, skipped))
        roots: dict[int, Pair] = {}
        for number, sequence in enumerate(self._sequences):
            for place, (index, _, exists, fresh) in enumerate(sequence.issued):
                if exists:
                    issue = 2 * index + fresh
                    root = roots.setdefault(issue, Pair(issue, (), -1, None))
                    root.places.append((number, place, place))
        #: By issue (2 * entry + fresh): the pairs with the next issue.
        self.first = [sorted(self.after(roots[issue])) if issue in roots else [] for issue in range(2 * len(entries))]

    def after(self, pair: Pair) -> list[tuple[int, Pair]]:
        """The pairs one issue further on; their order numbers are above the order number of this pair."""
        if pair.after is None:
            pair.after = self._after(pair)
        return pair.after

    def _after(self, pair: Pair) -> list[tuple[int, Pair]]:
        found: dict[tuple[int, int, int | None], tuple[int, Pair]] = {}
        for number, place, before in pair.places:
            sequence = self._sequences[number]
            later = before + 1
            if later == len(sequence.issued):
                continue
            index, step, _, _ = sequence.issued[place]
            other, other_step, exists, fresh = sequence.issued[later]
            entry = self._entries[other]
            if exists and entry.waits_for == index and other_step - entry.wait_back >= step:
                # The issue comes after the last result of the first issue, and so do all later issues.
                continue
            passed, _, _, passed_fresh = sequence.issued[before]
            slots = sequence.skipped.get((index, step, other, other_step), []) if exists else []
            issue = 2 * other + fresh if exists else -1
            key = 2 * passed + passed_fresh, issue, slots[0] if slots else None
            if key not in found:
                order = (number * _PLACES + place) * _PLACES + later
                found[key] = order, Pair(pair.issue, (*pair.path, key[0]), issue, key[2])
            found[key][1].places.append((number, place, later))
        return list(found.values())


def _issues(entries: Sequence[ScheduleEntry], steps: int) -> Iterator[tuple[int, int, bool]]:
    """(entry, step, exists) in the order in which the controller considers them, for a sequence of `steps` steps."""
    for iteration in range(steps + max(entry.lag for entry in entries)):
        for index, entry in enumerate(entries):
            step = iteration - entry.lag
            yield index, step, 0 <= step < steps


def _skipped_between(
    entries: Sequence[ScheduleEntry], sequence: Sequence[tuple[int, int, bool]]
) -> dict[tuple[int, int, int, int], list[int]]:
    """For each pair of issues, the entries between them that do nothing and do not hold their slot yet."""
    found: dict[tuple[int, int, int, int], list[int]] = {}
    for place, (index, step, exists) in enumerate(sequence):
        if not exists:
            continue
        skipped: list[int] = []
        for other, other_step, other_exists in sequence[place + 1 : place + 1 + 2 * len(entries)]:
            if other_exists:
                found[index, step, other, other_step] = list(skipped)
            elif not entries[other].holds_slot:
                skipped.append(other)
    return found
