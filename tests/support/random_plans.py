"""Random schedules without any weights: what the mapper decides, for shapes and latencies of every kind."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hdl.latencies import GridLatencies, UnitPathLatencies
from hdl.parameters import GridParameters
from rnn_mapper import cells
from rnn_mapper.cells.unit_program import Preference
from rnn_mapper.errors import MappingError
from rnn_mapper.mapping.allocation import allocate
from rnn_mapper.network.random import LayerShape
from rnn_mapper.quantisation.blank import blank_network
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.schedule.clock import time_phase
from rnn_mapper.schedule.durations import build_schedule
from rnn_mapper.schedule.entries import ScheduleEntry
from rnn_mapper.schedule.loop_nest import LoopNest, ceil_div, least_words
from rnn_mapper.schedule.order import phases_of
from rnn_mapper.schedule.phases import Phase, PhaseOrder, unit_groups, vectors_of
from rnn_mapper.schedule.programs import choose_programs
from rnn_mapper.schedule.timing import PhaseTiming

#: Every cell but the one whose programs take long to find; those of PyTorch more often.
CELLS = (
    *(cell for cell in cells.BUILT_IN.values() if cell is not cells.lstm_peephole),
    *3 * (cells.lstm, cells.gru), cells.rnn_tanh, cells.rnn_relu,
)
#: Latencies of unit paths: few, for each of which programs must be found.
PATHS = (UnitPathLatencies(5, 4, 2), UnitPathLatencies(4, 1, 1), UnitPathLatencies(6, 5, 2), UnitPathLatencies(7, 2, 3))
#: Most are fused.
SCHEDULES = (
    PhaseOrder.FUSED, PhaseOrder.FUSED, PhaseOrder.FUSED, PhaseOrder.RESPONSE, PhaseOrder.RESPONSE,
    PhaseOrder.SEQUENTIAL, PhaseOrder.BLAS,
)


@dataclass
class RandomPlan:
    """A network's phases on a grid, timed and scheduled."""

    schedule: PhaseOrder
    timings: list[PhaseTiming]
    entries: list[ScheduleEntry]
    unit_bases: list[int]

    def __str__(self) -> str:
        phases = ", ".join(f"{t.phase.name}: ru {t.nest.ru} chains {t.nest.chains} groups {t.nest.groups} "
                           f"words {t.nest.words} pad {t.pad} delays {t.delays}" for t in self.timings)
        return f"{self.timings[0].phase.steps.name} {phases}; {self.timings[0].latencies}"


def _network(rng: np.random.Generator, parameters: GridParameters) -> QuantisedNetwork:
    p = parameters

    def size() -> int:
        return int(rng.integers(1, rng.choice([3, 2 * p.rows + 2, 4 * p.sites + 2])))

    cell = CELLS[int(rng.integers(len(CELLS)))]
    sizes = [int(rng.integers(1, rng.choice([p.lanes + 1, 2 * p.lanes * p.cols + 2])))]
    sizes += [size() for _ in range(int(rng.integers(1, 4)))]
    head, inner = size() if rng.random() < 0.4 else None, size()
    return blank_network(sizes[0], [LayerShape(cell, one, inner) for one in sizes[1:]], head, p.arithmetic)


def _slices(rng: np.random.Generator, units: int, rows: int) -> list[int]:
    """A layer in one slice, or in two or three of whole groups."""
    groups = ceil_div(units, rows)
    places = rng.integers(1, groups + 1, int(rng.choice([0, 0, 1, 2])))
    cuts = sorted({int(place) * rows for place in places if place < groups})
    return [end - start for start, end in pairwise([0, *cuts, units])]


def random_plan(rng: np.random.Generator) -> RandomPlan | None:
    """A random plan; None for one that the mapper refuses."""
    parameters = GridParameters(
        int(2 ** rng.integers(0, 5)), int(rng.integers(1, 9)), int(rng.choice([4, 5, 6, 8, 12, 16])),
        weight_depth=1 << 16, vector_depth=1 << 12, units=1 << 10, gate_entries=1 << 12,
    )
    # The scheduler must be right for any hardware, not for today's alone.
    path = PATHS[int(rng.integers(len(PATHS)))]
    latencies = GridLatencies(
        token=int(rng.integers(3, 8)), result=int(rng.integers(8, 16)),
        store=int(rng.integers(5, 12)), store_distance=int(rng.integers(1, 5)),
        **path._asdict(),
    )
    network = _network(rng, parameters)
    slices = [_slices(rng, group.units, parameters.rows) for group in unit_groups([network])]
    schedule = SCHEDULES[int(rng.integers(len(SCHEDULES)))]
    if not any(operand.state for layer in network.all_layers for operand in layer.arithmetic.operands):
        # Without products of states nothing can be computed before the input.
        schedule = PhaseOrder.FUSED if schedule is PhaseOrder.RESPONSE else schedule
    phases = phases_of([network], slices, schedule)
    splits: dict[tuple[int, int], tuple[int, int]] = {}
    for phase in phases:
        if phase.state_key not in splits:
            ru = int(rng.integers(1, parameters.cols + 1))
            chains = int(rng.integers(1, parameters.cols // ru + 1))
            splits[phase.state_key] = ru, min(chains, ceil_div(phase.units, parameters.rows))
    preference = list(Preference)[int(rng.integers(len(Preference)))]
    try:
        return plan_with(network, phases, splits, schedule, parameters, latencies, preference)
    except MappingError:
        return None


def plan_with(
    network: QuantisedNetwork, phases: list[Phase], splits: dict[tuple[int, int], tuple[int, int]],
    schedule: PhaseOrder,
    parameters: GridParameters, latencies: GridLatencies, preference: Preference = Preference.EARLY_RESULT,
) -> RandomPlan:
    """The plan with these loop nests: ru and chains of each (unit group, slice)."""
    chosen = [splits[phase.state_key] for phase in phases]
    words = [least_words(phase, parameters, ru) for phase, (ru, _) in zip(phases, chosen, strict=True)]
    phases, words = choose_programs(phases, words, latencies, preference)
    nests = [
        LoopNest.of(phase, parameters, *split, length)
        for phase, split, length in zip(phases, chosen, words, strict=True)
    ]
    allocation, _ = allocate(phases, nests, vectors_of([network]), parameters)
    timings = [time_phase(phase, nest, parameters, latencies) for phase, nest in zip(phases, nests, strict=True)]
    return RandomPlan(schedule, timings, build_schedule(timings), allocation.states)
