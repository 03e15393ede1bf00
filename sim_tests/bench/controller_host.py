"""Random schedules for a controller, and the grid and host around it."""

from __future__ import annotations

from collections import Counter, abc
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hdl.layouts import schedule_entry_layout, schedule_header_layout
from hdl.parameters import GridParameters
from rnn_mapper.mapping.images import LayoutPacker

__all__ = ["Surroundings", "random_schedule"]


def random_schedule(p: GridParameters, rng: np.random.Generator) -> tuple[dict[str, int], list[dict[str, int]]]:
    """Header and entries of a schedule without deadlock; every phase is in it at most once."""
    header = dict.fromkeys(LayoutPacker(schedule_header_layout(p)).fields, 0)
    count = int(rng.integers(1, min(6, p.phases, p.schedule_depth - p.models) + 1))
    lags = [int(lag) for lag in rng.integers(0, int(rng.integers(1, 5)), count)]
    first = int(rng.integers(p.models, p.schedule_depth - count + 1))
    header |= {"entries": count, "first": first, "max_lag": max(lags)}
    # In an iteration, all readers of the input run the same step, and so do all phases with results for the host.
    reading, writing = rng.choice(lags, 2)
    readers = [place for place, lag in enumerate(lags) if lag == reading]
    phases = rng.permutation(p.phases)[:count]
    entries = []
    for place, lag in enumerate(lags):
        entry = dict.fromkeys(LayoutPacker(schedule_entry_layout(p)).fields, 0) | {
            "phase": int(phases[place]), "lag": lag, "duration": int(rng.choice([0, 0, 1, 2, 7, 20])),
            "fresh_duration": int(rng.choice([0, 1, 5, 30])), "holds_slot": int(rng.integers(2)),
            "needs_input": int(place in readers), "frees_input": int(readers[-1:] == [place]),
            "to_host": int(lag == writing),
        }
        other, back = int(rng.integers(count)), int(rng.integers(4))
        # The awaited phase must be issued before it.
        if lags[other] - lag - back <= (0 if other < place else -1) and rng.random() < 0.9:
            entry |= {"wait": 1, "wait_phase": int(phases[other]), "wait_back": back}
        entries.append(entry)
    return header, entries


@dataclass
class Surroundings:
    """Results, input and output of one sequence, at random paces; `react` follows the controller."""

    rng: np.random.Generator
    entries: Sequence[abc.Mapping[str, int]]
    steps: int
    #: Chance of a result, of an input vector and of an output in a cycle, and of a result on the write stream.
    paces: tuple[float, float, float, float]
    #: Tokens whose phase is not complete yet, and completed steps of every phase.
    running: Counter[int] = field(default_factory=Counter)
    completed: Counter[int] = field(default_factory=Counter)
    loaded: int = 0
    consumed: int = 0
    freed: int = 0
    sent: int = 0

    def inputs(self) -> dict[str, int]:
        """Inputs of the controller in one cycle."""
        result, vector, output, busy = (bool(self.rng.random() < pace) for pace in self.paces)
        values = {
            "complete": 0, "complete_phase": int(self.rng.choice([entry["phase"] for entry in self.entries])),
            "stream_busy": int(busy), "input_available": int(self.consumed < self.loaded),
            "input_quiet": int(self.rng.random() < 0.5), "output_idle": int(self.rng.random() < 0.5),
            "steps_sent": self.sent % 4, "all_sent": int(self.sent == self.steps),
        }
        phases = [phase for phase, count in self.running.items() if count]
        if result and phases:
            phase = int(self.rng.choice(phases))
            self.running[phase] -= 1
            self.completed[phase] += 1
            values |= {"complete": 1, "complete_phase": phase}
        self.loaded += int(vector and self.loaded < min(self.steps, self.freed + 2))
        ready = min(self.completed[entry["phase"]] for entry in self.entries if entry["to_host"])
        self.sent += int(output and self.sent < ready)
        return values

    def react(self, outputs: abc.Mapping[str, int]) -> None:
        """Follow the controller's outputs of the cycle."""
        self.consumed += outputs["input_consume"]
        self.freed += outputs["input_free"]
        if "phase" in outputs:
            counts = self.running if outputs["token_valid"] else self.completed
            counts[outputs["phase"]] += 1
