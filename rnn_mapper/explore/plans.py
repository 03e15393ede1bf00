"""Cycles of mappings of one model on grids of one height and one width of PCU: exact, and a bound that costs less.

What is found for a layer is kept, and so is what two phases have to do with each other: only what depends on a whole
mapping is done for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters
from rnn_mapper.errors import MappingError
from rnn_mapper.explore.adapter import Choice, Shape, Way, base_phases, programmed
from rnn_mapper.explore.bounds import Circuit, Known, circuits, follow_on, least_cycles, least_durations
from rnn_mapper.explore.distances import Distances
from rnn_mapper.explore.fast_follow import Controller, fast_follow
from rnn_mapper.explore.fast_schedule import Lengths, Outline, Table, fast_costs, fast_lengths
from rnn_mapper.explore.fast_timing import FastTiming, Split, fast_timing, steady_timing
from rnn_mapper.explore.kinds import Kind, kind_of
from rnn_mapper.schedule.loop_nest import ceil_div

__all__ = ["Plan", "Plans", "cycles_of"]


def cycles_of(
    shape: Shape, steps: int, choice: Choice, parameters: GridParameters, latencies: GridLatencies
) -> int:
    """Exact cycles of a sequence, as `rnn_mapper.schedule.prediction.predict` counts them.

    Of `parameters` only rows and lanes count. Raises `MappingError` when no timing is free of collisions.
    """
    plan = _plans(shape, steps, parameters, latencies).plan(choice)
    while not plan.exact:
        plan.improve()
    return plan.least


#: By phase of a layer, in their order of issue: its kind and split, and whether the next one waits until all is stored.
_Placed = tuple[tuple[Kind, Split, bool], ...]


class _Member(NamedTuple):
    """A phase of a layer that is cut into so many parts."""

    #: Its place among the phases of a network of which only this layer is cut.
    place: int
    part: int
    #: Operands of the phase that runs its unit program, and its own where it is another.
    operands: int
    stored: int | None
    barrier: bool


class _Layer:
    """A layer that is mapped in one way. By phase of the layer, in their order of issue. Looked up by identity."""

    def __init__(self, placed: _Placed, latencies: GridLatencies, group_beats: int) -> None:
        """Raises `MappingError` when no timing is free of collisions."""
        self._placed, self._grid = placed, (latencies, group_beats)
        self._timings: tuple[FastTiming, ...] | None = None
        steady = [steady_timing(kind, split, *self._grid) for kind, split, _ in placed]
        #: Durations at least, in all steps but the first and in that one.
        self.durations = least_durations(steady, [barrier for _, _, barrier in placed])
        # The first step of these may be shorter; it is not known yet.
        self.fresh = [1 if kind.previous and not kind.stores else duration
                      for (kind, _, _), duration in zip(placed, self.durations, strict=True)]
        self.completions = [timing.completion for timing in steady]
        self.slots = [timing.slots for timing in steady]

    @property
    def timings(self) -> tuple[FastTiming, ...]:
        """The timings, with those of the first step."""
        if self._timings is None:
            self._timings = tuple([fast_timing(kind, split, *self._grid) for kind, split, _ in self._placed])
        return self._timings


class _Order(NamedTuple):
    """The phases of a network whose layers have so many parts each."""

    outline: Outline
    circuits: tuple[Circuit, ...]


class Plan:
    """A plan of which more and more is known, as far as one asks."""

    def __init__(self, plans: Plans, order: _Order, layers: Sequence[_Layer]) -> None:
        self._plans, self._order, self._layers = plans, order, layers
        self._timings: list[FastTiming] | None = None
        self._lengths: Lengths | None = None
        places = order.outline.places
        known = Known(
            [layers[layer].durations[place] for layer, place in places],
            [layers[layer].fresh[place] for layer, place in places],
            [layers[layer].completions[place] for layer, place in places],
            [layers[layer].slots[place] for layer, place in places],
        )
        self._known = known
        #: It takes no fewer cycles.
        self.least = 0
        #: It takes just these.
        self.exact = False
        self._learn(known)

    def improve(self) -> None:
        """Make `least` a closer bound, or exact."""
        if self._timings is None:
            self._timings = self._follow_on()
        elif self._lengths is None:
            self._lengths = self._lengthen(self._timings)
        else:
            self.least = self._plans.follow(self._order.outline.controller, self._timings, self._lengths)
            self.exact = True

    def _learn(self, known: Known) -> None:
        self._known = known
        order = self._order
        self.least = max(self.least, least_cycles(order.circuits, known, order.outline, self._plans.steps))

    def _follow_on(self) -> list[FastTiming]:
        """The timings, with the first step; durations last until the next token could follow."""
        outline = self._order.outline
        timings = [self._layers[layer].timings[place] for layer, place in outline.places]
        durations = follow_on(self._known.durations, outline, timings, self._plans.distances)
        self._learn(self._known._replace(durations=durations))
        return timings

    def _lengthen(self, timings: Sequence[FastTiming]) -> Lengths:
        """The durations as they are."""
        outline = self._order.outline
        table = Table(outline, [layer.timings for layer in self._layers], self._plans.distances)
        lengths = fast_lengths(outline, timings, table)
        self._learn(Known(
            lengths.durations[::2], lengths.durations[1::2], self._known.completions, self._known.slots, lengths.holds))
        return lengths


class Plans:
    """Plans of one model. Only rows and lanes of the parameters count."""

    def __init__(self, shape: Shape, steps: int, parameters: GridParameters, latencies: GridLatencies) -> None:
        self.steps = steps
        #: Plans whose cycles were counted.
        self.counted = 0
        self._shape, self._lanes, self._latencies = shape, parameters.lanes, latencies
        self._beats = parameters.group_beats
        self._inputs = ceil_div(shape.inputs, parameters.beat_values)
        self._outputs = ceil_div(shape.sizes[-1], parameters.rows)
        self.distances = _distances(latencies, self._beats)
        self._layers: dict[tuple[str, str, int, Way], _Layer | None] = {}
        self._alike: dict[_Placed, _Layer] = {}
        self._members: dict[tuple[str, int, int], list[_Member]] = {}
        self._kinds: dict[tuple[str, str, int, int, int, int], tuple[Kind, int]] = {}
        self._orders: dict[tuple[str, tuple[int, ...]], _Order] = {}
        self._known: dict[tuple[Outline, tuple[_Layer, ...]], Plan] = {}

    def plan(self, choice: Choice) -> Plan:
        """The plan of a mapping. Raises `MappingError` when no timing is free of collisions."""
        order = self._ordered(choice.order, tuple(map(len, choice.layers)))
        layers = [self._layer(choice.order, choice.programs, layer, way) for layer, way in enumerate(choice.layers)]
        # Programs that are preferred for different reasons are often the same.
        key = order.outline, tuple(layers)
        if key not in self._known:
            self._known[key] = Plan(self, order, layers)
        return self._known[key]

    def follow(self, controller: Controller, timings: Sequence[FastTiming], lengths: Lengths) -> int:
        """The cycles of a schedule."""
        self.counted += 1
        later, fresh = fast_costs(timings, lengths)
        return fast_follow(controller, later, fresh, lengths.holds, self._inputs, self._outputs, self.steps)

    def _ordered(self, order: str, parts: tuple[int, ...]) -> _Order:
        key = order, parts
        if key not in self._orders:
            phases = base_phases(self._shape, order, parts)
            outline = Outline.of(phases)
            self._orders[key] = _Order(outline, tuple(circuits(outline.entries, self.steps)))
        return self._orders[key]

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
        """Raises `MappingError`."""
        placed = []
        for member in self._members_of(order, layer, len(way)):
            groups, ru, chains = way[member.part]
            kind, words = self._kind(order, programs, layer, len(way), member, self._words(member.operands, ru))
            if member.stored is not None:
                words = self._words(member.stored, ru)
            before = sum([each[0] for each in way[: member.part]])
            placed.append((kind, Split(ru, chains, groups, words, before), member.barrier))
        key = tuple(placed)
        # Programs that are preferred for different reasons are often the same.
        known = self._alike.get(key)
        if known is None:
            known = self._alike[key] = _Layer(key, self._latencies, self._beats)
        return known

    def _members_of(self, order: str, layer: int, parts: int) -> list[_Member]:
        """The phases of a layer that is cut into so many parts."""
        key = order, layer, parts
        if key not in self._members:
            base = base_phases(self._shape, order, self._cut(layer, parts))
            self._members[key] = found = []
            for index, phase in enumerate(base):
                if phase.group == layer:
                    # The phase that runs the unit program decides about the program of those that store for it.
                    main = next(p for p in base if p.stored_key == phase.stored_key and not p.stores)
                    stored = phase.operand_size if phase.stores else None
                    found.append(_Member(index, phase.part, main.operand_size, stored, phase.barrier))
        return self._members[key]

    def _kind(
        self, order: str, programs: str, layer: int, parts: int, member: _Member, words: int
    ) -> tuple[Kind, int]:
        """The kind of a phase with its program, and the words of a row, if they have this many at least."""
        key = order, programs, layer, parts, member.place, words
        known = self._kinds.get(key)
        if known is None:
            phase, length = programmed(
                self._shape, order, self._cut(layer, parts), member.place, words, self._latencies, programs)
            known = self._kinds[key] = kind_of(phase), length
        return known

    def _cut(self, layer: int, parts: int) -> tuple[int, ...]:
        """Parts of every layer where only this one is cut."""
        return tuple(parts if index == layer else 1 for index in range(len(self._shape.sizes)))

    def _words(self, operand_size: int, ru: int) -> int:
        return max(1, ceil_div(ceil_div(operand_size, self._lanes), ru))


@lru_cache(maxsize=64)
def _plans(shape: Shape, steps: int, parameters: GridParameters, latencies: GridLatencies) -> Plans:
    return Plans(shape, steps, parameters, latencies)


@lru_cache(maxsize=64)
def _distances(latencies: GridLatencies, group_beats: int) -> Distances:
    return Distances(latencies, group_beats)
