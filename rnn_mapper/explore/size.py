"""One job of a search: all mappings of one model on the grids with given rows and lanes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from heapq import heapify, heappop, heapreplace
from typing import Any

from hdl.latencies import GridLatencies
from hdl.parameters import RANGES, GridParameters
from rnn_mapper.cells.unit_program import Preference
from rnn_mapper.errors import MappingError
from rnn_mapper.explore.shapes import Shape, blank_network, frames_of
from rnn_mapper.mapping.candidates import Candidate
from rnn_mapper.mapping.choices import Choice, GroupWays, UnitSlice, Way
from rnn_mapper.mapping.plans import HostBeats, Plans
from rnn_mapper.mapping.search import Search, uncollected
from rnn_mapper.schedule.clock import PhaseClock
from rnn_mapper.schedule.distances import Distances
from rnn_mapper.schedule.phases import PhaseOrder

__all__ = ["Found", "SizeJob", "SizeResult", "cycles_of", "search_size"]

#: Mappings kept for a grid: the fastest, and slower ones that take less memory.
KEPT = 4
#: A mapping that takes longer than this factor times the fastest is not worth keeping, however little memory it takes.
SLOWEST = 1.2
#: Orders in which cut groups are looked at.
_CUT = (PhaseOrder.FUSED.value, PhaseOrder.RESPONSE.value)


@dataclass(frozen=True)
class Found:
    """A mapping and its exact cycles: of the whole sequence, or of a response."""

    cycles: int
    choice: Choice


@dataclass(frozen=True)
class SizeJob:
    """The input of `search_size`; small enough to be sent to any machine."""

    shape: Shape
    steps: int
    schedules: tuple[str, ...]
    rows: int
    lanes: int
    cols: tuple[int, ...]
    latencies: GridLatencies
    #: The response to an input that comes alone counts, not the sequence.
    response: bool = False


@dataclass(frozen=True)
class SizeResult:
    """For each number of columns the fastest mapping and some that take less memory, fastest first."""

    found: dict[int, list[Found]]
    #: Distinct (grid, mapping) pairs compared, and distinct plans whose cycles were counted for them.
    mappings: int
    plans: int
    #: Number of `mappings` that were ruled out by a lower bound on their cycles.
    ruled_out: int

    def to_json(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "mappings": self.mappings, "plans": self.plans, "ruled_out": self.ruled_out,
            "found": {str(cols): [[f.cycles, f.choice.schedule, f.choice.ways, f.choice.programs] for f in kept]
                      for cols, kept in self.found.items()},
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> SizeResult:
        """The result from the values of `to_json`. Raises `KeyError`, `TypeError` or `ValueError` for other values."""
        found = {
            int(cols): [
                Found(int(cycles), Choice(
                    schedule, tuple(tuple(UnitSlice(*each) for each in way) for way in ways), programs))
                for cycles, schedule, ways, programs in kept
            ]
            for cols, kept in values["found"].items()
        }
        return cls(found, int(values["mappings"]), int(values["plans"]), int(values["ruled_out"]))


def search_size(job: SizeJob) -> SizeResult:
    """Compare the mappings of a job."""
    plans = _plans(job.shape, job.steps, _parameters(job.rows, job.lanes), job.latencies, job.response)
    order = PhaseOrder.RESPONSE if job.response else PhaseOrder.FUSED
    groups = [GroupWays(phases, job.rows, job.lanes) for phases in plans.frames.whole(order.value)]
    found: dict[int, list[Found]] = {}
    compared = ruled_out = 0
    with uncollected():
        search = Search(plans, groups, RANGES["weight_depth"][1])
        for cols in job.cols:
            grid: dict[Choice, Candidate] = {}
            for schedule in job.schedules:
                options = [_options(group, cols, schedule in _CUT) for group in groups]
                # Like the mapper: the best ways with some unit programs may not be the best with others.
                for preference in Preference:
                    search.descend(schedule, preference.value, options, grid)
            found[cols] = kept(grid.values())
            compared += len(grid)
            ruled_out += sum(not candidate.exact for candidate in grid.values())
    return SizeResult(found, compared, plans.counted, ruled_out)


def cycles_of(
    shape: Shape, steps: int, choice: Choice, parameters: GridParameters, latencies: GridLatencies
) -> int:
    """Exact cycles of a sequence, equal to those of `rnn_mapper.schedule.prediction.predict`.

    Only rows and lanes of `parameters` count. Raises `MappingError` when no timing is free of collisions.
    """
    plan = _plans(shape, steps, parameters, latencies).plan(choice)
    if plan is None:
        raise MappingError(f"{choice.text(parameters.rows)}: more results than a result link takes")
    while not plan.exact:
        plan.improve()
    return plan.least


def kept(candidates: Iterable[Candidate]) -> list[Found]:
    """The fastest mapping, and slower ones with fewer weight words or units in a site; the first of equal mappings."""
    heap = [(each.least, each.words, each.units, place, each) for place, each in enumerate(candidates)
            if each.worthwhile]
    heapify(heap)
    found: list[Found] = []
    memory: list[tuple[int, int]] = []
    while heap and len(found) < KEPT:
        least, words, units, place, candidate = heap[0]
        if least == math.inf or (found and least > SLOWEST * found[0].cycles):
            break
        # Mappings leave the heap in the order of their cycles, so mappings found earlier are no slower.
        if any(other <= words and few <= units for other, few in memory):
            heappop(heap)
        elif candidate.exact:
            heappop(heap)
            found.append(Found(int(least), candidate.choice))
            memory.append((words, units))
        else:
            candidate.improve()
            heapreplace(heap, (candidate.least, words, units, place, candidate))
    return found


def _options(group: GroupWays, cols: int, cut: bool) -> list[Way]:
    """The ways to lay a unit group on this many columns, those that read least first: whole groups, and with `cut` also
    the groups in two slices that are among the foremost."""
    widths = group.widths(cols)
    ways = list(group.narrower(widths, cols))
    if cut:
        ways += [way for way in group.foremost(widths, cols) if len(way) > 1]
    return sorted(ways, key=group.busy)


def _parameters(rows: int, lanes: int) -> GridParameters:
    return GridParameters(rows=rows, cols=1, lanes=lanes, vector_depth=1 << 14)


def _plans(
    shape: Shape, steps: int, parameters: GridParameters, latencies: GridLatencies, response: bool = False
) -> Plans:
    distances = _distances(latencies, parameters.group_beats)
    beats = HostBeats.of([blank_network(shape)], parameters)
    return Plans(frames_of(shape), steps, parameters, distances, beats, response=response)


@lru_cache(maxsize=64)
def _distances(latencies: GridLatencies, group_beats: int) -> Distances:
    return Distances(PhaseClock(latencies, group_beats))
