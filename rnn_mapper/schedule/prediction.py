"""Exact cycle counts of a mapped network, without simulating the grid.

The controller issues tokens in a fixed order, each in the first cycle in which its conditions hold; everything else
happens a fixed number of cycles after a token. So it is enough to follow the tokens, the slots of the write stream,
and the input and output streams (assumed never idle and never held up by the host).
Cycle 0 is the first cycle in which the controller is busy. A long sequence soon repeats itself: `tokens.follow` finds
the period and skips the rest, exactly, so predicting 1500 steps costs little more than predicting ten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hdl.latencies import FIRST_ENTRY
from rnn_mapper.schedule.entries import ScheduleEntry
from rnn_mapper.schedule.timing import PhaseTiming
from rnn_mapper.schedule.tokens import Controller, InputVector, Trace, follow, token_costs

__all__ = ["CycleAccount", "InputVector", "Prediction", "SequencePlan", "TokenIssue", "predict", "sum_accounts"]


@dataclass
class CycleAccount:
    """Where the cycles of a sequence go; the sum of all fields is the total."""

    #: All multipliers of the grid busy with the model's multiplications (not with multiplications by a cleared state).
    multiplying: float = 0.0
    #: Multipliers idle while phases run: sizes that do not fill words and grid, sites without units.
    fragmentation: float = 0.0
    #: Idle cycles that the epilogue or the links require between units and phases.
    epilogue: float = 0.0
    #: Waiting for results of an earlier step or layer.
    tail: float = 0.0
    #: Waiting for the input vector.
    input: float = 0.0
    #: Waiting for room in the output buffer, and sending the rest of the output at the end.
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
    """A phase token: everything the phase does happens a fixed number of cycles after its token."""

    #: Index of the phase.
    phase: int
    step: int
    #: The token belongs to the first step of a cleared sequence.
    fresh: bool
    #: Cycle in which the controller issues it.
    cycle: int


@dataclass(frozen=True)
class Prediction:
    """Cycle counts of one sequence."""

    #: Busy cycles of the controller, as in the CYCLES register.
    cycles: int
    #: For each step, the cycle in which its last output beat is offered on the output stream.
    step_cycles: list[int]
    #: For each phase, cycles from its first to its last use of the sites in one step.
    phase_cycles: dict[str, int]
    account: CycleAccount
    #: Multiplications of the model as a share of all multiplier-cycles.
    utilisation: float
    #: Every token, in order of issue.
    tokens: Sequence[TokenIssue] = field(default_factory=list, repr=False)
    #: Every input vector that some phase read, in order.
    inputs: Sequence[InputVector] = field(default_factory=list, repr=False)


@dataclass(frozen=True)
class SequencePlan:
    """Everything that determines the cycle count of a sequence on one grid."""

    timings: list[PhaseTiming]
    entries: list[ScheduleEntry]
    #: Write-stream beats of an input vector.
    input_beats: int
    #: Output beats of a step.
    output_groups: int
    multipliers: int


class _Events(Sequence[Any]):
    """One of the lists of a trace, for the whole sequence; repeated events are made on access.

    `later` returns an event shifted by some steps and cycles.
    """

    def __init__(
        self, events: Sequence[Any], trace: Trace, first: int, stop: int, later: Callable[[Any, int, int], Any]
    ) -> None:
        self._events, self._trace, self._later = events, trace, later
        self._first, self._stop = first, stop
        self._size = stop - first

    def __len__(self) -> int:
        return len(self._events) + self._trace.repeats * self._size

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(index)
        repeat, trace = 0, self._trace
        if place >= self._stop:
            repeat = min((place - self._first) // self._size, trace.repeats) if self._size else trace.repeats
            place -= repeat * self._size
        return self._later(self._events[place], repeat * trace.period_steps, repeat * trace.period_cycles)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # compared by its events, so not hashable


def predict(
    plan: SequencePlan, steps: int, cleared: bool = True, arrivals: Sequence[int] | None = None
) -> Prediction:
    """Cycle counts of a sequence of `steps` steps, starting from a cleared or a kept state.

    `arrivals` are the cycles from which the first beat of each step's input is offered; without them the input is never
    idle.
    """
    timings, entries = plan.timings, plan.entries
    later, fresh = token_costs(
        [timings[entry.phase].cycles for entry in entries],
        [duration for entry in entries for duration in (entry.duration, entry.fresh_duration)],
    )
    trace = Trace()
    cycles = follow(
        Controller.of(entries), later, fresh if cleared else later, [entry.holds_slot for entry in entries],
        plan.input_beats, plan.output_groups, steps, trace, arrivals,
    )
    account, multiplications = _account(plan, trace, steps, cleared)

    def token(event: Any, steps_on: int, cycles_on: int) -> TokenIssue:
        step = event.step + steps_on
        return TokenIssue(entries[event.entry].phase, step, cleared and step == 0, event.cycle + cycles_on)

    def vector(event: InputVector, steps_on: int, cycles_on: int) -> InputVector:
        step, first, last = event
        return InputVector(step + steps_on, first + cycles_on, last + cycles_on)

    first, stop = trace.first, trace.stop
    return Prediction(
        cycles=cycles,
        step_cycles=[cycle + 1 for cycle in trace.all_sent],
        phase_cycles={timing.phase.name: timing.occupied for timing in timings},
        account=account,
        utilisation=multiplications / plan.multipliers / cycles,
        tokens=_Events(trace.tokens, trace, first.tokens, stop.tokens, token),
        inputs=_Events(trace.loads, trace, first.loads, stop.loads, vector),
    )


def _account(plan: SequencePlan, trace: Trace, steps: int, cleared: bool) -> tuple[CycleAccount, int]:
    """Where the cycles go, and the multiplications of the model."""
    control, tail, waiting, output = FIRST_ENTRY, 0, 0, 0
    for place, token in enumerate(trace.tokens):
        times = 1 + trace.repeats * (trace.first.tokens <= place < trace.stop.tokens)
        control += times * (token.considered - token.free + token.cycle - token.room)
        tail += times * (token.results - token.considered)
        waiting += times * (token.input - token.results)
        output += times * (token.room - token.input)
    control += sum(idle for idle, _ in trace.slots_held)
    last = max(0, min(trace.output, trace.end) - trace.free)
    account = CycleAccount(
        control=control, tail=tail + last, input=waiting, output=output + trace.end - trace.free - last,
        epilogue=sum(duration for _, duration in trace.slots_held),
    )
    multiplications = 0
    for entry in plan.entries:
        for fresh, count in ((True, int(cleared)), (False, steps - int(cleared))):
            timing = plan.timings[entry.phase].of_step(fresh)
            reading = timing.nest.max_units * timing.nest.gates * timing.nest.words
            # A state that counts as zero is not multiplied.
            useful = 0 if fresh and timing.phase.previous else timing.phase.multiplications
            multiplications += count * useful
            account.multiplying += count * useful / plan.multipliers
            account.fragmentation += count * (reading - useful / plan.multipliers)
            account.epilogue += count * ((entry.fresh_duration if fresh else entry.duration) - reading)
    return account, multiplications
