"""Mappings a second that `spatial-rnn explore` compares on one core, without caches, areas and tables.

    .venv/bin/python scripts/explore_rate.py

Processor time of this process, so that others on the machine count little. A mapping is a distinct (grid, order, parts
of every layer); plans are the different ones of which cycles are counted.
"""

from __future__ import annotations

import time

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters
from rnn_mapper.explore.adapter import Shape
from rnn_mapper.explore.part import Part, search_part

_CASES = (
    ("LSTM 256 x 150, cols 1 to 64", Shape(("lstm",), 256, (256,)), 64),
    ("LSTM 256 x 150, cols 1 to 16", Shape(("lstm",), 256, (256,)), 16),
    ("GRU 40 -> 128 -> 128 -> dense 10 x 150, cols 1 to 16", Shape(("gru", "gru"), 40, (128, 128), 10), 16),
)


def main() -> None:
    """Measure and print."""
    latencies = GridLatencies.of(GridParameters())
    for name, shape, cols in _CASES:
        started = time.process_time()
        results = [
            search_part(Part(shape, 150, ("fused",), rows, lanes, tuple(range(1, cols + 1)), latencies))
            for rows in (2, 4, 8) for lanes in (8, 16, 32, 48)
        ]
        seconds = time.process_time() - started
        mappings, plans = sum(r.mappings for r in results), sum(r.plans for r in results)
        print(f"{name}: {mappings} mappings ({plans} plans) in {seconds:.1f} s, {mappings / seconds:,.0f} mappings/s, "
              f"{plans / seconds:,.0f} plans/s")


if __name__ == "__main__":
    main()
