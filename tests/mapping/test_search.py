"""The cycles by which the search compares mappings, for networks that share a schedule."""

from __future__ import annotations

import numpy as np

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters
from rnn_mapper import cells
from rnn_mapper.cells.unit_program import Preference
from rnn_mapper.errors import MappingError
from rnn_mapper.mapping.choices import Choice, UnitSlice
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.mapping.plans import Frames, HostBeats, Plans
from rnn_mapper.network.random import LayerShape
from rnn_mapper.quantisation.blank import blank_network
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.schedule.clock import PhaseClock
from rnn_mapper.schedule.distances import Distances
from rnn_mapper.schedule.phases import PhaseOrder
from tests.support.plain_predict import plain_predict

GRID = GridParameters(
    4, 6, 8, weight_depth=1 << 14, vector_depth=1 << 10, units=256, state_words=4, gate_entries=1 << 12, phases=64,
    schedule_depth=128, program_length=64,
)
LATENCIES = GridLatencies.of(GRID)


def networks(rng: np.random.Generator) -> list[QuantisedNetwork]:
    """Streams of one model, or two models."""
    def network() -> QuantisedNetwork:
        cell = (cells.lstm, cells.gru, cells.sru, cells.lstm_projection)[int(rng.integers(4))]
        inputs, *sizes = (int(rng.integers(1, 60)) for _ in range(int(rng.integers(2, 4))))
        head = int(rng.integers(1, 20)) if rng.random() < 0.4 else None
        inner = int(rng.integers(1, 40))
        return blank_network(inputs, [LayerShape(cell, size, inner) for size in sizes], head, GRID.arithmetic)

    one = network()
    return [one] * int(rng.integers(1, 4)) if rng.random() < 0.6 else [one, network()]


def choice_of(mapping: Mapping, programs: Preference) -> Choice:
    slices: dict[int, dict[int, UnitSlice]] = {}
    for phase, timing in zip(mapping.phases, mapping.timings, strict=True):
        nest = timing.nest
        slices.setdefault(phase.group, {})[phase.slice] = UnitSlice(nest.groups, nest.ru, nest.chains)
    ways = tuple(tuple(way[number] for number in sorted(way)) for _, way in sorted(slices.items()))
    return Choice(mapping.schedule.value, ways, programs.value)


def test_cycles_and_bounds_are_those_of_the_mapping() -> None:
    rng, compared = np.random.default_rng(4), 0
    while compared < 25:
        members = networks(rng)
        steps, programs = int(rng.choice([1, 2, 5, 60])), list(Preference)[int(rng.integers(3))]
        # Networks of very different depth share a schedule only in order.
        fused = len(set(members)) == 1 and rng.random() < 0.7
        schedule = PhaseOrder.FUSED if fused else PhaseOrder.SEQUENTIAL if rng.random() < 0.5 else PhaseOrder.BLAS
        mapping = map_network(members, GRID, steps=steps, schedule=schedule, programs=programs)
        distances = Distances(PhaseClock(LATENCIES, GRID.group_beats))
        plans = Plans(Frames(members), steps, GRID, distances, HostBeats.of(members, GRID))
        plan = plans.plan(choice_of(mapping, programs))
        assert plan is not None
        expected = plain_predict(mapping.plan, steps).cycles
        while not plan.exact:
            assert plan.least <= expected
            plan.improve()
        assert plan.least == expected
        compared += 1


def test_responses_and_bounds_are_those_of_the_mapping() -> None:
    rng, compared = np.random.default_rng(6), 0
    while compared < 15:
        members = networks(rng)[:1]
        programs = list(Preference)[int(rng.integers(3))]
        try:
            mapping = map_network(members, GRID, schedule=PhaseOrder.RESPONSE, programs=programs)
        except MappingError:
            continue
        distances = Distances(PhaseClock(LATENCIES, GRID.group_beats))
        plans = Plans(Frames(members), 1, GRID, distances, HostBeats.of(members, GRID), response=True)
        plan = plans.plan(choice_of(mapping, programs))
        assert plan is not None
        assert mapping.response is not None
        while not plan.exact:
            assert plan.least <= mapping.response.cycles
            plan.improve()
        assert plan.least == mapping.response.cycles
        compared += 1
