"""Cycles of a sequence, as `rnn_mapper.schedule.tokens.follow` counts them, without saying where they go.

The rules are those of `rnn_mapper.schedule.tokens`, which explains them; here everything is a local variable, and what
nothing depends on is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rnn_mapper.schedule.durations import ScheduleEntry
from rnn_mapper.schedule.tokens import FIRST_CYCLE, TokenCost

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
    # By step: the cycle from which its input may be loaded, that of the input's last beat, of the output's last group,
    # and of the last result of each entry.
    room = [FIRST_CYCLE, FIRST_CYCLE]
    loaded: list[int] = []
    sent: list[int] = []
    completed: list[list[int]] = [[] for _ in rules]
    consider = window = next_load = FIRST_CYCLE
    seen: dict[tuple[int, ...], tuple[int, int]] | None = {}
    iteration = 0
    while iteration < steps + lag:
        for index, (behind, waits, back, needs, frees, to_host) in enumerate(rules):
            step = iteration - behind
            if not 0 <= step < steps:
                if holds[index]:
                    consider = max(consider, window)
                    window = consider + later[index].duration
                consider += 1
                continue
            duration, completion, taken, output = later[index] if step else fresh[index]
            at = consider if consider > window else window
            if waits is not None and step >= back:
                at = max(at, completed[waits][step - back] + 1)
            if needs:
                while len(loaded) <= step:
                    first = _free(slots, origin, max(next_load, room[len(loaded)]))
                    next_load = first + _width(slots >> first - origin, beats)
                    loaded.append(next_load - 1)
                at = max(at, loaded[step] + 1)
            if to_host and step >= 2:
                at = max(at, sent[step - 2] + 1)
            at = _free(slots, origin, at)
            slots |= taken << at - origin
            if frees:
                room.append(at + duration + 1)
            if completion is not None:
                completed[index].append(at + completion)
            if output is not None:
                sent.append(at + output + groups - 1)
            consider, window = at + 1, at + duration
        if seen is not None and settled <= iteration < steps - 1:
            # Nothing asks about cycles before this one any more.
            horizon = min(consider, max(next_load, room[len(loaded)]))
            slots >>= horizon - origin
            origin = horizon
            waited = loaded[-held:] + sent[-2:]
            for index, count in recent:
                waited += completed[index][-count:]
            state = (
                slots, consider - horizon, window - horizon, next_load - horizon, len(loaded) - iteration,
                *[cycle - horizon for cycle in room[len(loaded) :]],
                # What is over is over: what was there before the next entry is considered does not delay it.
                *[cycle - horizon if cycle >= consider else -1 for cycle in waited],
            )
            before, start = seen.setdefault(state, (iteration, horizon))
            if before != iteration:
                # The whole periods that are left add their cycles: what follows is that of a shorter sequence.
                periods = (steps - 1 - iteration) // (iteration - before)
                steps -= periods * (iteration - before)
                skipped = periods * (horizon - start)
                seen = None
        iteration += 1
    # The last beat is offered one cycle after it was fetched, and the controller sees in the next that it is gone.
    return max(consider, sent[-1] + 2) + 1 + skipped


def _free(slots: int, origin: int, cycle: int) -> int:
    """The first cycle from this one on whose slot is free."""
    taken = slots >> cycle - origin
    return cycle + (~taken & (taken + 1)).bit_length() - 1


def _width(taken: int, beats: int) -> int:
    """Cycles until so many slots were free: as many more as slots are taken up to there."""
    width = beats
    while (wanted := beats + (taken & (1 << width) - 1).bit_count()) != width:
        width = wanted
    return width
