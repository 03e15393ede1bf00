"""The prediction as a plain loop over all steps, to compare the one that skips what repeats with."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from rnn_mapper.schedule.entries import ScheduleEntry
from rnn_mapper.schedule.prediction import CycleAccount, InputVector, Prediction, SequencePlan, TokenIssue
from rnn_mapper.schedule.timing import PhaseTiming

#: The controller considers its first entry in this cycle, each other so many cycles after the one before; the input is
#: loaded from cycle 1 on.
FIRST_CYCLE, BETWEEN, FIRST_INPUT = 3, 2, 1


@dataclass
class _Slots:
    """Cycles in which the write stream carries a result or a token."""

    cycles: list[int] = field(default_factory=list)

    def add(self, cycle: int) -> None:
        insort(self.cycles, cycle)

    def add_beats(self, issue: int, offsets: list[int]) -> None:
        if offsets and self.cycles[-1] < issue + offsets[0]:
            self.cycles.extend(issue + offset for offset in offsets)
        else:
            for offset in offsets:
                self.add(issue + offset)

    def first_free(self, cycle: int) -> int:
        index = bisect_left(self.cycles, cycle)
        while index < len(self.cycles) and self.cycles[index] == cycle:
            cycle, index = cycle + 1, index + 1
        return cycle

    def nth_free(self, cycle: int, count: int) -> int:
        """The `count`-th free cycle from `cycle` on."""
        index = bisect_left(self.cycles, cycle)
        last = cycle + count - 1
        while index < len(self.cycles) and self.cycles[index] <= last:
            last, index = last + 1, index + 1
        return last


class _Input:
    """The input stream: two halves of a buffer, filled beat by beat in the free slots of the write stream."""

    def __init__(self, beats: int, slots: _Slots) -> None:
        self.beats, self.slots = beats, slots
        self.room: deque[int] = deque([FIRST_INPUT, FIRST_INPUT])
        self.next_cycle = FIRST_INPUT
        self.loaded: list[int] = []
        self.vectors: list[InputVector] = []

    def load(self, step: int) -> int:
        """Cycle of the last beat of a step's input."""
        while len(self.loaded) <= step:
            earliest = max(self.next_cycle, self.room.popleft())
            first, last = self.slots.first_free(earliest), self.slots.nth_free(earliest, self.beats)
            self.vectors.append(InputVector(len(self.loaded), first, last))
            self.loaded.append(last)
            self.next_cycle = last + 1
        return self.loaded[step]


def issues(entries: list[ScheduleEntry], steps: int) -> Iterator[tuple[int, int, bool]]:
    """(entry, step, exists) in the order in which the controller considers them, for a sequence of `steps`."""
    for iteration in range(steps + max(entry.lag for entry in entries)):
        for index, entry in enumerate(entries):
            step = iteration - entry.lag
            yield index, step, 0 <= step < steps


def completion(timing: PhaseTiming) -> int:
    """Cycle in which the last result has been collected."""
    return timing.arrivals[-1][0] + (timing.group_beats if timing.phase.feeds_back else 1) - 1


def plain_predict(plan: SequencePlan, steps: int, cleared: bool = True) -> Prediction:
    """Cycle counts of a sequence of `steps` steps, from a cleared state or from a kept one."""
    timings, entries = plan.timings, plan.entries
    slots = _Slots()
    source = _Input(plan.input_beats, slots)
    account = CycleAccount(control=FIRST_CYCLE)
    completed: list[list[int]] = [[] for _ in timings]
    sent: list[int] = []
    tokens: list[TokenIssue] = []
    # The next entry is considered from `consider` on; the token before it has the sites up to `window`.
    consider = window = FIRST_CYCLE
    output_begins = FIRST_CYCLE
    multiplications = 0
    for index, step, exists in issues(entries, steps):
        entry, fresh = entries[index], cleared and step == 0
        timing = timings[entry.phase].of_step(fresh)
        duration = entry.fresh_duration if fresh else entry.duration
        if not exists:
            if entry.holds_slot:
                start = max(consider, window)
                account.epilogue += entry.duration
                account.control += start - window
                window = start + entry.duration
                consider = start
            consider += BETWEEN
            continue
        at = max(consider, window)
        account.control += at - window
        ready = at
        if entry.waits_for is not None and step - entry.wait_back >= 0:
            ready = max(ready, completed[entry.waits_for][step - entry.wait_back] + 1)
            account.tail, at = account.tail + ready - at, ready
        if entry.needs_input:
            ready = max(ready, source.load(step) + 1)
            account.input, at = account.input + ready - at, ready
        if entry.to_host and step >= 2:
            ready = max(ready, sent[step - 2] + 1)
            account.output, at = account.output + ready - at, ready
        ready = slots.first_free(ready)
        account.control, at = account.control + ready - at, ready

        tokens.append(TokenIssue(entry.phase, step, fresh, at))
        slots.add(at)
        slots.add_beats(at, timing.beats)
        if entry.frees_input:
            source.room.append(at + duration + 1)
        if not timing.phase.stores:
            completed[index].append(at + completion(timing))
        if timing.phase.to_host and timing.phase.last_slice:
            # The step before has been sent: results reach the collector one a cycle at most, as beats leave.
            output_begins = at + timing.arrivals[timings[entry.phase].output_start - 1][0] + 1
            sent.append(output_begins + plan.output_groups - 1)
        reading = timing.nest.max_units * timing.nest.gates * timing.nest.words
        # A state that counts as zero is not multiplied.
        useful = 0 if fresh and timing.phase.previous else timing.phase.multiplications
        multiplications += useful
        account.multiplying += useful / plan.multipliers
        account.fragmentation += reading - useful / plan.multipliers
        account.epilogue += duration - reading
        consider, window = at + BETWEEN, at + duration
    # The last beat is offered one cycle after it was fetched, and the controller sees in the next that it is gone.
    total = max(consider, sent[-1] + 2) + 1
    tail = max(0, min(output_begins, total) - window)
    account.tail += tail
    account.output += total - window - tail
    return Prediction(
        cycles=total,
        step_cycles=[cycle + 1 for cycle in sent],
        phase_cycles={timing.phase.name: timing.occupied for timing in timings},
        account=account,
        utilisation=multiplications / plan.multipliers / total,
        tokens=tokens,
        inputs=source.vectors,
    )
