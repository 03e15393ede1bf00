"""Follows the tokens of a sequence: the cycle in which each token is issued, and when the last output has left.

The controller issues tokens in a fixed order, each in the first cycle in which its conditions hold. Taken slots of the
write stream are the bits of one integer. Once the state that determines the future (relative to the present) repeats,
the steps between repeat as well, and all whole periods are skipped at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hdl.latencies import ENTRY_INTERVAL, FIRST_ENTRY, FIRST_INPUT
from rnn_mapper.schedule.entries import ScheduleEntry
from rnn_mapper.schedule.timing import Timing

__all__ = [
    "Controller",
    "InputVector",
    "Marks",
    "TokenCost",
    "Trace",
    "TracedToken",
    "follow",
    "token_costs",
]

class TokenCost(NamedTuple):
    """The effects of a token; all cycles are counted from its issue."""

    #: Cycles until the next token may follow.
    duration: int
    #: Cycle in which the last result has been collected; None for a phase that stores.
    completion: int | None
    #: Bit n is set if the token's phase takes the write stream's slot n cycles later; bit 0 is the token itself.
    slots: int
    #: Cycle in which the output may begin to leave; None where this token does not decide it.
    output: int | None


def token_costs(timings: Sequence[Timing], durations: Sequence[int]) -> tuple[list[TokenCost], list[TokenCost]]:
    """The costs of the tokens of all entries in most steps, and in the first step of a cleared sequence.

    `durations` are by issue (2 * entry + fresh).
    """
    later = [_cost(timing, duration) for timing, duration in zip(timings, durations[::2], strict=True)]
    fresh = [_cost(each.fresh or each, duration) for each, duration in zip(timings, durations[1::2], strict=True)]
    return later, fresh


def _cost(timing: Timing, duration: int) -> TokenCost:
    # The previous step has been sent: at most one result a cycle reaches the collector, and one beat a cycle leaves.
    return TokenCost(duration, None if timing.traits.stores else timing.completion, timing.slots, timing.output)


#: The fields of a `ScheduleEntry` that decide when its token is issued, in the order of the class.
_Rule = tuple[int, int | None, int, bool, bool, bool]


class Controller(NamedTuple):
    """Everything needed from the entries to follow a schedule, except their costs."""

    rules: tuple[_Rule, ...]
    #: Iterations after the first in which some entry still works on the same step.
    lag: int
    #: Number of latest input vectors that some entry may still need.
    held: int
    #: From this iteration on, all iterations check the same conditions.
    settled: int
    #: (entry, count): the last `count` completions of the entry may still be waited for at the end of an iteration.
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


class TracedToken(NamedTuple):
    """A token and the cycles in which its waits ended, one after the other."""

    entry: int
    step: int
    #: The previous token has the sites up to `free`; the controller considers this token from `considered` on.
    free: int
    considered: int
    #: Cycles in which the results, the input and the room in the output buffer are there.
    results: int
    input: int
    room: int
    cycle: int


class InputVector(NamedTuple):
    """An input vector on the write stream; the vector takes the free slots from `first` to `last`."""

    step: int
    first: int
    last: int


class Marks(NamedTuple):
    """Places in the lists of a `Trace`."""

    tokens: int = 0
    loads: int = 0
    sent: int = 0


@dataclass
class Trace:
    """Everything that happens in a sequence, with one period of the repeated part. The period is between `first` and
    `stop`; `repeats` more follow, each `period_steps` steps and `period_cycles` cycles later. Events listed after
    `stop` are later by all of these."""

    tokens: list[TracedToken] = field(default_factory=list)
    loads: list[InputVector] = field(default_factory=list)
    #: Cycle in which the last output group of each step is fetched.
    sent: list[int] = field(default_factory=list)
    #: Idle cycles before, and duration of, entries that do nothing in an iteration but hold their slot.
    slots_held: list[tuple[int, int]] = field(default_factory=list)
    #: The last token has the sites up to `free`; the last output begins to leave at `output`; everything ends at `end`.
    free: int = FIRST_ENTRY
    output: int = FIRST_ENTRY
    end: int = FIRST_ENTRY
    first: Marks = field(default_factory=Marks)
    stop: Marks = field(default_factory=Marks)
    repeats: int = 0
    period_steps: int = 0
    period_cycles: int = 0

    @property
    def all_sent(self) -> list[int]:
        """`sent` for the whole sequence."""
        period = self.sent[self.first.sent : self.stop.sent]
        repeated = [cycle + time * self.period_cycles for time in range(1, self.repeats + 1) for cycle in period]
        later = self.repeats * self.period_cycles
        return [*self.sent[: self.stop.sent], *repeated, *(cycle + later for cycle in self.sent[self.stop.sent :])]

    @property
    def marks(self) -> Marks:
        """The ends of the lists."""
        return Marks(len(self.tokens), len(self.loads), len(self.sent))


def follow(
    controller: Controller, later: Sequence[TokenCost], fresh: Sequence[TokenCost], holds: Sequence[bool], beats: int,
    groups: int, steps: int, trace: Trace | None = None, arrivals: Sequence[int] | None = None,
) -> int:
    """The cycles of a sequence of `steps` steps whose tokens have the costs `later`, in the first step `fresh`.

    Input vectors have `beats` beats, outputs `groups`. The first beat of each step's input is offered from the cycle in
    `arrivals` on, all others at once; without `arrivals` the input is never idle. The events are added to an empty
    `trace`. A search spends most of its time in this function, so everything is a local variable.
    """
    rules, lag, held, settled, recent = controller
    # Taken slots: bit n is cycle origin + n. Cycles before `origin` are never looked up.
    origin = slots = skipped = 0
    # By step: the cycle from which its input may be loaded, the cycle of the input's last beat, of the output's last
    # group, and of the last result of each entry.
    room = [FIRST_INPUT, FIRST_INPUT]
    loaded: list[int] = []
    sent: list[int] = [] if trace is None else trace.sent
    completed: list[list[int]] = [[] for _ in rules]
    # The next entry is considered from `consider` on; the previous token has the sites up to `window`.
    consider = window = FIRST_ENTRY
    next_load = FIRST_INPUT
    # States and when they were; none where steps are not alike.
    seen: dict[tuple[int, ...], tuple[int, int, Marks | None]] | None = {} if arrivals is None else None
    iteration = 0
    while iteration < steps + lag:
        for index, (behind, waits, back, needs, frees, to_host) in enumerate(rules):
            step = iteration - behind
            if not 0 <= step < steps:
                if holds[index]:
                    consider = max(consider, window)
                    if trace is not None:
                        trace.slots_held.append((consider - window, later[index].duration))
                    window = consider + later[index].duration
                consider += ENTRY_INTERVAL
                continue
            duration, completion, taken, output = later[index] if step else fresh[index]
            at = considered = consider if consider > window else window
            if waits is not None and step >= back:
                at = max(at, completed[waits][step - back] + 1)
            results = at
            if needs:
                while len(loaded) <= step:
                    earliest = max(next_load, room[len(loaded)])
                    if arrivals is not None:
                        earliest = max(earliest, arrivals[len(loaded)])
                    first = _free(slots, origin, earliest)
                    next_load = first + _width(slots >> first - origin, beats)
                    if trace is not None:
                        trace.loads.append(InputVector(len(loaded), first, next_load - 1))
                    loaded.append(next_load - 1)
                at = max(at, loaded[step] + 1)
            there = at
            if to_host and step >= 2:
                at = max(at, sent[step - 2] + 1)
            asked = at
            at = _free(slots, origin, at)
            if trace is not None:
                trace.tokens.append(TracedToken(index, step, window, considered, results, there, asked, at))
            slots |= taken << at - origin
            if frees:
                room.append(at + duration + 1)
            if completion is not None:
                completed[index].append(at + completion)
            if output is not None:
                sent.append(at + output + groups - 1)
            consider, window = at + ENTRY_INTERVAL, at + duration
        if seen is not None and settled <= iteration < steps - 1:
            horizon = min(consider, max(next_load, room[len(loaded)]))
            slots >>= horizon - origin
            origin = horizon
            waited = loaded[-held:] + sent[-2:]
            for index, count in recent:
                waited += completed[index][-count:]
            state = (
                slots, consider - horizon, window - horizon, next_load - horizon, len(loaded) - iteration,
                *[cycle - horizon for cycle in room[len(loaded) :]],
                # Events before the cycle in which the next entry is considered do not delay it.
                *[cycle - horizon if cycle >= consider else -1 for cycle in waited],
            )
            marks = None if trace is None else trace.marks
            before, start, mark = seen.setdefault(state, (iteration, horizon, marks))
            if before != iteration:
                # The remaining whole periods add their cycles; the rest is the end of a shorter sequence.
                periods = (steps - 1 - iteration) // (iteration - before)
                steps -= periods * (iteration - before)
                skipped = periods * (horizon - start)
                seen = None
                if trace is not None and mark is not None and marks is not None:
                    trace.first, trace.stop, trace.repeats = mark, marks, periods
                    trace.period_steps, trace.period_cycles = iteration - before, horizon - start
        iteration += 1
    # The last beat is offered one cycle after it was fetched, and the controller sees one cycle later that it is gone.
    end = max(consider, sent[-1] + 2) + 1
    if trace is not None:
        trace.free, trace.output, trace.end = window, sent[-1] - groups + 1, end
    return end + skipped


def _free(slots: int, origin: int, cycle: int) -> int:
    """The first cycle with a free slot, from `cycle` on."""
    taken = slots >> cycle - origin
    return cycle + (~taken & (taken + 1)).bit_length() - 1


def _width(taken: int, beats: int) -> int:
    """Cycles until `beats` slots were free: `beats` plus the slots taken up to then."""
    width = beats
    while (wanted := beats + (taken & (1 << width) - 1).bit_count()) != width:
        width = wanted
    return width
