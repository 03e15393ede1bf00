"""Cycles of a sequence, as `rnn_mapper.token_costs.follow` counts them, without saying where they go.

The rules are those of `rnn_mapper.token_costs`, which explains them; here everything is a local variable, and what
nothing depends on is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rnn_mapper.schedule import ScheduleEntry
from rnn_mapper.token_costs import FIRST_CYCLE, TokenCost

__all__ = ["Controller", "fast_follow"]

#: An entry in the order of the fields of `ScheduleEntry` that decide when its token is issued.
_Rule = tuple[int, int | None, int, bool, bool, bool]


class Controller(NamedTuple):
    """What following a schedule depends on of its entries, but for their costs."""

    rules: tuple[_Rule, ...]
    #: Iterations after the first in which an entry does something for the same step.
    lag: int
    #: Input vectors that some entry may still ask for.
    held: int
    #: From this iteration on, every one asks the same questions.
    settled: int
    #: How many of the last completions of which entries may still be waited for at the end of an iteration.
    recent: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, entries: Sequence[ScheduleEntry]) -> Controller:
        """The controller of these entries."""
        lag = max(entry.lag for entry in entries)
        recent: dict[int, int] = {}
        for entry in entries:
            if entry.waits_for is not None:
                behind = entry.lag + entry.wait_back - entries[entry.waits_for].lag
                recent[entry.waits_for] = max(behind, recent.get(entry.waits_for, 0))
        return cls(
            tuple((e.lag, e.waits_for, e.wait_back, e.needs_input, e.frees_input, e.to_host) for e in entries),
            lag, 2 + max((entry.lag for entry in entries if entry.needs_input), default=0),
            lag + max(1, *(entry.wait_back for entry in entries)),
            tuple((index, count) for index, count in sorted(recent.items()) if count),
        )


def fast_follow(
    controller: Controller, later: Sequence[TokenCost], fresh: Sequence[TokenCost], holds: Sequence[bool], beats: int,
    groups: int, steps: int,
) -> int:
    """The cycles of a cleared sequence of `steps` steps, whose tokens have these costs, in the first step the fresh
    ones. Input vectors have `beats` beats, outputs `groups`."""
    rules, lag, held, settled, recent = controller
    # Taken slots: bit n is cycle origin + n.
    origin = slots = skipped = 0
    # Cycles from which each input vector may be loaded, lists by step, and those of `completed` by entry; all are
    # shortened by the steps that were skipped.
    room, loaded, sent = [FIRST_CYCLE, FIRST_CYCLE], [], []
    completed: list[list[int]] = [[] for _ in rules]
    consider = window = next_load = FIRST_CYCLE
    seen: dict[tuple[int, ...], tuple[int, int]] | None = {}
    iteration, end = 0, steps
    while iteration < end + lag:
        for index, (behind, waits, back, needs, frees, to_host) in enumerate(rules):
            step = iteration - behind
            if not 0 <= step < end:
                if holds[index]:
                    consider = max(consider, window)
                    window = consider + later[index][0]
                consider += 1
                continue
            duration, completion, taken, output = later[index] if step else fresh[index]
            at = consider if consider > window else window
            if waits is not None and step >= back and completed[waits][step - back] >= at:
                at = completed[waits][step - back] + 1
            if needs:
                while len(loaded) <= step:
                    first = max(next_load, room[len(loaded)])
                    free = slots >> first - origin
                    first += (~free & free + 1).bit_length() - 1
                    free = slots >> first - origin
                    # The last of `beats` free slots: as many later as slots are taken up to there.
                    width = beats
                    while (wanted := beats + (free & (1 << width) - 1).bit_count()) != width:
                        width = wanted
                    next_load = first + width
                    loaded.append(next_load - 1)
                at = max(at, loaded[step] + 1)
            if to_host and step >= 2:
                at = max(at, sent[step - 2] + 1)
            free = slots >> at - origin
            at += (~free & free + 1).bit_length() - 1
            slots |= taken << at - origin
            if frees:
                room.append(at + duration + 1)
            if completion is not None:
                completed[index].append(at + completion)
            if output is not None:
                sent.append(at + output + groups - 1)
            consider, window = at + 1, at + duration
        if seen is not None and settled <= iteration < end - 1:
            # Nothing asks about cycles before this one any more.
            horizon = min(consider, max(next_load, room[len(loaded)]))
            slots >>= horizon - origin
            origin = horizon
            # What is over is over: a condition that held before the next entry is considered does not delay it.
            state = [slots, consider - horizon, window - horizon, next_load - horizon, len(loaded) - iteration]
            state += [cycle - horizon for cycle in room[len(loaded) :]]
            waited = loaded[-held:] + sent[-2:]
            for index, count in recent:
                waited += completed[index][-count:]
            state += [cycle - horizon if cycle >= consider else -1 for cycle in waited]
            now = iteration, horizon
            before = seen.setdefault(tuple(state), now)
            if before is not now:
                # All whole periods that are left are skipped: the sequence is shorter, and takes so many more cycles.
                span = iteration - before[0]
                times = (end - 1 - iteration) // span
                end -= times * span
                skipped = times * (horizon - before[1])
                seen = None
        iteration += 1
    return max(consider, sent[-1] + 2) + 1 + skipped
