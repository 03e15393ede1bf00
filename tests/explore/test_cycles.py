"""Exploring counts the same cycles as the mapper, for every plan."""

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
from rnn_mapper.explore import plans
from rnn_mapper.explore import size as size_search
from rnn_mapper.explore.adapter import Choice, Shape, blank_network, demands, exact_plan, mapping_of
from rnn_mapper.explore.candidates import KEPT, SLOWEST, Trial, fastest, kept
from rnn_mapper.explore.distances import Distances
from rnn_mapper.explore.fast_follow import fast_follow
from rnn_mapper.explore.fast_schedule import Lengths, Outline, Table, fast_costs, fast_lengths
from rnn_mapper.explore.fast_timing import FastTiming, Split, fast_timing
from rnn_mapper.explore.kinds import kind_of
from rnn_mapper.explore.plans import Plans, cycles_of
from rnn_mapper.explore.runner import latencies_of
from rnn_mapper.explore.size import Part, PartResult, search_part
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.schedule.loop_nest import ceil_div
from rnn_mapper.schedule.prediction import predict
from rnn_mapper.schedule.tokens import TokenCost, follow, token_costs
from tests.support.random_plans import RandomPlan, random_plan

#: Random plans of one run of the test; thousands were compared when it was written.
PLANS = 120
#: Cells of every structure; the search for the program of a peephole LSTM takes too long here.
CELLS = ("lstm", "gru", "rnn_tanh", "gru_reset_before", "mgu", "cifg", "sru", "qrnn", "dense_relu")


def fast(plan: RandomPlan) -> tuple[Outline, list[TokenCost], list[TokenCost], Lengths]:
    """The schedule of a plan, found the fast way."""
    timings = plan.timings
    kinds = [kind_of(timing.phase) for timing in timings]
    splits = [
        Split(t.nest.ru, t.nest.chains, t.nest.groups, t.nest.words, t.phase.first_unit // t.nest.rows) for t in timings
    ]
    latencies, beats = timings[0].latencies, timings[0].group_beats
    found = [fast_timing(kind, split, latencies, beats) for kind, split in zip(kinds, splits, strict=True)]
    outline = Outline.of([timing.phase for timing in timings])
    layers: list[list[FastTiming]] = [[] for _ in outline.layer_shares]
    for timing, (layer, _) in zip(found, outline.places, strict=True):
        layers[layer].append(timing)
    table = Table(outline, [tuple(layer) for layer in layers], Distances(latencies, beats))
    lengths = fast_lengths(outline, found, table)
    return outline, *fast_costs(found, lengths), lengths


@pytest.mark.parametrize("seed", range(2))
def test_schedules_are_those_of_the_mapper(seed: int) -> None:
    rng = np.random.default_rng(seed)
    compared = 0
    while compared < PLANS:
        plan = random_plan(rng)
        if plan is not None:
            expected = [token_costs(entry, plan.timings[entry.phase]) for entry in plan.entries]
            _, later, fresh, lengths = fast(plan)
            assert later == [cost.later for cost in expected], str(plan)
            assert fresh == [cost.fresh for cost in expected], str(plan)
            assert lengths.holds == tuple(entry.holds_slot for entry in plan.entries), str(plan)
            assert lengths.durations[::2] == [entry.duration for entry in plan.entries]
            compared += 1


def test_following_counts_the_same_cycles() -> None:
    rng = np.random.default_rng(5)
    compared = 0
    while compared < PLANS:
        plan = random_plan(rng)
        if plan is not None:
            outline, later, fresh, lengths = fast(plan)
            expected = [token_costs(entry, plan.timings[entry.phase]) for entry in plan.entries]
            beats, groups = int(rng.integers(1, 40)), int(rng.integers(1, 60))
            for steps in (1, 2, 3, 5, 9, 40, 333):
                cycles = fast_follow(outline.controller, later, fresh, lengths.holds, beats, groups, steps)
                assert cycles == follow(expected, beats, groups, steps).cycles, f"{plan} {beats} {groups} {steps}"
            compared += 1


def random_choice(rng: np.random.Generator, shape: Shape, p: GridParameters) -> Choice:
    layers = []
    for size in shape.sizes:
        groups = ceil_div(size, p.rows)
        cut = int(rng.integers(1, groups)) if groups > 1 and rng.random() < 0.4 else groups
        parts = []
        for count in (cut, groups - cut):
            ru = int(rng.integers(1, p.cols + 1))
            chains = min(int(rng.integers(1, p.cols // ru + 1)), count)
            parts += [(count, ru, chains)] if count else []
        layers.append(tuple(parts))
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
        latencies = GridLatencies(int(rng.integers(3, 8)), 12, 4, 9, 3, 4)
        choice, steps = random_choice(rng, shape, p), int(rng.choice([1, 2, 3, 7, 50, 400]))
        try:
            expected = predict(exact_plan(shape, p, choice, latencies), steps).cycles
        except MappingError:
            with pytest.raises(MappingError):
                cycles_of(shape, steps, choice, p, latencies)
            continue
        plan = Plans(shape, steps, p, latencies).plan(choice)
        while not plan.exact:
            # What rules a mapping out must be true at every stage.
            assert plan.least <= expected, f"{shape} {p} {choice} {steps}"
            plan.improve()
        assert plan.least == expected, f"{shape} {p} {choice} {steps}"
        compared += 1


def test_bounds_rule_out_nothing_that_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same mappings are compared and kept where all cycles are counted at once."""
    shapes = (
        Shape(("lstm",), 40, (70,)), Shape(("gru", "sru"), 24, (40, 20), 6), Shape(("mgu", "gru", "gru"), 9, (30,) * 3),
    )
    parts = [
        Part(shape, steps, ("fused", "blas"), 2, lanes, (1, 2, 3, 5, 6), GridLatencies.of(GridParameters()))
        for shape in shapes for steps in (2, 60) for lanes in (4, 8)
    ]
    found = [search_part(each) for each in parts]

    def fastest_of_all(trials: list[Trial], best: float) -> Trial | None:
        for trial in trials:
            while trial.least < math.inf and not trial.exact:
                trial.improve()
        return fastest(trials, best)

    monkeypatch.setattr(size_search, "fastest", fastest_of_all)
    for each, result in zip(parts, found, strict=True):
        known = search_part(each)
        assert (known.found, known.mappings) == (result.found, result.mappings), str(each)
        assert known.plans >= result.plans


def test_kept_are_those_that_no_other_beats() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        trials = []
        for _ in range(int(rng.integers(1, 30))):
            words, units, cycles = (int(n) for n in rng.integers(90, 130, 3))
            trials.append(FakeTrial(words, units, cycles, int(rng.integers(60, cycles + 1))))
        best = min(trials, key=lambda trial: trial.cycles)
        limit = int(rng.integers(85, 140))
        first = fastest(copy.deepcopy(trials), limit)
        assert (None if first is None else first.choice) == (best.choice if best.cycles < limit else None)
        expected: list[FakeTrial] = []
        for trial in sorted(trials, key=lambda trial: (trial.cycles, trial.words, trial.units)):
            if trial.cycles <= SLOWEST * best.cycles and len(expected) < KEPT and all(
                    trial.words < other.words or trial.units < other.units for other in expected):
                expected.append(trial)
        assert [each.choice for each in kept(trials)] == [trial.choice for trial in expected]


class FakeTrial(Trial):
    """A mapping with bounds that close in slowly."""

    def __init__(self, words: int, units: int, cycles: int, least: int) -> None:
        self.words, self.units, self.cycles, self.least = words, units, cycles, least
        # Any choice that is another one for each.
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
        part = Part(shape, 30, ("fused",), p.rows, p.lanes, (1, p.cols), GridLatencies.of(p))
        result = search_part(part)
        best = result.found[p.cols][0]
        assert best.cycles <= mapping.predict(30).cycles
        # What was found is what the mapper makes of it, and takes what it says.
        again = mapping_of(blank_network(shape), p, best.choice, 30)
        assert again.predict(30).cycles == best.cycles
        needed = demands(shape, p, best.choice)
        for item in again.demands:
            assert needed[item.field] >= item.needed
        assert PartResult.from_json(result.to_json()) == result
        assert result.mappings >= result.plans


def test_latencies_of_rows_and_lanes_add_up() -> None:
    known = latencies_of((1, 2, 8, 16), (4, 12, 64))
    for rows, lanes in ((1, 64), (16, 12), (8, 4)):
        assert known[rows, lanes] == GridLatencies.of(GridParameters(rows=rows, cols=3, lanes=lanes))


def test_most_mappings_are_ruled_out_before_their_cycles_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes the search fast, whatever the machine: few mappings come to what takes long."""
    lengthened = 0

    def counting(*arguments: Any) -> Lengths:
        nonlocal lengthened
        lengthened += 1
        return fast_lengths(*arguments)

    monkeypatch.setattr(plans, "fast_lengths", counting)
    p = GridParameters(4, 8, 8)
    for shape, fewest in ((Shape(("gru", "gru"), 40, (64, 64), 10), 14), (Shape(("lstm",), 64, (64,)), 7)):
        lengthened = 0
        part = Part(shape, 150, ("fused",), p.rows, p.lanes, tuple(range(1, p.cols + 1)), GridLatencies.of(p))
        result = search_part(part)
        assert fewest * result.plans < result.mappings
        assert fewest * lengthened < 1.5 * result.mappings


def test_timings_and_distances_are_found_once() -> None:
    """A stack of layers has many combinations of few timings."""
    shape, p = Shape(("gru", "gru"), 40, (40, 40)), GridParameters(2, 8, 8)
    found, steps = Plans(shape, 20, p, GridLatencies.of(p)), 0
    ways = [((20, ru, chains),) for ru in (1, 2, 4) for chains in (1, 2)]
    fast_timing.cache_clear()
    for first in ways:
        for second in ways:
            plan = found.plan(Choice("fused", (first, second)))
            while not plan.exact:
                plan.improve()
                steps += 1
    assert steps == 3 * len(ways) ** 2
    # Each layer has a phase that stores and one that does not.
    assert fast_timing.cache_info().misses <= 4 * len(ways)
