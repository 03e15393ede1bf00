"""Exact cycle counts of a mapped network, without simulating the grid.

The controller issues tokens in a fixed order, each in the first cycle in which its conditions hold; everything else
happens a fixed number of cycles after a token. So it is enough to follow the tokens, the slots of the write stream,
and the input and output streams (which are taken to be never idle and never held up by the host).
Cycle 0 is the first in which the controller is busy. A long sequence soon repeats itself: `token_costs.follow` finds
the period and skips the rest, exactly, so 1500 steps cost little more than ten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rnn_mapper.schedule.durations import ScheduleEntry
from rnn_mapper.schedule.timing import PhaseTiming
from rnn_mapper.schedule.tokens import FIRST_CYCLE, Trace, follow, token_costs

__all__ = [
    "FIRST_CYCLE", "CycleAccount", "InputVector", "Prediction", "SequencePlan", "TokenIssue", "predict",
    "sum_accounts",
]


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


def sum_accounts(accounts: Sequence[CycleAccount]) -> CycleAccount:
    """The account of sequences that run one after the other."""
    return CycleAccount(*(sum(values) for values in zip(*(vars(one).values() for one in accounts), strict=True)))


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
    tokens: Sequence[TokenIssue] = field(default_factory=list, repr=False)
    #: Every input vector that some phase read, in order.
    inputs: Sequence[InputVector] = field(default_factory=list, repr=False)


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


class _Events(Sequence[Any]):
    """Tokens or input vectors of a sequence; those of the part that repeats are made when they are asked for."""

    def __init__(self, events: list[tuple[int, ...]], trace: Trace, kind: str, make: Callable[..., Any]) -> None:
        self._events, self._trace, self._make = events, trace, make
        self._first, self._stop = trace.marks.get(kind, (0, 0))
        self._size = self._stop - self._first

    def __len__(self) -> int:
        return len(self._events) + self._trace.repeats * self._size

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(index)
        repeat = 0
        if place >= self._stop and self._size:
            repeat = min((place - self._first) // self._size, self._trace.repeats)
            place -= repeat * self._size
        trace = self._trace
        if place >= self._stop:
            # Behind the part that repeats everything was followed at its own time.
            return self._make(self._events[place], 0, 0)
        return self._make(self._events[place], repeat * trace.period_steps, repeat * trace.period_cycles)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # a sequence of what may be compared


def predict(plan: SequencePlan, steps: int, cleared: bool = True) -> Prediction:
    """Cycle counts of a sequence of `steps` steps, from a cleared state or from a kept one."""
    timings, entries = plan.timings, plan.entries
    costs = [token_costs(entry, timings[entry.phase]) for entry in entries]
    trace = follow(costs, plan.input_beats, plan.output_groups, steps, cleared)
    account = CycleAccount(
        control=trace.control, tail=trace.tail, input=trace.input, output=trace.output, epilogue=trace.skipped
    )
    multiplications = 0
    for entry in entries:
        for fresh, count in ((True, int(cleared)), (False, steps - int(cleared))):
            timing = timings[entry.phase].of_step(fresh)
            reading = timing.nest.max_units * timing.nest.gates * timing.nest.words
            # A state that counts as zero is not multiplied.
            useful = 0 if fresh and timing.phase.previous else timing.phase.multiplications
            multiplications += count * useful
            account.multiplying += count * useful / plan.multipliers
            account.fragmentation += count * (reading - useful / plan.multipliers)
            account.epilogue += count * ((entry.fresh_duration if fresh else entry.duration) - reading)

    def token(event: tuple[int, ...], steps_on: int, cycles_on: int) -> TokenIssue:
        index, step, cycle = event
        return TokenIssue(entries[index].phase, step + steps_on, cleared and step + steps_on == 0, cycle + cycles_on)

    def vector(event: tuple[int, ...], steps_on: int, cycles_on: int) -> InputVector:
        step, first, last = event
        return InputVector(step + steps_on, first + cycles_on, last + cycles_on)

    return Prediction(
        cycles=trace.cycles,
        step_cycles=[cycle + 1 for cycle in trace.sent],
        phase_cycles={timing.phase.name: timing.occupied for timing in timings},
        account=account,
        utilisation=multiplications / plan.multipliers / trace.cycles,
        tokens=_Events(trace.tokens, trace, "tokens", token),
        inputs=_Events(trace.loads, trace, "loads", vector),
    )
