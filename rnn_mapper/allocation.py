"""Where everything lies in the memories of the grid, and what is said when it does not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from hdl.errors import ConfigurationError
from hdl.parameters import RANGES, GridParameters, load_parameters, preset_names
from rnn_mapper.errors import MappingError
from rnn_mapper.loop_nest import LoopNest, ceil_div
from rnn_mapper.phases import Phase, Vector
from rnn_mapper.program_placement import ProgramPlace, place_programs

__all__ = ["Allocation", "Demand", "allocate", "describe_shortage", "shortages"]


@dataclass(frozen=True)
class Allocation:
    """Base addresses; lists are indexed by phase, `vector_words` by vector."""

    #: First word of each vector in one half of the vector memory.
    vector_words: list[int]
    weights: list[int]
    entries: list[int]
    units: list[int]
    stored: list[int]
    #: Addresses of the epilogue's instructions; none for a phase that stores.
    programs: list[ProgramPlace]
    #: How far the unit entries of a phase lie behind its units.
    destinations: list[int]


@dataclass(frozen=True)
class Demand:
    """What a model takes of a memory or table, and what there is."""

    field: str
    what: str
    needed: int
    available: int


def allocate(
    phases: list[Phase], nests: list[LoopNest], vectors: list[Vector], parameters: GridParameters
) -> tuple[Allocation, list[Demand]]:
    """Addresses of everything, and what each memory must hold.

    The addresses are usable only if no demand is more than what is available (`shortages`).
    """
    vector_words, words = _vectors(vectors, parameters)
    weights, weight_total = _running(nest.max_units * nest.gates * nest.words for nest in nests)
    entries, entry_total = _running(nest.max_units * nest.gates for nest in nests)
    units, unit_total = _running(
        0 if phase.stores else nest.max_units for phase, nest in zip(phases, nests, strict=True)
    )
    stored, stored_total = _running(
        nest.max_units * phase.unit_slots if phase.stores and not phase.adds else 0
        for phase, nest in zip(phases, nests, strict=True)
    )
    destinations = [0] * len(phases)
    programs = place_programs(
        [None if phase.stores else phase.program for phase in phases], destinations, parameters.state_words
    )
    program_total = 1 + max((address for place in programs for chain in place for address in chain), default=-1)
    site = "in every site of column 0"
    demands = [
        Demand("weight_depth", f"weight words {site}", weight_total, parameters.weight_depth),
        Demand("vector_depth", "vector words in every PMU", 2 * words, parameters.vector_depth),
        Demand("units", f"units {site}", unit_total, parameters.units),
        Demand("gate_entries", f"gate entries {site}", max(entry_total, 2 * stored_total), parameters.gate_entries),
        Demand("phases", "phases", len(phases), parameters.phases),
        Demand(
            "schedule_depth", "schedule words in the controller", len(phases) + parameters.models,
            parameters.schedule_depth,
        ),
        Demand("program_length", "epilogue instructions in every PCU", program_total, parameters.program_length),
    ]
    longest = max(nest.words for nest in nests)
    demands.append(Demand("vector_depth", "words of one matrix row in every PMU", 2 * longest,
                            parameters.vector_depth))
    output = 2 * ceil_div(ceil_div(vectors[-1].size, parameters.rows) * parameters.rows, parameters.lanes)
    demands.append(Demand("vector_depth", "words of the output buffer", output, parameters.vector_depth))
    # A chain's last PCU adds the stored parts at the addresses at which its own phase X left them.
    for index, phase in enumerate(phases):
        if phase.adds:
            stored[index] = stored[phase.adds[0]]
    allocation = Allocation(vector_words, weights, entries, units, stored, programs, destinations)
    return allocation, demands


def _vectors(vectors: list[Vector], parameters: GridParameters) -> tuple[list[int], int]:
    """A vector begins where a word and a group begin, and takes whole groups."""
    bases: list[int] = []
    words = 0
    for vector in vectors:
        if not vector.in_vector_memory:
            bases.append(0)
            continue
        bases.append(words)
        values = ceil_div(vector.size, parameters.rows) * parameters.rows
        words += ceil_div(ceil_div(values, parameters.lanes), parameters.group_beats) * parameters.group_beats
    return bases, words


def _running(sizes: Iterable[int]) -> tuple[list[int], int]:
    bases: list[int] = []
    total = 0
    for size in sizes:
        bases.append(total)
        total += size
    return bases, total


def shortages(demands: list[Demand]) -> list[Demand]:
    """The demands that are not met."""
    return [demand for demand in demands if demand.needed > demand.available]


def _shortage_text(found: list[Demand]) -> str:
    return "; ".join(f"{item.what}: {item.needed} needed, {item.available} available ({item.field})" for item in found)


def describe_shortage(
    found: list[Demand], parameters: GridParameters, fits: Callable[[GridParameters], bool]
) -> MappingError:
    """The error for a model that does not fit: what is short, and the nearest grids that would do.

    `fits` maps parameters to whether the model fits them.
    """
    hints: list[str] = []
    enlarged = parameters
    for item in found:
        depth = getattr(enlarged, item.field)
        while depth < item.needed:
            depth *= 2
        if depth <= RANGES[item.field][1]:
            try:
                enlarged = replace(enlarged, **{item.field: depth})
            except ConfigurationError:
                break
    if fits(enlarged):
        changes = ", ".join(f"{field} = {getattr(enlarged, field)}" for field in dict.fromkeys(i.field for i in found))
        hints.append(f"this grid with {changes}")
    for name in preset_names():
        if fits(load_parameters(name)):
            hints.append(f"preset {name}")
            break
    nearest = f"; the nearest that fits: {' or '.join(hints)}" if hints else "; no preset is large enough"
    return MappingError(f"the model does not fit the grid: {_shortage_text(found)}{nearest}")
