"""Mappings a second that `spatial-rnn explore` compares on one core, without caches, areas and tables.

    .venv/bin/python -m scripts.explore_rate

Processor time of this process, so that others on the machine count little. A mapping is a distinct (grid, order,
preferred unit programs, slices of every layer); plans are the different ones of which cycles are counted. The search
for the unit programs of a cell, which is made once for rows of every length, is measured apart.
"""

from __future__ import annotations

import time

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters
from rnn_mapper.cells.unit_program import WORDS_LIMIT, Preference, unit_program
from rnn_mapper.explore.shapes import Shape, frames_of
from rnn_mapper.explore.size import SizeJob, search_size

_CASES = (
    ("LSTM 256 x 150, cols 1 to 64", Shape(("lstm",), 256, (256,)), 64),
    ("LSTM 256 x 150, cols 1 to 16", Shape(("lstm",), 256, (256,)), 16),
    ("GRU 40 -> 128 -> 128 -> dense 10 x 150, cols 1 to 16", Shape(("gru", "gru"), 40, (128, 128), 10), 16),
)


def find_unit_programs(shape: Shape, latencies: GridLatencies) -> float:
    """Find the unit programs of a shape for rows of every length; returns the seconds."""
    started = time.process_time()
    for phase in (phase for phases in frames_of(shape).whole("fused") for phase in phases):
        for words in range(1, WORDS_LIMIT + 1):
            for preference in Preference:
                if not phase.stores:
                    unit_program(
                        phase.stage, words, latencies.unit_path, phase.separate, preference)
    return time.process_time() - started


def main() -> None:
    """Measure and print."""
    latencies = GridLatencies.of(GridParameters())
    for name, shape, cols in _CASES:
        programs = find_unit_programs(shape, latencies)
        started = time.process_time()
        results = [
            search_size(SizeJob(shape, 150, ("fused",), rows, lanes, tuple(range(1, cols + 1)), latencies))
            for rows in (2, 4, 8) for lanes in (8, 16, 32, 48)
        ]
        seconds = time.process_time() - started
        mappings, plans = sum(r.mappings for r in results), sum(r.plans for r in results)
        print(f"{name}: {mappings} mappings ({plans} plans) in {seconds:.1f} s, {mappings / seconds:,.0f} mappings/s; "
              f"before that unit programs in {programs:.1f} s, with them {mappings / (seconds + programs):,.0f} "
              "mappings/s")


if __name__ == "__main__":
    main()
