"""Exact cycle counts of a mapped network, without simulating the grid.

The controller issues tokens in a fixed order, each in the first cycle in which its conditions hold; everything else
happens a fixed number of cycles after a token. So it is enough to follow the tokens, the slots of the write stream,
and the input and output streams (which are taken to be never idle and never held up by the host).
Cycle 0 is the first in which the controller is busy.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass, field

from rnn_mapper.schedule import ScheduleEntry, issues
from rnn_mapper.timing import PhaseTiming

__all__ = ["CycleAccount", "InputVector", "Prediction", "SequencePlan", "TokenIssue", "predict"]

#: First cycle in which the controller considers an entry: it spends one cycle on beginning.
FIRST_CYCLE = 1


@dataclass
class CycleAccount:
    """Where the cycles of a sequence go; the sum of all fields is the total."""

    #: All multipliers of the grid busy with the model's own multiplications (not those of a cleared state).
    multiplying: float = 0.0
    #: Multipliers idle while phases run: sizes that divide nothing, sites without units.
    fragmentation: float = 0.0
    #: Idle cycles that the epilogue or the links ask for between units and phases.
    epilogue: float = 0.0
    #: Waiting for results of an earlier step or layer.
    tail: float = 0.0
    #: Waiting for the input vector.
    input: float = 0.0
    #: Waiting for room in the output buffer, and sending what is left at the end.
    output: float = 0.0
    #: The controller's own cycles.
    control: float = 0.0

    @property
    def total(self) -> float:
        """Cycles of the sequence."""
        return sum(vars(self).values())


@dataclass(frozen=True)
class TokenIssue:
    """A phase token: everything that its phase does happens a fixed number of cycles after it."""

    #: Index of the phase.
    phase: int
    step: int
    #: It belongs to the first step of a cleared sequence.
    fresh: bool
    #: Cycle in which the controller issues it.
    cycle: int


@dataclass(frozen=True)
class InputVector:
    """An input vector on the write stream: it takes the free slots from `first` to `last`."""

    step: int
    first: int
    last: int


@dataclass(frozen=True)
class Prediction:
    """Cycle counts of one sequence."""

    #: Busy cycles of the controller; the CYCLES register.
    cycles: int
    #: For each step, the cycle in which its last output beat is offered on the output stream.
    step_cycles: list[int]
    #: For each phase, cycles from its first to its last use of the sites in one step.
    phase_cycles: dict[str, int]
    account: CycleAccount
    #: Share of all multiplier-cycles that are multiplications of the model.
    utilisation: float
    #: Every token, in order of issue.
    tokens: list[TokenIssue] = field(default_factory=list, repr=False)
    #: Every input vector that some phase read, in order.
    inputs: list[InputVector] = field(default_factory=list, repr=False)


@dataclass(frozen=True)
class SequencePlan:
    """All that decides the cycle count of a sequence on one grid."""

    timings: list[PhaseTiming]
    entries: list[ScheduleEntry]
    #: Write-stream beats of an input vector.
    input_beats: int
    #: Output beats of a step.
    output_groups: int
    multipliers: int


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
        self.room: deque[int] = deque([FIRST_CYCLE, FIRST_CYCLE])
        self.next_cycle = FIRST_CYCLE
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


def predict(plan: SequencePlan, steps: int, cleared: bool = True) -> Prediction:
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
            consider += 1
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
            completed[index].append(at + timing.completion)
        if timing.phase.to_host and timing.phase.last_part:
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
        consider, window = at + 1, at + duration
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
