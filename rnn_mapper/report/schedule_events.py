"""When each column of the grid multiplies and when its results travel: the picture's figures, from the prediction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.schedule.prediction import Prediction, TokenIssue

__all__ = ["Multiplying", "Result", "Window", "events", "show_window"]


@dataclass(frozen=True)
class Multiplying:
    """A unit's multiplications in the columns of its chain; all rows do the same."""

    phase: int
    step: int
    col: int
    #: First cycle, and the one after the last.
    start: int
    end: int


@dataclass(frozen=True)
class Result:
    """A unit's way from its last multiplication through the epilogue to the collector."""

    phase: int
    step: int
    #: Column of the chain's tail, where the epilogue runs.
    col: int
    #: Cycle after the last multiplication, on the result link, at the collector.
    computed: int
    emitted: int
    collected: int
    #: Cycles in which it occupies the write stream; none for a result that only the host gets.
    beats: int


@dataclass(frozen=True)
class Window:
    """Cycles to show."""

    first: int
    last: int
    #: (cycle, step) in which each step shown begins with its recurrent products.
    starts: tuple[tuple[int, int], ...]


def events(mapping: Mapping, tokens: Sequence[TokenIssue]) -> Iterator[Multiplying | Result]:
    """All multiplications and results of these tokens."""
    for token in tokens:
        timing = mapping.timings[token.phase].of_step(token.fresh)
        nest = timing.nest
        for chain in range(nest.chains):
            tail = nest.tail(chain)
            for unit in range(nest.units(chain)):
                begin = token.cycle + mapping.latencies.token + timing.delays[chain] + unit * timing.interval
                length = nest.gates * nest.words
                for col in range(tail - nest.ru + 1, tail + 1):
                    yield Multiplying(token.phase, token.step, col, begin + col, begin + col + length)
                if not timing.phase.stores:
                    collected = token.cycle + timing.arrival(chain, unit)
                    emitted = collected - mapping.latencies.result_hop * tail
                    beats = timing.group_beats if timing.phase.feeds_back else 0
                    yield Result(token.phase, token.step, tail, begin + tail + length, emitted, collected, beats)


def show_window(mapping: Mapping, prediction: Prediction, steps: int = 2) -> Window:
    """About `steps` steps from the middle of the sequence: from their first token to the first token after them."""
    first_phase = next((index for index, phase in enumerate(mapping.phases) if phase.previous), 0)
    marks = [token for token in prediction.tokens if token.phase == first_phase]
    begin = min(max(0, len(marks) // 2 - 1), max(0, len(marks) - steps))
    shown = marks[begin : begin + steps]
    after = begin + steps
    last = marks[after].cycle + mapping.latencies.token if after < len(marks) else prediction.cycles
    return Window(shown[0].cycle - 1, last, tuple((mark.cycle, mark.step) for mark in shown))
