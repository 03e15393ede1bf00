"""The search: the grids to look at, the resources of each, and the Pareto front.

Jobs (`size.py`) give the exact cycles of the best mappings of each model on each grid. In this module the depths of the
memories follow from all models together, the area from the depths, and the Pareto front from time and area.
"""

from __future__ import annotations

import itertools
from collections import abc
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hdl.errors import ConfigurationError
from hdl.latencies import GridLatencies
from hdl.parameters import RANGES, GridParameters
from rnn_mapper.explore.area import AreaModel, OutOfRange, area_model, memory_bits
from rnn_mapper.explore.clocks import ClockModel, clock_model
from rnn_mapper.explore.requests import Budget, Model
from rnn_mapper.explore.runner import latencies_of
from rnn_mapper.explore.shapes import Shape, blank_network
from rnn_mapper.explore.size import Found, SizeJob, SizeResult
from rnn_mapper.mapping.allocation import allocate
from rnn_mapper.mapping.choices import Choice
from rnn_mapper.mapping.mapper import placed_phases
from rnn_mapper.schedule.phases import vectors_of

__all__ = ["Design", "Request", "combine", "demands", "grid_with", "jobs_of", "pareto_front"]

#: Depths of these memories are multiples of this many words; depths of other memories are powers of two.
DEPTH_STEP = {"weight_depth": 64, "gate_entries": 16, "units": 8}
#: The smallest memories with known areas; smaller ones would save next to nothing.
SMALLEST = {"weight_depth": 256, "vector_depth": 16, "units": 16, "gate_entries": 64, "phases": 4, "program_length": 16}
#: Fields whose depths add up if several models are in the grid at once; for other fields the largest depth counts.
ADDED = ("weight_depth", "vector_depth", "units", "gate_entries", "phases", "schedule_depth", "program_length")


@dataclass(frozen=True)
class Request:
    """The input of a search."""

    models: tuple[Model, ...]
    budget: Budget
    rows: tuple[int, ...]
    cols: tuple[int, ...]
    lanes: tuple[int, ...]
    schedules: tuple[str, ...] = ("fused",)
    #: "sum": the weighted sum of all models' cycles counts; "worst": the largest weighted cycles; "response": the
    #: weighted sum of their responses, with the schedule "response" alone.
    objective: str = "sum"
    #: One clock for all grids is given: cycles are compared, not times.
    one_clock: bool = False

    @property
    def memory_registers(self) -> int:
        """Registers at the outputs of the memories: with an FPGA, whose block RAMs are slow without."""
        return int(self.budget.device is not None)

    @property
    def is_response(self) -> bool:
        """Cycles are those of a response, not of a sequence."""
        return self.objective == "response"

    def steps_of(self, model: Model) -> int:
        """Steps of a model in the cycles that are compared."""
        return 1 if self.is_response else model.steps

    @property
    def clocks(self) -> ClockModel | None:
        """The clocks by which grids are compared; None where none are known, or one is given."""
        return None if self.one_clock or self.budget.device is None else clock_model(self.budget.target)


@dataclass(frozen=True)
class Design:
    """A grid with all models on it."""

    parameters: GridParameters
    #: By model: exact cycles of its sequence or response, and the mapping.
    found: tuple[Found, ...]
    #: Estimated clock in MHz; None where clocks are not compared.
    clock_mhz: float | None
    #: Weighted microseconds of all models, or weighted cycles without a clock: what the search minimises.
    score: float
    #: Used resources by name; without area outside the range of the measurements.
    used: dict[str, float]
    #: Why there is no area, or "".
    unknown: str
    #: Multiplications of the models divided by multipliers times cycles.
    utilisation: float
    #: Use divided by limit, for each exceeded limit of the budget.
    excess: dict[str, float]

    def area(self, budget: Budget) -> float:
        """The second axis of the front: gates; with a device the largest share of a resource; without any known area
        the number of multipliers."""
        if budget.device is not None:
            return max(self.used.get(name, 0.0) / max(1, limit) for name, limit in budget.device.limits.items())
        return self.used.get("gates", float(self.parameters.multipliers))


def jobs_of(request: Request) -> list[SizeJob]:
    """The jobs of a search. Rows and lanes that exceed the budget with the fewest columns are left out, but never all.

    A job has all columns, whatever the budget, so that another budget finds the job in the cache.
    """
    latencies = latencies_of(request.rows, request.lanes, request.memory_registers)
    sizes = [
        (rows, lanes) for rows, lanes in itertools.product(request.rows, request.lanes)
        if _may_fit(request, rows, min(request.cols), lanes)
    ]
    # The smallest grid shows what is nearest.
    sizes = sizes or [(min(request.rows), min(request.lanes))]
    return [
        SizeJob(model.shape, model.steps, request.schedules, rows, lanes, request.cols, latencies[rows, lanes],
                request.is_response)
        for model in request.models for rows, lanes in sizes
    ]


def _may_fit(request: Request, rows: int, cols: int, lanes: int) -> bool:
    """Whether the logic of a grid with the smallest memories is within the budget; true if its area is not known."""
    area = area_model(request.budget.target)
    try:
        smallest = area.smallest(rows, cols, lanes)
        used = {"multipliers": rows * cols * lanes, **request.budget.placed(area.logic(smallest))}
    except (OutOfRange, ConfigurationError):
        used = {"multipliers": rows * cols * lanes}
    return not request.budget.excess(used)


def combine(request: Request, results: Iterable[tuple[SizeJob, SizeResult]]) -> list[Design]:
    """Grids with their best mappings: the grids that may be within the budget, or all grids if none may be. Grids that
    cannot hold the models are missing."""
    by_grid: dict[tuple[int, int, int], dict[tuple[Any, int], list[Found]]] = {}
    for job, result in results:
        for cols, kept in result.found.items():
            by_grid.setdefault((job.rows, cols, job.lanes), {})[job.shape, job.steps] = kept
    area = area_model(request.budget.target)
    designs = []
    sizes = sorted(by_grid)
    for rows, cols, lanes in [size for size in sizes if _may_fit(request, *size)] or sizes:
        found = by_grid[rows, cols, lanes]
        choices = [found.get((model.shape, model.steps), []) for model in request.models]
        for chosen in itertools.product(*_few(choices)):
            if (design := _design(request, area, (rows, cols, lanes), chosen)) is not None:
                designs.append(design)
    return designs


def _few(choices: list[list[Found]]) -> list[list[Found]]:
    """Mappings to combine: slower mappings only for up to two models, so that there are few combinations."""
    return choices if len(choices) <= 2 else [kept[:1] for kept in choices]


def _design(
    request: Request, area: AreaModel, size: tuple[int, int, int], chosen: Sequence[Found]
) -> Design | None:
    rows, cols, lanes = size
    choices = [found.choice for found in chosen]
    parameters = depths_for(request.models, choices, rows, cols, lanes, request.memory_registers)
    if parameters is None:
        return None
    used: dict[str, float] = {"multipliers": parameters.multipliers, "memory": memory_bits(parameters)}
    unknown = ""
    try:
        used = request.budget.placed(area.resources(parameters))
    except OutOfRange as error:
        unknown = str(error)
    clock = None if request.clocks is None else request.clocks.megahertz(parameters)
    scores = [model.weight * found.cycles / (clock or 1.0) for model, found in zip(request.models, chosen, strict=True)]
    busy = sum(model.shape.multiplications(request.steps_of(model)) for model in request.models)
    excess = request.budget.excess(used)
    if unknown and {"gates", "lut"} & {name for name, _ in request.budget.limits}:
        excess["area unknown"] = float("inf")
    return Design(
        parameters, tuple(chosen), clock, max(scores) if request.objective == "worst" else sum(scores), used, unknown,
        busy / parameters.multipliers / sum(found.cycles for found in chosen), excess,
    )


def depths_for(
    models: Sequence[Model], choices: Sequence[Choice], rows: int, cols: int, lanes: int, memory_registers: int = 0
) -> GridParameters | None:
    """The grid with the smallest memories that hold all models at once; None where a memory would be too large."""
    count = 1 << max(0, len(models) - 1).bit_length()
    # The demands of a mapping do not depend on the depths; these depths are large enough for any mapping.
    if count > RANGES["models"][1]:
        return None
    base = GridParameters(
        rows=rows, cols=cols, lanes=lanes, vector_depth=1 << 14, models=count,
        schedule_depth=RANGES["schedule_depth"][1], memory_registers=memory_registers,
    )
    total: dict[str, int] = {}
    for model, choice in zip(models, choices, strict=True):
        for name, needed in demands(model.shape, base, choice).items():
            # The demand of each model includes the headers of all models.
            mine = needed - (count if total.get(name) and name == "schedule_depth" else 0)
            total[name] = total.get(name, 0) + mine if name in ADDED else max(total.get(name, 0), mine)
    return grid_with(total, rows, cols, lanes, count, memory_registers)


def demands(shape: Shape, parameters: GridParameters, choice: Choice) -> dict[str, int]:
    """The demand of a mapping on each memory, by the field of `GridParameters` that sets the memory's size."""
    members = [blank_network(shape)]
    latencies = _latencies(parameters.rows, parameters.lanes, parameters.memory_registers)
    phases, nests = placed_phases(members, parameters, choice, latencies)
    needed: dict[str, int] = {}
    for item in allocate(phases, nests, vectors_of(members), parameters)[1]:
        needed[item.field] = max(needed.get(item.field, 0), item.needed)
    return needed


@lru_cache(maxsize=256)
def _latencies(rows: int, lanes: int, memory_registers: int) -> GridLatencies:
    """Latencies that programs depend on; they do not depend on the number of columns."""
    return GridLatencies.of(
        GridParameters(rows=rows, cols=1, lanes=lanes, vector_depth=1 << 14, memory_registers=memory_registers)
    )


def grid_with(
    needed: abc.Mapping[str, int], rows: int, cols: int, lanes: int, models: int, memory_registers: int
) -> GridParameters | None:
    """The grid with the smallest memories with at least the `needed` words, by field, whose areas can be known.

    None where a memory would be larger than possible.
    """
    depths: dict[str, int] = {"models": models}
    for name, words in needed.items():
        low, high, power_of_two = RANGES[name]
        least = max(words, low, SMALLEST.get(name, 0), 2 * -(-rows // lanes) if name == "vector_depth" else 0)
        step = DEPTH_STEP.get(name)
        depth = 1 << (least - 1).bit_length() if step is None or power_of_two else -(-least // step) * step
        if name == "schedule_depth":
            depth = max(depth, 2 * models)
        if not least <= high:
            return None
        depths[name] = min(depth, high)
    try:
        return GridParameters(rows=rows, cols=cols, lanes=lanes, memory_registers=memory_registers, **depths)
    except ConfigurationError:
        return None


def pareto_front(designs: Iterable[Design], cost: Callable[[Design], float]) -> list[Design]:
    """The designs that no other design beats in both score and cost, fastest first."""
    front: list[Design] = []
    for design in sorted(designs, key=lambda item: (item.score, cost(item), item.used["memory"])):
        if not front or cost(design) < cost(front[-1]):
            front.append(design)
    return front
