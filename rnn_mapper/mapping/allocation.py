"""Addresses of everything in the memories of the grid, and the error for models that do not fit."""

from __future__ import annotations

from collections import abc
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from hdl.errors import ConfigurationError
from hdl.parameters import RANGES, GridParameters, load_parameters, preset_names
from rnn_mapper.errors import MappingError
from rnn_mapper.mapping.program_placement import ProgramPlace, place_programs
from rnn_mapper.schedule.loop_nest import LoopNest, ceil_div
from rnn_mapper.schedule.phases import Phase, Vector

__all__ = [
    "Allocation", "CapacityError", "Demand", "Reserved", "allocate", "describe_shortage", "enlarge", "place_vectors",
    "shortages", "vector_words",
]


@dataclass(frozen=True)
class Allocation:
    """Base addresses; lists are indexed by phase, `vector_words` by vector."""

    #: First word of each vector in one half of the vector memory.
    vector_words: list[int]
    weights: list[int]
    entries: list[int]
    units: list[int]
    #: First unit of the state words that a phase uses; phases with the same units share them.
    states: list[int]
    stored: list[int]
    #: Addresses of the epilogue's instructions; empty for a phase that stores.
    programs: list[ProgramPlace]
    #: Distance of a phase's unit entries from the units of its state words, modulo the unit address range.
    destinations: list[int]


@dataclass(frozen=True)
class Reserved:
    """The memory that other resident models take in the grid, from address 0 on."""

    #: Number of the model that is placed behind them.
    model: int = 0
    vector_words: int = 0
    weights: int = 0
    entries: int = 0
    units: int = 0
    states: int = 0
    stored: int = 0
    phases: int = 0
    #: Entries of the schedule, without headers.
    schedule: int = 0
    instructions: int = 0


@dataclass(frozen=True)
class Demand:
    """The size that a model needs in a memory or table, and the available size."""

    #: Field of `GridParameters` that sets its size.
    field: str
    what: str
    needed: int
    available: int

    @property
    def is_met(self) -> bool:
        """Whether the available size is enough."""
        return self.needed <= self.available


class CapacityError(MappingError):
    """Memories or tables of the grid are too small for the model."""

    def __init__(self, message: str, demands: list[Demand]) -> None:
        super().__init__(message)
        #: All demands of the model, including those that are met.
        self.demands = demands


_NOTHING = Reserved()


def allocate(
    phases: list[Phase], nests: list[LoopNest], vectors: list[Vector], parameters: GridParameters,
    reserved: Reserved = _NOTHING, states_of: abc.Mapping[object, int] | None = None,
) -> tuple[Allocation, list[Demand]]:
    """Addresses of everything, behind the reserved memory, and the demand on each memory.

    `states_of` gives the place of the state words of each `Phase.state_key`, if another model has placed them.
    The addresses are usable only if every demand is met (`shortages`).
    """
    vector_words, words = place_vectors(vectors, parameters, reserved.vector_words)
    weights, weight_total = _shared(
        [((phase.weights_key, nest), nest.max_units * nest.gates * nest.words)
         for phase, nest in zip(phases, nests, strict=True)], reserved.weights,
    )
    entries, entry_total = _running((nest.max_units * nest.gates for nest in nests), reserved.entries)
    units, unit_total = _running(
        (0 if phase.stores else nest.max_units for phase, nest in zip(phases, nests, strict=True)), reserved.units
    )
    states, state_total = _shared([
        (phase.state_key, 0 if phase.stores else nest.max_units) for phase, nest in zip(phases, nests, strict=True)
    ], reserved.states)
    if states_of is not None:
        states = [0 if phase.stores else states_of[phase.state_key] for phase in phases]
        state_total = reserved.states
    storing = {phase.stored_key for phase in phases if phase.stores}
    stored, stored_total = _shared([
        (phase.stored_key, nest.max_units * phase.unit_slots if phase.stored_key in storing else 0)
        for phase, nest in zip(phases, nests, strict=True)
    ], reserved.stored)
    word_total = max(len(phase.stage.unit_set.words) for phase in phases)
    slots = max(parameters.state_words, 1 << (word_total - 1).bit_length()) if word_total else parameters.state_words
    mask = (1 << parameters.unit_bits) - 1
    destinations = [(unit - state) & mask for unit, state in zip(units, states, strict=True)]
    programs = place_programs(
        [None if phase.stores else phase.program for phase in phases], destinations, slots, reserved.instructions
    )
    program_total = 1 + max((address for place in programs for chain in place for address in chain), default=-1)
    phase_total = reserved.phases + len(phases)
    schedule_total = parameters.models + reserved.schedule + len(phases)
    site = "in every site of column 0"
    demands = [
        Demand("weight_depth", f"weight words {site}", weight_total, parameters.weight_depth),
        Demand("vector_depth", "vector words in every PMU", 2 * words, parameters.vector_depth),
        Demand("units", f"units {site}", max(unit_total, state_total), parameters.units),
        Demand("state_words", "state words of a unit", word_total, parameters.state_words),
        Demand("gate_entries", f"gate entries {site}", max(entry_total, 2 * stored_total), parameters.gate_entries),
        Demand("phases", "phases", phase_total, parameters.phases),
        Demand("schedule_depth", "schedule words in the controller", schedule_total, parameters.schedule_depth),
        Demand("models", "models", reserved.model + 1, parameters.models),
        Demand("program_length", "epilogue instructions in every PCU", program_total, parameters.program_length),
    ]
    longest = max(nest.words for nest in nests)
    demands.append(Demand("vector_depth", "words of one matrix row in every PMU", 2 * longest,
                            parameters.vector_depth))
    outputs = [vector for vector in vectors if vector.is_output]
    demands.append(Demand(
        "vector_depth", "words of the output buffer",
        2 * sum(ceil_div(ceil_div(vector.size, parameters.rows) * parameters.rows, parameters.lanes)
                for vector in outputs),
        parameters.vector_depth,
    ))
    allocation = Allocation(vector_words, weights, entries, units, states, stored, programs, destinations)
    return allocation, demands


def place_vectors(vectors: list[Vector], parameters: GridParameters, first: int) -> tuple[list[int], int]:
    """The first word of each vector, behind the first `first` words, and the end of all vectors.

    A vector begins at the start of both a word and a group, and takes whole groups; outputs follow one another.
    """
    bases = [0] * len(vectors)
    words = first
    several = sum(vector.is_output for vector in vectors) > 1
    for outputs in (False, True):
        for index, vector in enumerate(vectors):
            if vector.is_output != outputs or not (vector.in_vector_memory or (outputs and several)):
                continue
            bases[index] = words
            words += vector_words(vector, parameters)
    return bases, words


def vector_words(vector: Vector, parameters: GridParameters) -> int:
    """Words of a vector in one half of the vector memory: whole groups, so that the next vector begins with a group."""
    values = ceil_div(vector.size, parameters.rows) * parameters.rows
    return ceil_div(ceil_div(values, parameters.lanes), parameters.group_beats) * parameters.group_beats


def _running(sizes: Iterable[int], total: int) -> tuple[list[int], int]:
    bases: list[int] = []
    for size in sizes:
        bases.append(total)
        total += size
    return bases, total


def _shared(sizes: Iterable[tuple[object, int]], total: int) -> tuple[list[int], int]:
    """Base addresses of items with the given (key, size), and the end; items with the same key share one place, and
    size 0 takes no place."""
    bases: list[int] = []
    placed: dict[object, int] = {}
    for key, size in sizes:
        if size and key not in placed:
            placed[key] = total
            total += size
        bases.append(placed.get(key, 0))
    return bases, total


def shortages(demands: list[Demand]) -> list[Demand]:
    """The demands that are not met."""
    return [demand for demand in demands if not demand.is_met]


def _shortage_text(found: list[Demand]) -> str:
    return "; ".join(f"{item.what}: {item.needed} needed, {item.available} available ({item.field})" for item in found)


def enlarge(parameters: GridParameters, short: list[Demand]) -> GridParameters:
    """The grid with memories doubled until they meet the demands, as far as the limits allow."""
    for item in short:
        depth = getattr(parameters, item.field)
        while depth < item.needed:
            depth *= 2
        if depth <= RANGES[item.field][1]:
            try:
                parameters = replace(parameters, **{item.field: depth})
            except ConfigurationError:
                break
    return parameters


def describe_shortage(
    demands: list[Demand], parameters: GridParameters, fits: Callable[[GridParameters], bool]
) -> CapacityError:
    """The error for a model that does not fit: the shortages, and the nearest grids that would suffice.

    `demands` are all demands of the model; `fits` returns whether the model fits a grid with the given parameters.
    """
    hints: list[str] = []
    found = shortages(demands)
    enlarged = enlarge(parameters, found)
    if fits(enlarged):
        changes = ", ".join(f"{field} = {getattr(enlarged, field)}" for field in dict.fromkeys(i.field for i in found))
        hints.append(f"this grid with {changes}")
    for name in preset_names():
        preset = load_parameters(name)
        if preset.weight_ports == parameters.weight_ports and fits(preset):
            hints.append(f"preset {name}")
            break
    nearest = f"; the nearest that fits: {' or '.join(hints)}" if hints else "; no preset is large enough"
    return CapacityError(f"the model does not fit the grid: {_shortage_text(found)}{nearest}", demands)
