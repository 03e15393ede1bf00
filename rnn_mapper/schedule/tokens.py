"""Follows the tokens of a sequence: in which cycle each is issued, and when the last output has left.

The controller issues tokens in a fixed order, each in the first cycle in which its conditions hold. Slots of the write
stream that are taken are the bits of one integer. Once the state of everything that decides about the future (relative
to the present) repeats, the steps between repeat as well, and all whole periods are skipped at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rnn_mapper.schedule.durations import ScheduleEntry
from rnn_mapper.schedule.timing import PhaseTiming

__all__ = ["FIRST_CYCLE", "EntryCost", "TokenCost", "Trace", "bit_mask", "follow", "token_costs"]

#: First cycle in which the controller considers an entry: it spends one cycle on beginning.
FIRST_CYCLE = 1


class TokenCost(NamedTuple):
    """What a token brings; all cycles are counted from its issue."""

    #: Cycles until the next token may follow.
    duration: int
    #: Cycle in which its last result has been collected; None for a phase that stores.
    completion: int | None
    #: Bit n is set where it takes the write stream's slot n cycles later; bit 0 is the token itself.
    slots: int
    #: Cycle in which the output may begin to leave; None where this token does not decide that.
    output: int | None


class EntryCost(NamedTuple):
    """An entry of the schedule and its token in most steps and in the first of a cleared sequence."""

    entry: ScheduleEntry
    later: TokenCost
    fresh: TokenCost


def token_costs(entry: ScheduleEntry, timing: PhaseTiming) -> EntryCost:
    """The costs of an entry."""
    start = timing.output_start if timing.phase.ends_output else 0

    def cost(variant: PhaseTiming, duration: int) -> TokenCost:
        # The step before has been sent: results reach the collector one a cycle at most, as beats leave.
        output = variant.arrivals[start - 1][0] + 1 if start else None
        return TokenCost(
            duration, None if variant.phase.stores else variant.completion, 1 | bit_mask(variant.beats), output
        )

    return EntryCost(entry, cost(timing, entry.duration), cost(timing.fresh, entry.fresh_duration))


def bit_mask(cycles: Sequence[int]) -> int:
    """An integer with these bits set."""
    if not cycles:
        return 0
    taken = bytearray(max(cycles) // 8 + 1)
    for cycle in cycles:
        taken[cycle >> 3] |= 1 << (cycle & 7)
    return int.from_bytes(taken, "little")


@dataclass
class Trace:
    """A followed sequence. `sent` is complete; of `tokens` and `loads` the part between `marks` stands once and comes
    `repeats` times more, each `period_steps` steps and `period_cycles` cycles later."""

    cycles: int = 0
    #: Cycle in which the last output group of each step is fetched.
    sent: list[int] = field(default_factory=list)
    #: (entry, step, cycle) of every token.
    tokens: list[tuple[int, ...]] = field(default_factory=list)
    #: (step, first cycle, last cycle) of every input vector.
    loads: list[tuple[int, ...]] = field(default_factory=list)
    #: First and end of what repeats in `tokens` and `loads`.
    marks: dict[str, tuple[int, int]] = field(default_factory=dict)
    repeats: int = 0
    period_steps: int = 0
    period_cycles: int = 0
    #: Cycles of waiting; see `predict.CycleAccount`.
    control: int = FIRST_CYCLE
    tail: int = 0
    input: int = 0
    output: int = 0
    #: Durations of entries that do nothing in an iteration but hold their slot.
    skipped: int = 0


def follow(
    costs: Sequence[EntryCost], input_beats: int, output_groups: int, steps: int, cleared: bool = True
) -> Trace:
    """Follow a sequence of `steps` steps; arguments as the fields of `predict.SequencePlan`."""
    return _Run(costs, input_beats, output_groups, steps, cleared).trace


class _Run:
    """The state of the controller, of the write stream and of the input and output streams."""

    def __init__(
        self, costs: Sequence[EntryCost], input_beats: int, output_groups: int, steps: int, cleared: bool
    ) -> None:
        self.costs, self.steps, self.cleared = costs, steps, cleared
        self.beats, self.groups = input_beats, output_groups
        self.trace = Trace()
        # Taken slots: bit n is cycle origin + n. No question is ever asked about a cycle before.
        self.origin = self.slots = 0
        self.room: deque[int] = deque([FIRST_CYCLE, FIRST_CYCLE])
        self.next_load = FIRST_CYCLE
        # Lists by step, less the `jumped` ones.
        self.loaded: list[int] = []
        self.sent: list[int] = []
        self.completed: list[list[int]] = [[] for _ in costs]
        self.jumped = 0
        # The next entry is considered from `consider` on; the token before it has the sites up to `window`.
        self.consider = self.window = self.output_begins = FIRST_CYCLE
        lag = max(cost.entry.lag for cost in costs)
        # Input vectors that some entry may still ask for.
        self.held = 2 + max((cost.entry.lag for cost in costs if cost.entry.needs_input), default=0)
        # From this iteration on, every one asks the same questions.
        settled = lag + max(1, *(cost.entry.wait_back for cost in costs))
        seen: dict[tuple[object, ...], tuple[int, ...]] = {}
        last, iteration = steps + lag, 0
        recent = _recent(costs)
        while iteration < last:
            self._iterate(iteration)
            if settled <= iteration < steps - 1 and not self.jumped:
                iteration += self._jump(iteration, seen, recent)
            iteration += 1
        self._finish()

    def _iterate(self, iteration: int) -> None:
        """All entries once."""
        trace, steps = self.trace, self.steps
        for index, (entry, later, fresh) in enumerate(self.costs):
            step = iteration - entry.lag
            if not 0 <= step < steps:
                if entry.holds_slot:
                    start = max(self.consider, self.window)
                    trace.skipped += entry.duration
                    trace.control += start - self.window
                    self.window = start + entry.duration
                    self.consider = start
                self.consider += 1
                continue
            cost = fresh if step == 0 and self.cleared else later
            place = step - self.jumped
            at = max(self.consider, self.window)
            trace.control += at - self.window
            if entry.waits_for is not None and step >= entry.wait_back:
                ready = self.completed[entry.waits_for][place - entry.wait_back] + 1
                if ready > at:
                    trace.tail, at = trace.tail + ready - at, ready
            if entry.needs_input:
                ready = self._load(place) + 1
                if ready > at:
                    trace.input, at = trace.input + ready - at, ready
            if entry.to_host and step >= 2:
                ready = self.sent[place - 2] + 1
                if ready > at:
                    trace.output, at = trace.output + ready - at, ready
            ready = self._first_free(at)
            trace.control, at = trace.control + ready - at, ready
            trace.tokens.append((index, step, at))
            self.slots |= cost.slots << (at - self.origin)
            if entry.frees_input:
                self.room.append(at + cost.duration + 1)
            if cost.completion is not None:
                self.completed[index].append(at + cost.completion)
            if cost.output is not None:
                self.output_begins = at + cost.output
                self.sent.append(self.output_begins + self.groups - 1)
                trace.sent.append(self.sent[-1])
            self.consider, self.window = at + 1, at + cost.duration

    def _load(self, place: int) -> int:
        """Cycle of the last beat of a step's input."""
        while len(self.loaded) <= place:
            first = self._first_free(max(self.next_load, self.room.popleft()))
            taken = self.slots >> (first - self.origin)
            # The last of `beats` free slots: as many later as slots are taken up to there.
            width = self.beats
            while (wanted := self.beats + (taken & ((1 << width) - 1)).bit_count()) != width:
                width = wanted
            self.trace.loads.append((len(self.loaded) + self.jumped, first, first + width - 1))
            self.loaded.append(first + width - 1)
            self.next_load = first + width
        return self.loaded[place]

    def _first_free(self, cycle: int) -> int:
        taken = self.slots >> (cycle - self.origin)
        return cycle + (~taken & (taken + 1)).bit_length() - 1

    def _jump(self, iteration: int, seen: dict[tuple[object, ...], tuple[int, ...]], recent: list[int]) -> int:
        """Skip all whole periods that are left when the state has been seen before; returns the iterations skipped."""
        horizon = min(self.consider, max(self.next_load, self.room[0]))
        self.slots >>= horizon - self.origin
        self.origin = horizon
        # What is over is over: a condition that held before the next entry is considered does not delay it.
        past = self.consider - 1
        state = (
            self.slots, self.consider - horizon, self.window - horizon, self.next_load - horizon,
            len(self.loaded) - iteration, *(cycle - horizon for cycle in self.room),
            *(max(past, cycle) - horizon for cycle in self.loaded[-self.held :]),
            *(max(past, cycle) - horizon for cycle in self.sent[-2:]),
            *(max(past, cycle) - horizon for index, count in enumerate(recent) if count
              for cycle in self.completed[index][-count:]),
        )
        trace = self.trace
        now = (iteration, horizon, len(trace.tokens), len(trace.loads), len(self.sent),
               trace.control, trace.tail, trace.input, trace.output)
        before = seen.setdefault(state, now)
        if before is now:
            return 0
        span, cycles = iteration - before[0], horizon - before[1]
        times = (self.steps - 1 - iteration) // span
        trace.repeats, trace.period_steps, trace.period_cycles = times, span, cycles
        trace.marks = {"tokens": (before[2], now[2]), "loads": (before[3], now[3])}
        shift, period = times * cycles, self.sent[before[4] :]
        trace.sent += [cycle + repeat * cycles for repeat in range(1, times + 1) for cycle in period]
        trace.control += times * (trace.control - before[5])
        trace.tail += times * (trace.tail - before[6])
        trace.input += times * (trace.input - before[7])
        trace.output += times * (trace.output - before[8])
        self.jumped = times * span
        self.origin, self.consider, self.window = self.origin + shift, self.consider + shift, self.window + shift
        self.next_load, self.output_begins = self.next_load + shift, self.output_begins + shift
        self.room = deque(cycle + shift for cycle in self.room)
        self.loaded = [cycle + shift for cycle in self.loaded]
        self.sent = [cycle + shift for cycle in self.sent]
        self.completed = [[cycle + shift for cycle in cycles_of] for cycles_of in self.completed]
        return self.jumped

    def _finish(self) -> None:
        # The last beat is offered one cycle after it was fetched, and the controller sees in the next that it is gone.
        trace = self.trace
        trace.cycles = max(self.consider, trace.sent[-1] + 2) + 1
        tail = max(0, min(self.output_begins, trace.cycles) - self.window)
        trace.tail += tail
        trace.output += trace.cycles - self.window - tail


def _recent(costs: Sequence[EntryCost]) -> list[int]:
    """How many of the last completions of each entry may still be waited for at the end of an iteration."""
    counts = [0] * len(costs)
    for cost in costs:
        entry = cost.entry
        if entry.waits_for is not None:
            behind = entry.lag + entry.wait_back - costs[entry.waits_for].entry.lag
            counts[entry.waits_for] = max(counts[entry.waits_for], behind)
    return counts
