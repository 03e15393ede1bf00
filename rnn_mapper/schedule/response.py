"""Response latency: how long the output of a step takes when its input comes alone.

The response of a step is counted from the cycle in which the grid accepts the last beat of its input to the cycle in
which the last beat of its output is offered, from a warm state, when everything that does not need the input is over.
"""

from __future__ import annotations

from dataclasses import dataclass

from rnn_mapper.schedule.prediction import SequencePlan, predict

__all__ = ["Response", "response_of"]

#: Steps after which nothing changes any more, and steps that are looked at with a given gap.
_WARM, _STEPS = 2, 12
#: Gaps beyond the shortest that are tried: the write stream could be taken at just the wrong time.
_BEYOND = 8


@dataclass(frozen=True)
class Response:
    """The response of a mapping, for inputs that come one at a time."""

    #: Cycles from the acceptance of the last beat of a step's input to the last beat of its output.
    cycles: int
    #: Fewest cycles from the first beat of an input to that of the next with which each step has this response.
    shortest_gap: int


def response_of(plan: SequencePlan) -> Response | None:
    """The response of a schedule; None if an output waits for the inputs of later steps."""
    quiet = predict(plan, 4, cleared=False).cycles + plan.input_beats
    alone = _responses(plan, quiet, _WARM + 2)
    if alone is None:
        return None
    cycles = alone[-1]

    def holds(gap: int) -> bool:
        found = _responses(plan, gap, _STEPS)
        return found is not None and max(found) <= cycles

    low, high = plan.input_beats, quiet
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    while not all(holds(low + more) for more in range(_BEYOND)):
        low += 1
    return Response(cycles, low)


def _responses(plan: SequencePlan, gap: int, steps: int) -> list[int] | None:
    """The responses of all steps of a kept state whose inputs come every `gap` cycles, the first one late; None if an
    output waits for a later input however long it takes."""
    first = predict(plan, 1, cleared=False).cycles
    arrivals = [first + gap * step for step in range(steps)]
    found = predict(plan, steps, cleared=False, arrivals=arrivals)
    loads, ends = list(found.inputs), found.step_cycles
    if gap >= first and any(end > arrival for end, arrival in zip(ends, arrivals[1:], strict=False)):
        return None
    return [end - load.last for end, load in zip(ends, loads, strict=True)]
