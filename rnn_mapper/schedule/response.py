"""Response latency: how long the output of a step takes when its input comes alone.

The response of a step is counted from the cycle in which the grid accepts the last beat of its input to the cycle in
which the last beat of its output is offered, from a warm state, when everything that does not need the input is over.
"""

from __future__ import annotations

from dataclasses import dataclass

from rnn_mapper.schedule.prediction import SequencePlan
from rnn_mapper.schedule.tokens import Controller, Trace, follow, token_costs

__all__ = ["Response", "response_of"]

#: Steps after which nothing changes any more.
_STEPS = 6


@dataclass(frozen=True)
class Response:
    """The response of a mapping, for inputs that come one at a time."""

    #: Cycles from the acceptance of the last beat of a step's input to the last beat of its output.
    cycles: int
    #: Cycles from the first beat of an input to that of the next, from which on every step has this response, whatever
    #: the gaps before it were: with fewer, something that does not need the input is not over when it comes.
    shortest_gap: int


def response_of(plan: SequencePlan) -> Response | None:
    """The response of a schedule; None if an output waits for the inputs of later steps."""
    followed = _Followed(plan)
    # Two steps take longer than everything between one input and the next.
    quiet = followed.cycles(2) + plan.input_beats
    alone = followed.trace(quiet)
    arrivals = followed.arrivals(quiet)
    if any(end >= arrival for end, arrival in zip(alone.all_sent, arrivals[1:], strict=False)):
        return None
    cycles = followed.responses(alone)[-1]

    def holds(gap: int) -> bool:
        trace = followed.trace(gap)
        return followed.waits_for_inputs_only(trace) and max(followed.responses(trace)) == cycles

    low, high = plan.input_beats, quiet
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return Response(cycles, low)


class _Followed:
    """Sequences from a kept state whose inputs come one at a time."""

    def __init__(self, plan: SequencePlan) -> None:
        self._plan = plan
        entries = plan.entries
        self._costs, _ = token_costs(
            [plan.timings[entry.phase].cycles for entry in entries],
            [duration for entry in entries for duration in (entry.duration, entry.fresh_duration)],
        )
        self._controller = Controller.of(entries)
        self._holds = [entry.holds_slot for entry in entries]
        self._first = next(index for index, entry in enumerate(entries) if entry.needs_input)

    def cycles(self, steps: int) -> int:
        """Cycles of a sequence whose inputs lie ready."""
        return self._follow(steps, None, None)

    def arrivals(self, gap: int) -> list[int]:
        """Cycles of the inputs that come every `gap` cycles, the first one late."""
        start = self.cycles(2)
        return [start + gap * step for step in range(_STEPS)]

    def trace(self, gap: int) -> Trace:
        """What happens when the inputs come every `gap` cycles."""
        trace = Trace()
        self._follow(_STEPS, trace, self.arrivals(gap))
        return trace

    def responses(self, trace: Trace) -> list[int]:
        """Cycles from the last beat of each input to that of its output, which is offered a cycle after its fetch."""
        return [end + 1 - load.last for end, load in zip(trace.all_sent, trace.loads, strict=True)]

    def waits_for_inputs_only(self, trace: Trace) -> bool:
        """Whether the first phase of each step waits for nothing but its input, whose beats come without a pause."""
        ready = all(
            token.results <= trace.loads[token.step].last + 1 for token in trace.tokens if token.entry == self._first
        )
        return ready and all(load.last - load.first == self._plan.input_beats - 1 for load in trace.loads)

    def _follow(self, steps: int, trace: Trace | None, arrivals: list[int] | None) -> int:
        plan = self._plan
        return follow(
            self._controller, self._costs, self._costs, self._holds, plan.input_beats, plan.output_groups, steps,
            trace, arrivals,
        )
