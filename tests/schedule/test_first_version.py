"""LSTM and GRU against the first version with hand-written unit programs: no more cycles and table space.

The figures of the first version are predictions of its commit c3ffcc5 (map_network with its defaults, layers without
weights), which its simulations equalled. Its hardware had other latencies, so schedules are compared with those.
"""

from dataclasses import replace

import pytest

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters, load_parameters
from rnn_mapper import cells
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.network.layers import gate_count
from rnn_mapper.network.random import LayerShape
from rnn_mapper.quantisation.blank import blank_network
from rnn_mapper.schedule import bounds, prediction, tokens

Figures = tuple[int, int]
Point = tuple[str, str, int, int]

#: For preset, cell, inputs and hidden units: cycles of 16 steps from a cleared state, and of 64 steps from a kept one.
FIRST_VERSION: dict[Point, Figures] = {
    ("small", "lstm", 5, 7): (544, 2128),
    ("small", "lstm", 16, 16): (1054, 4136),
    ("small", "lstm", 32, 17): (2116, 8434),
    ("small", "lstm", 24, 33): (4367, 17783),
    ("small", "gru", 5, 7): (477, 1869),
    ("small", "gru", 16, 16): (792, 3108),
    ("small", "gru", 32, 17): (1608, 6387),
    ("small", "gru", 24, 33): (3283, 13367),
    ("medium", "lstm", 20, 32): (708, 2778),
    ("medium", "lstm", 64, 64): (2063, 8248),
    ("medium", "lstm", 40, 100): (3996, 16321),
    ("medium", "gru", 20, 32): (640, 2518),
    ("medium", "gru", 64, 64): (1562, 6194),
    ("medium", "gru", 40, 100): (3023, 12289),
    ("large", "lstm", 64, 128): (1617, 6453),
    ("large", "lstm", 200, 256): (7621, 30827),
    ("large", "lstm", 256, 512): (23859, 98457),
    ("large", "gru", 64, 128): (1368, 5421),
    ("large", "gru", 200, 256): (5748, 23131),
    ("large", "gru", 256, 512): (17933, 73835),
    ("paper", "lstm", 128, 128): (737, 2901),
    ("paper", "lstm", 256, 256): (1039, 4015),
    ("paper", "lstm", 512, 512): (2926, 11470),
    ("paper", "lstm", 1024, 1024): (10927, 44253),
    ("paper", "gru", 128, 128): (704, 2771),
    ("paper", "gru", 256, 256): (951, 3693),
    ("paper", "gru", 512, 512): (2171, 8589),
    ("paper", "gru", 1024, 1024): (8261, 33246),
}
#: Instructions of the hand-written programs.
INSTRUCTIONS = {"lstm": 3, "gru": 2}


def _first_latencies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The latencies of the first version: a result two cycles and a value round the ring one cycle sooner, an entry in
    every cycle."""
    of = GridLatencies.of

    def first(parameters: GridParameters) -> GridLatencies:
        known = of(replace(parameters, memory_registers=0))
        return replace(
            known, result=known.result - 2, ring=known.ring - 1, store_distance=known.store_distance + 1,
            kept_distance=1,
        )

    monkeypatch.setattr(GridLatencies, "of", first)
    monkeypatch.setattr(tokens, "ENTRY_INTERVAL", 1)
    for module in (tokens, bounds, prediction):
        monkeypatch.setattr(module, "FIRST_ENTRY", 1)


@pytest.mark.parametrize("point", FIRST_VERSION)
def test_no_more_cycles(point: Point, monkeypatch: pytest.MonkeyPatch) -> None:
    _first_latencies(monkeypatch)
    preset, cell, inputs, hidden = point
    parameters = load_parameters(preset)
    network = blank_network(inputs, [LayerShape(cells.BUILT_IN[cell], hidden)], None, parameters.arithmetic)
    mapping = map_network(network, parameters)
    now = mapping.predict(16).cycles, mapping.predict(64, cleared=False).cycles
    assert all(cycles <= first for cycles, first in zip(now, FIRST_VERSION[point], strict=True)), now


@pytest.mark.parametrize("point", [point for point in FIRST_VERSION if point[3] <= 128])
def test_no_more_table_space(point: Point) -> None:
    """The same loop nest takes one gate entry for each matrix row, and the programs are equally long."""
    preset, cell, inputs, hidden = point
    parameters = load_parameters(preset)
    network = blank_network(inputs, [LayerShape(cells.BUILT_IN[cell], hidden)], None, parameters.arithmetic)
    mapping = map_network(network, parameters, ru=1, hu=parameters.rows)
    needed = {demand.field: demand.needed for demand in mapping.demands}
    units = -(-hidden // parameters.rows)
    assert needed["gate_entries"] == 2 * units * gate_count(cells.BUILT_IN[cell])
    assert needed["program_length"] == INSTRUCTIONS[cell]
    assert needed["units"] == units
