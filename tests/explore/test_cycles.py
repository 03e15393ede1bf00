"""The search counts the same cycles as the mapper, for every choice, and keeps the mappings that nothing beats."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters
from rnn_mapper.cells.unit_program import Preference
from rnn_mapper.errors import MappingError
from rnn_mapper.explore.runner import latencies_of
from rnn_mapper.explore.search import demands
from rnn_mapper.explore.shapes import Shape, blank_network, frames_of
from rnn_mapper.explore.size import KEPT, SLOWEST, SizeJob, SizeResult, cycles_of, kept, search_size
from rnn_mapper.explore.verify import mapping_of
from rnn_mapper.mapping import plans
from rnn_mapper.mapping import search as mapping_search
from rnn_mapper.mapping.candidates import Candidate, fastest
from rnn_mapper.mapping.choices import Choice, UnitSlice
from rnn_mapper.mapping.mapper import map_network, placed_phases
from rnn_mapper.mapping.plans import HostBeats, Plans
from rnn_mapper.schedule.clock import PhaseClock, time_phase
from rnn_mapper.schedule.distances import Distances
from rnn_mapper.schedule.durations import Durations, build_schedule, safe_durations
from rnn_mapper.schedule.loop_nest import ceil_div
from rnn_mapper.schedule.prediction import SequencePlan
from rnn_mapper.schedule.timing import PhaseTraits, Tiling, Timing
from tests.support.plain_predict import plain_predict

#: Random plans of one run of the test; thousands were compared when it was written.
PLANS = 120
#: Cells of every structure; the search for the program of a peephole LSTM takes too long here.
CELLS = ("lstm", "gru", "rnn_tanh", "gru_reset_before", "mgu", "cifg", "sru", "qrnn", "dense_relu")


def exact_plan(shape: Shape, parameters: GridParameters, choice: Choice, latencies: GridLatencies) -> SequencePlan:
    """The plan of a choice, phase by phase; depths are not checked."""
    network = blank_network(shape)
    phases, nests = placed_phases([network], parameters, choice, latencies)
    timings = [time_phase(phase, nest, parameters, latencies) for phase, nest in zip(phases, nests, strict=True)]
    return SequencePlan(
        timings, build_schedule(timings), ceil_div(network.input_size, parameters.beat_values),
        ceil_div(network.output_size, parameters.rows), parameters.multipliers,
    )


def plans_of(shape: Shape, steps: int, parameters: GridParameters, latencies: GridLatencies) -> Plans:
    distances = Distances(PhaseClock(latencies, parameters.group_beats))
    return Plans(frames_of(shape), steps, parameters, distances, HostBeats.of([blank_network(shape)], parameters))


def random_choice(rng: np.random.Generator, shape: Shape, p: GridParameters) -> Choice:
    layers = []
    for size in shape.sizes:
        groups = ceil_div(size, p.rows)
        cut = int(rng.integers(1, groups)) if groups > 1 and rng.random() < 0.4 else groups
        slices = []
        for count in (cut, groups - cut):
            ru = int(rng.integers(1, p.cols + 1))
            chains = min(int(rng.integers(1, p.cols // ru + 1)), count)
            slices += [UnitSlice(count, ru, chains)] if count else []
        layers.append(tuple(slices))
    programs = str(rng.choice([preference.value for preference in Preference]))
    return Choice(str(rng.choice(["fused", "fused", "sequential", "blas"])), tuple(layers), programs)


def test_cycles_are_those_of_the_prediction() -> None:
    rng = np.random.default_rng(3)
    compared = 0
    while compared < PLANS:
        hidden = tuple(int(n) for n in rng.integers(1, 60, int(rng.integers(1, 3))))
        cells = tuple(str(cell) for cell in rng.choice(CELLS, len(hidden)))
        head = int(rng.integers(1, 20)) if rng.random() < 0.3 else None
        shape = Shape(cells, int(rng.integers(1, 80)), hidden, head)
        p = GridParameters(int(2 ** rng.integers(0, 4)), int(rng.integers(1, 9)), int(rng.choice([4, 6, 8, 16])),
                           vector_depth=1 << 12)
        latencies = GridLatencies(int(rng.integers(3, 8)), 12, 4, 9, 3, 4, 1)
        choice, steps = random_choice(rng, shape, p), int(rng.choice([1, 2, 3, 7, 50, 400]))
        try:
            expected = plain_predict(exact_plan(shape, p, choice, latencies), steps).cycles
        except MappingError:
            with pytest.raises(MappingError):
                cycles_of(shape, steps, choice, p, latencies)
            continue
        plan = plans_of(shape, steps, p, latencies).plan(choice)
        assert plan is not None
        while not plan.exact:
            # The bound that rules a mapping out must hold at every stage.
            assert plan.least <= expected, f"{shape} {p} {choice} {steps}"
            plan.improve()
        assert plan.least == expected, f"{shape} {p} {choice} {steps}"
        compared += 1


def test_bounds_rule_out_nothing_that_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same mappings are compared and kept if all cycles are counted at once."""
    shapes = (
        Shape(("lstm",), 40, (70,)), Shape(("gru", "sru"), 24, (40, 20), 6), Shape(("mgu", "gru", "gru"), 9, (30,) * 3),
    )
    jobs = [
        SizeJob(shape, steps, ("fused", "blas"), 2, lanes, (1, 2, 3, 5, 6), GridLatencies.of(GridParameters()))
        for shape in shapes for steps in (2, 60) for lanes in (4, 8)
    ]
    found = [search_size(each) for each in jobs]

    def fastest_of_all(candidates: list[Candidate], best: float) -> Candidate | None:
        for candidate in candidates:
            while candidate.least < math.inf and not candidate.exact:
                candidate.improve()
        return fastest(candidates, best)

    monkeypatch.setattr(mapping_search, "fastest", fastest_of_all)
    for each, result in zip(jobs, found, strict=True):
        known = search_size(each)
        assert (known.found, known.mappings) == (result.found, result.mappings), str(each)
        assert known.plans >= result.plans


def test_kept_are_those_that_no_other_beats() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        candidates = []
        for _ in range(int(rng.integers(1, 30))):
            words, units, cycles = (int(n) for n in rng.integers(90, 130, 3))
            candidates.append(FakeCandidate(words, units, cycles, int(rng.integers(60, cycles + 1))))
        best = min(candidates, key=lambda candidate: candidate.cycles)
        limit = int(rng.integers(85, 140))
        first = fastest(copy.deepcopy(candidates), limit)
        assert (None if first is None else first.choice) == (best.choice if best.cycles < limit else None)
        expected: list[FakeCandidate] = []
        for candidate in sorted(candidates, key=lambda candidate: (candidate.cycles, candidate.words, candidate.units)):
            if candidate.cycles <= SLOWEST * best.cycles and len(expected) < KEPT and all(
                    candidate.words < other.words or candidate.units < other.units for other in expected):
                expected.append(candidate)
        assert [each.choice for each in kept(candidates)] == [candidate.choice for candidate in expected]


class FakeCandidate(Candidate):
    """A mapping whose bounds tighten slowly."""

    def __init__(self, words: int, units: int, cycles: int, least: int) -> None:
        self.words, self.units, self.cycles, self.least = words, units, cycles, least
        # Any choice, as long as each mapping has a different one.
        self.choice = Choice(str(id(self)), ())
        self.exact, self.worthwhile = False, True

    def improve(self) -> None:
        self.exact = self.least == self.cycles
        self.least = min(self.cycles, self.least + 7)


def test_nothing_the_mapper_chooses_is_faster() -> None:
    for shape, size in (
        (Shape(("lstm",), 40, (70,)), (4, 5, 8)), (Shape(("gru", "mgu"), 24, (48, 20), 6), (2, 6, 8)),
        (Shape(("lstm",), 1024, (1024,)), (16, 12, 64)),
    ):
        p = GridParameters(*size)
        mapping = map_network(blank_network(shape), p, steps=30)
        job = SizeJob(shape, 30, ("fused",), p.rows, p.lanes, (1, p.cols), GridLatencies.of(p))
        result = search_size(job)
        best = result.found[p.cols][0]
        assert best.cycles <= mapping.predict(30).cycles
        # The mapper makes the same mapping from the choice, with the stated demands.
        again = mapping_of(blank_network(shape), p, best.choice, 30)
        assert again.predict(30).cycles == best.cycles
        needed = demands(shape, p, best.choice)
        for item in again.demands:
            assert needed[item.field] >= item.needed
        assert SizeResult.from_json(result.to_json()) == result
        assert result.mappings >= result.plans


def test_latencies_of_rows_and_lanes_add_up() -> None:
    known = latencies_of((1, 2, 8, 16), (4, 12, 64))
    for rows, lanes in ((1, 64), (16, 12), (8, 4)):
        assert known[rows, lanes] == GridLatencies.of(GridParameters(rows=rows, cols=3, lanes=lanes))


def test_most_mappings_are_ruled_out_before_their_cycles_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason why the search is fast on any machine: few mappings reach the slow stages."""
    lengthened = 0

    def counting(*arguments: Any) -> Durations:
        nonlocal lengthened
        lengthened += 1
        return safe_durations(*arguments)

    monkeypatch.setattr(plans, "safe_durations", counting)
    p = GridParameters(4, 8, 8)
    for shape, fewest in ((Shape(("gru", "gru"), 40, (64, 64), 10), 13), (Shape(("lstm",), 64, (64,)), 7)):
        lengthened = 0
        job = SizeJob(shape, 150, ("fused",), p.rows, p.lanes, tuple(range(1, p.cols + 1)), GridLatencies.of(p))
        result = search_size(job)
        assert fewest * result.plans < result.mappings
        assert fewest * lengthened < 1.5 * result.mappings


def test_timings_and_distances_are_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack of layers has many combinations of few timings."""
    made = 0

    def counting(self: PhaseClock, traits: PhaseTraits, tiling: Tiling) -> Timing | None:
        nonlocal made
        made += 1
        return find(self, traits, tiling)

    find = PhaseClock._timing
    monkeypatch.setattr(PhaseClock, "_timing", counting)
    shape, p = Shape(("gru", "gru"), 40, (40, 40)), GridParameters(2, 8, 8)
    found, steps = plans_of(shape, 20, p, GridLatencies.of(p)), 0
    ways = [(UnitSlice(20, ru, chains),) for ru in (1, 2, 4) for chains in (1, 2)]
    for first in ways:
        for second in ways:
            plan = found.plan(Choice("fused", (first, second)))
            assert plan is not None
            while not plan.exact:
                plan.improve()
                steps += 1
    assert steps == 3 * len(ways) ** 2
    # Each layer has a phase that stores and one that does not.
    assert made <= 4 * len(ways)
