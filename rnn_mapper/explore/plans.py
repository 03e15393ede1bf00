"""Cycles of mappings of one model on grids of one height and one width of PCU: exact, and a bound that costs less.

What is found for a layer is kept, and so is what two phases have to do with each other: only what depends on a whole
mapping is done for each.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters
from rnn_mapper.errors import MappingError
from rnn_mapper.explore.adapter import Choice, Shape, Way, base_phases, programmed
from rnn_mapper.explore.bounds import Circuit, circuits, least_cycles, least_durations
from rnn_mapper.explore.distances import Distances
from rnn_mapper.explore.fast_schedule import Outline, fast_costs
from rnn_mapper.explore.fast_timing import FastTiming, Split, fast_timing, steady_timing
from rnn_mapper.explore.kinds import Kind, kind_of
from rnn_mapper.loop_nest import ceil_div
from rnn_mapper.token_costs import follow

__all__ = ["Plans", "cycles_of"]


def cycles_of(
    shape: Shape, steps: int, choice: Choice, parameters: GridParameters, latencies: GridLatencies
) -> int:
    """Exact cycles of a sequence, as `rnn_mapper.predict.predict` counts them.

    Of `parameters` only rows and lanes count. Raises `MappingError` when no timing is free of collisions.
    """
    return _plans(shape, steps, parameters, latencies).cycles(choice)


class _Layer(NamedTuple):
    """A layer that is mapped in one way. By phase of the layer, in their order of issue."""

    placed: tuple[tuple[Kind, Split], ...]
    #: Timings of all steps but the first.
    steady: tuple[FastTiming, ...]
    #: As in `bounds`.
    durations: tuple[int, ...]


class _Order(NamedTuple):
    """The phases of a network whose layers have so many parts each."""

    outline: Outline
    circuits: tuple[Circuit, ...]
    #: Layer of each phase, and its place among those of the layer.
    places: tuple[tuple[int, int], ...]


class Plans:
    """Plans of one model. Only rows and lanes of the parameters count."""

    def __init__(self, shape: Shape, steps: int, parameters: GridParameters, latencies: GridLatencies) -> None:
        self._shape, self._steps, self._lanes, self._latencies = shape, steps, parameters.lanes, latencies
        self._beats = parameters.group_beats
        self._inputs = ceil_div(shape.inputs, parameters.beat_bytes)
        self._outputs = ceil_div(shape.sizes[-1], parameters.rows)
        self._distances = Distances(latencies, self._beats)
        self._layers: dict[tuple[str, str, int, Way], _Layer | None] = {}
        self._orders: dict[tuple[str, tuple[int, ...]], _Order] = {}
        self._cycles: dict[tuple[Outline, tuple[FastTiming, ...]], int] = {}

    @property
    def counted(self) -> int:
        """Plans whose cycles were counted."""
        return len(self._cycles)

    def least(self, choice: Choice) -> int:
        """The mapping takes no fewer cycles. Raises `MappingError` when no timing is free of collisions."""
        order, layers = self._order(choice), self._mapped(choice)
        durations = [layers[layer].durations[place] for layer, place in order.places]
        completions = [layers[layer].steady[place].completion for layer, place in order.places]
        return least_cycles(order.circuits, durations, completions, self._steps)

    def cycles(self, choice: Choice) -> int:
        """Exact cycles of the sequence. Raises `MappingError` when no timing is free of collisions."""
        order, layers = self._order(choice), self._mapped(choice)
        # Programs that are preferred for different reasons are often the same.
        key = order.outline, tuple([layers[layer].steady[place] for layer, place in order.places])
        if key not in self._cycles:
            timings = [
                fast_timing(*layers[layer].placed[place], self._latencies, self._beats) for layer, place in order.places
            ]
            costs = fast_costs(order.outline, timings, self._distances)
            self._cycles[key] = follow(costs, self._inputs, self._outputs, self._steps).cycles
        return self._cycles[key]

    def _order(self, choice: Choice) -> _Order:
        parts = tuple(map(len, choice.layers))
        key = choice.order, parts
        if key not in self._orders:
            phases = base_phases(self._shape, choice.order, parts)
            before = [0] * len(parts)
            places = []
            for phase in phases:
                places.append((phase.group, before[phase.group]))
                before[phase.group] += 1
            outline = Outline.of(phases)
            self._orders[key] = _Order(outline, tuple(circuits(outline.entries)), tuple(places))
        return self._orders[key]

    def _mapped(self, choice: Choice) -> list[_Layer]:
        return [self._layer(choice.order, choice.programs, layer, way) for layer, way in enumerate(choice.layers)]

    def _layer(self, order: str, programs: str, layer: int, way: Way) -> _Layer:
        key = order, programs, layer, way
        if key not in self._layers:
            try:
                self._layers[key] = self._timed(order, programs, layer, way)
            except MappingError:
                self._layers[key] = None
        found = self._layers[key]
        if found is None:
            raise MappingError(f"layer {layer}: more results than a result link takes")
        return found

    def _timed(self, order: str, programs: str, layer: int, way: Way) -> _Layer:
        parts = tuple(len(way) if index == layer else 1 for index in range(len(self._shape.sizes)))
        base = base_phases(self._shape, order, parts)
        placed, barriers = [], []
        for index, phase in enumerate(base):
            if phase.group == layer:
                # The phase that runs the unit program decides about the program of those that store for it.
                main = next(p for p in base if p.stored_key == phase.stored_key and not p.stores)
                groups, ru, chains = way[phase.part]
                found, words = programmed(
                    self._shape, order, parts, index, self._words(main.operand_size, ru), self._latencies, programs
                )
                if phase.stores:
                    words = self._words(phase.operand_size, ru)
                placed.append((kind_of(found), Split(ru, chains, groups, words, sum(p[0] for p in way[: phase.part]))))
                barriers.append(phase.barrier)
        steady = [steady_timing(kind, split, self._latencies, self._beats) for kind, split in placed]
        return _Layer(tuple(placed), tuple(steady), tuple(least_durations(steady, barriers)))

    def _words(self, operand_size: int, ru: int) -> int:
        return max(1, ceil_div(ceil_div(operand_size, self._lanes), ru))


@lru_cache(maxsize=64)
def _plans(shape: Shape, steps: int, parameters: GridParameters, latencies: GridLatencies) -> Plans:
    return Plans(shape, steps, parameters, latencies)
