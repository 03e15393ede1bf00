"""Cycles of mappings on grids with given rows and lanes: exact cycles, and a bound that costs less.

What counts is the cycles of a sequence whose inputs lie ready, or the response to an input that comes alone.

Results for a unit group and for a pair of phases are cached: only the parts that depend on a whole mapping are computed
for each mapping.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters
from rnn_mapper.cells.unit_program import Preference
from rnn_mapper.mapping.allocation import Reserved, place_vectors
from rnn_mapper.mapping.choices import Choice, Way
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.schedule.bounds import (
    Circuit,
    Known,
    circuits,
    follow_on,
    least_cycles,
    least_durations,
    least_response,
)
from rnn_mapper.schedule.distances import Distances
from rnn_mapper.schedule.durations import Durations, Outline, Table, safe_durations
from rnn_mapper.schedule.loop_nest import LoopNest, ceil_div
from rnn_mapper.schedule.order import phases_of
from rnn_mapper.schedule.phases import Phase, PhaseOrder, unit_groups, vectors_of
from rnn_mapper.schedule.programs import choose_programs
from rnn_mapper.schedule.timing import PhaseTraits, Tiling, Timing
from rnn_mapper.schedule.tokens import Controller, TokenCost, Trace, follow, token_costs

__all__ = ["Frames", "HostBeats", "Plan", "Plans"]

#: Steps of which the last has the response of all later ones.
_WARM_STEPS = 3


class _Member(NamedTuple):
    """A phase of a unit group that is cut into some number of slices."""

    phase: Phase
    #: The phase that runs the unit program; its program determines the programs of the phases that store for it.
    main: Phase


class Frames:
    """The phases of networks that share a schedule, for each order and number of slices, the same for all grids. The
    sizes of the slices are placeholders, not the sizes of a mapping."""

    def __init__(self, members: Sequence[QuantisedNetwork]) -> None:
        self.members = members
        self.groups = unit_groups(members)
        self._phases: dict[tuple[str, tuple[int, ...]], list[Phase]] = {}
        self._outlines: dict[tuple[str, tuple[int, ...]], Outline] = {}
        self._members: dict[tuple[str, int, int], list[_Member]] = {}
        self._programmed: dict[tuple[str, int, int, int, int, str, GridLatencies], tuple[Phase, int]] = {}

    def phases(self, order: str, counts: tuple[int, ...]) -> list[Phase]:
        """The phases, without programs, with each unit group cut into its number of slices in `counts`."""
        key = order, counts
        if key not in self._phases:
            sizes = [
                [1] * (count - 1) + [group.units - count + 1] for group, count in zip(self.groups, counts, strict=True)
            ]
            self._phases[key] = phases_of(self.members, sizes, PhaseOrder(order))
        return self._phases[key]

    def whole(self, order: str) -> list[list[Phase]]:
        """The phases of each unit group, uncut."""
        return [[each.phase for each in self.of_group(order, group, 1)] for group in range(len(self.groups))]

    def outline(self, order: str, counts: tuple[int, ...]) -> Outline:
        """The outline of `phases`."""
        key = order, counts
        if key not in self._outlines:
            self._outlines[key] = Outline.of(self.phases(order, counts))
        return self._outlines[key]

    def of_group(self, order: str, group: int, count: int) -> list[_Member]:
        """The phases of a unit group that is cut into `count` slices, in their order of issue."""
        key = order, group, count
        if key not in self._members:
            counts = tuple(count if index == group else 1 for index in range(len(self.groups)))
            own = [phase for phase in self.phases(order, counts) if phase.group == group]
            main = {phase.stored_key: phase for phase in own if not phase.stores}
            self._members[key] = [_Member(phase, main[phase.stored_key]) for phase in own]
        return self._members[key]

    def programmed(
        self, order: str, group: int, count: int, place: int, words: int, programs: str, latencies: GridLatencies
    ) -> tuple[Phase, int]:
        """A phase of `of_group` with its program, for rows of `words` words in the phase that runs the unit program;
        and the number of words in these rows with the program."""
        key = order, group, count, place, words, programs, latencies
        if key not in self._programmed:
            phase, main = self.of_group(order, group, count)[place]
            found, lengths = choose_programs([main, phase], [words, words], latencies, Preference(programs))
            self._programmed[key] = found[1], lengths[0]
        return self._programmed[key]


@dataclass(frozen=True)
class HostBeats:
    """The beats of the host's streams in a step."""

    #: Write-stream beats of an input vector, and output beats.
    inputs: int
    outputs: int
    #: Groups of the output before the groups of each network.
    offsets: tuple[int, ...]

    @classmethod
    def of(
        cls, members: Sequence[QuantisedNetwork], parameters: GridParameters, reserved: Reserved | None = None
    ) -> HostBeats:
        """The beats of networks that share a schedule."""
        vectors = vectors_of(members)
        words, _ = place_vectors(vectors, parameters, (reserved or Reserved()).vector_words)
        last = len(members) - 1
        values = (words[last] - words[0]) * parameters.lanes + members[last].input_size
        bases = [
            word * parameters.lanes // parameters.rows
            for word, vector in zip(words, vectors, strict=True) if vector.is_output
        ]
        offsets = tuple(base - bases[0] for base in bases)
        groups = offsets[-1] + ceil_div(members[last].output_size, parameters.rows)
        return cls(ceil_div(values, parameters.beat_values), groups, offsets)


#: By phase of a unit group, in order of issue: its traits and tiling, and whether the next phase waits until everything
#: is stored.
_Placed = tuple[tuple[PhaseTraits, Tiling, bool], ...]


class _Group:
    """A unit group mapped in one way. Lists are by phase of the group, in order of issue. Looked up by identity."""

    def __init__(self, placed: _Placed, phases: list[Phase], steady: list[Timing], distances: Distances) -> None:
        self.placed, self.phases = placed, phases
        self._clock = distances.clock
        self._timings: tuple[Timing, ...] | None = None
        #: Least durations, in all steps but the first (`durations`) and in the first step (`fresh`).
        self.durations = least_durations(steady, [barrier for _, _, barrier in placed])
        # The first step of phases that multiply the state may be shorter; its duration is not known yet.
        self.fresh = [1 if traits.previous and not traits.stores else duration
                      for (traits, _, _), duration in zip(placed, self.durations, strict=True)]
        self.completions = [timing.completion for timing in steady]
        self.slots = [timing.slots for timing in steady]

    @property
    def timings(self) -> tuple[Timing, ...]:
        """The timings, including the timings of the first step."""
        if self._timings is None:
            found = [self._clock.timing(traits, tiling) for traits, tiling, _ in self.placed]
            self._timings = tuple([timing for timing in found if timing is not None])
        return self._timings


class Plan:
    """A plan whose cycles are bounded more tightly with each call of `improve`."""

    def __init__(
        self, plans: Plans, outline: Outline, found: tuple[Circuit, ...], groups: Sequence[_Group]
    ) -> None:
        self._plans, self._outline, self._circuits, self._groups = plans, outline, found, groups
        self._timings: list[Timing] | None = None
        self._durations: Durations | None = None
        places = outline.places
        known = Known(
            [groups[group].durations[place] for group, place in places],
            [groups[group].fresh[place] for group, place in places],
            [groups[group].completions[place] for group, place in places],
            [groups[group].slots[place] for group, place in places],
        )
        self._known = known
        #: Lower bound on the cycles.
        self.least = 0
        #: `least` is the exact number of cycles.
        self.exact = False
        self._learn(known)

    def improve(self) -> None:
        """Make `least` a tighter bound, or exact."""
        if self._timings is None:
            self._timings = self._follow_on()
        elif self._durations is None:
            self._durations = self._lengthen(self._timings)
        else:
            self.least = self._plans.follow(self._outline.controller, self._timings, self._durations)
            self.exact = True

    def _learn(self, known: Known) -> None:
        self._known = known
        if self._plans.response:
            least = least_response(known, self._outline)
        else:
            least = least_cycles(self._circuits, known, self._outline, self._plans.steps)
        self.least = max(self.least, least)

    def _follow_on(self) -> list[Timing]:
        """The timings, including the first step; the known durations are lengthened until the next token can follow."""
        outline = self._outline
        timings = [self._groups[group].timings[place] for group, place in outline.places]
        durations = follow_on(self._known.durations, outline, timings, self._plans.distances)
        self._learn(self._known._replace(durations=durations))
        return timings

    def _lengthen(self, timings: Sequence[Timing]) -> Durations:
        """The exact durations."""
        outline = self._outline
        table = Table(outline, [group.timings for group in self._groups], self._plans.distances)
        durations = safe_durations(outline, timings, table)
        self._learn(Known(
            durations.cycles[::2], durations.cycles[1::2], self._known.completions, self._known.slots, durations.holds))
        return durations


class Plans:
    """Plans of networks that share a schedule. Only rows and lanes of `parameters` count.

    `fits` returns whether the grid's memories hold the given phases and loop nests. With `response` the cycles of a
    plan are those from the last beat of an input that comes alone to the last beat of its output (`schedule.response`),
    for orders in which no output waits for a later input; else those of a sequence of `steps` steps.
    """

    def __init__(
        self, frames: Frames, steps: int, parameters: GridParameters, distances: Distances, beats: HostBeats,
        fits: Callable[[list[Phase], list[LoopNest]], bool] | None = None, response: bool = False,
    ) -> None:
        self.frames, self.steps, self.distances, self.response = frames, steps, distances, response
        #: Number of plans whose cycles were counted.
        self.counted = 0
        self._rows, self._lanes, self._beats, self._fits = parameters.rows, parameters.lanes, beats, fits
        self._groups: dict[tuple[str, str, int, Way], _Group | None] = {}
        self._alike: dict[_Placed, _Group | None] = {}
        self._traits: dict[tuple[str, str, int, int, int, int], tuple[Phase, PhaseTraits, int]] = {}
        self._outlines: dict[tuple[str, tuple[int, ...]], tuple[Outline, tuple[Circuit, ...]]] = {}
        self._known: dict[tuple[Outline, tuple[_Group, ...]], Plan | None] = {}

    def plan(self, choice: Choice) -> Plan | None:
        """The plan of a mapping; None if no timing is free of collisions, or the mapping does not fit."""
        groups = []
        for group, way in enumerate(choice.ways):
            found = self._group(choice.schedule, choice.programs, group, way)
            if found is None:
                return None
            groups.append(found)
        outline, known = self._outlined(choice.schedule, tuple(map(len, choice.ways)))
        # Different preferences often choose the same programs.
        key = outline, tuple(groups)
        if key not in self._known:
            fits = self._fits is None or self._fits(*self._placed(outline, groups))
            self._known[key] = Plan(self, outline, known, groups) if fits else None
        return self._known[key]

    def follow(self, controller: Controller, timings: Sequence[Timing], durations: Durations) -> int:
        """The cycles of a schedule."""
        self.counted += 1
        later, fresh = token_costs(timings, durations.cycles)
        if self.response:
            return self._respond(controller, later, durations.holds)
        return follow(controller, later, fresh, durations.holds, self._beats.inputs, self._beats.outputs, self.steps)

    def _respond(self, controller: Controller, costs: Sequence[TokenCost], holds: Sequence[bool]) -> int:
        inputs, outputs = self._beats.inputs, self._beats.outputs
        # Two steps take longer than everything between one input and the next.
        quiet = follow(controller, costs, costs, holds, inputs, outputs, 2)
        trace = Trace()
        arrivals = [quiet * (step + 1) for step in range(_WARM_STEPS)]
        follow(controller, costs, costs, holds, inputs, outputs, _WARM_STEPS, trace, arrivals)
        return trace.all_sent[-1] + 1 - trace.loads[-1].last

    def _placed(self, outline: Outline, groups: Sequence[_Group]) -> tuple[list[Phase], list[LoopNest]]:
        """Phases with their programs, but without weights, and their loop nests."""
        phases, nests = [], []
        for group, place in outline.places:
            phase = groups[group].phases[place]
            _, (ru, chains, count, words, _), _ = groups[group].placed[place]
            phases.append(phase)
            nests.append(LoopNest(self._rows, self._lanes, ru, chains, count, phase.gates, words))
        return phases, nests

    def _outlined(self, order: str, counts: tuple[int, ...]) -> tuple[Outline, tuple[Circuit, ...]]:
        key = order, counts
        if key not in self._outlines:
            outline = self.frames.outline(order, counts)
            self._outlines[key] = outline, tuple(circuits(outline.entries, self.steps))
        return self._outlines[key]

    def _group(self, order: str, programs: str, group: int, way: Way) -> _Group | None:
        key = order, programs, group, way
        if key not in self._groups:
            self._groups[key] = self._timed(order, programs, group, way)
        return self._groups[key]

    def _timed(self, order: str, programs: str, group: int, way: Way) -> _Group | None:
        """The group with its timings; None if no timing is free of collisions."""
        placed, phases = [], []
        offset = self._beats.offsets[self.frames.groups[group].member]
        for place, (base, main) in enumerate(self.frames.of_group(order, group, len(way))):
            groups, ru, chains = way[base.slice]
            phase, traits, words = self._phase(
                order, programs, group, len(way), place, self._words(main.operand_size, ru))
            if base.stores:
                words = self._words(base.operand_size, ru)
            before = offset + sum([each[0] for each in way[: base.slice]])
            placed.append((traits, Tiling(ru, chains, groups, words, before), base.barrier))
            phases.append(phase)
        key = tuple(placed)
        # Different preferences often choose the same programs.
        if key not in self._alike:
            steady = [self.distances.clock.steady(traits, tiling) for traits, tiling, _ in key]
            timed = [timing for timing in steady if timing is not None]
            whole = len(timed) == len(steady)
            self._alike[key] = _Group(key, phases, timed, self.distances) if whole else None
        return self._alike[key]

    def _phase(
        self, order: str, programs: str, group: int, count: int, place: int, words: int
    ) -> tuple[Phase, PhaseTraits, int]:
        """A phase with its program, its traits, and the words of a row, for rows of at least `words` words."""
        key = order, programs, group, count, place, words
        known = self._traits.get(key)
        if known is None:
            clock = self.distances.clock
            phase, length = self.frames.programmed(order, group, count, place, words, programs, clock.latencies)
            known = self._traits[key] = phase, clock.rules.traits(phase), length
        return known

    def _words(self, operand_size: int, ru: int) -> int:
        return max(1, ceil_div(ceil_div(operand_size, self._lanes), ru))
