"""The mapper: chooses the loop nest of every layer by predicted cycles and places the network on the grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters
from rnn_mapper.allocation import Demand, allocate, describe_shortage, shortages
from rnn_mapper.errors import MappingError
from rnn_mapper.loop_nest import LoopNest, ceil_div
from rnn_mapper.mapping import Mapping
from rnn_mapper.phases import Phase, Schedule, phases_of, vectors_of, whole_layers
from rnn_mapper.quantised import QuantisedNetwork
from rnn_mapper.schedule import build_schedule
from rnn_mapper.timing import assert_no_collision, time_phase

__all__ = ["Part", "map_network"]

#: Steps of the sequence by which mappings are compared when the user names no number.
TYPICAL_STEPS = 16


#: Ways to cut a layer that are predicted exactly; the rest is ruled out by the cycles of its phases alone.
CANDIDATES = 8


@dataclass(frozen=True)
class Part:
    """Some groups of a layer's hidden units, and their parallelism: `ru` PCUs for a matrix row, `chains` such chains
    in every row of the grid."""

    groups: int
    ru: int
    chains: int


#: The parts of a layer, in the order in which they run.
Layer = tuple[Part, ...]


def map_network(
    network: QuantisedNetwork,
    parameters: GridParameters,
    ru: int | None = None,
    hu: int | None = None,
    steps: int = TYPICAL_STEPS,
    schedule: Schedule = Schedule.FUSED,
    splits: Sequence[Sequence[Part]] | None = None,
) -> Mapping:
    """Place a network on a grid.

    `ru` and `hu` fix the PCUs of a matrix row and the hidden units computed at once (a multiple of the grid's rows)
    for every layer; what is not given is chosen by the predicted cycles of a sequence of `steps` steps. Without
    either, units that do not fill the grid's chains may get a split of their own. `splits` names the parts of every
    layer (and of the head, last), and nothing is searched. Other schedules than the fused one are there to be compared
    with.
    Raises `MappingError` when the network cannot run on this grid; it says what is short and what would do.
    """
    if network.table_segments != parameters.table_segments:
        raise MappingError(
            f"the network was quantised for a table of {network.table_segments} segments, "
            f"the grid has table_segments = {parameters.table_segments}"
        )
    if network.accumulator_bits > parameters.accumulator_bits:
        raise MappingError(
            f"the network was quantised for accumulators of {network.accumulator_bits} bits, "
            f"the grid has accumulator_bits = {parameters.accumulator_bits}"
        )
    if splits is None:
        choices = _choices(network, parameters, schedule, ru, hu)
    else:
        sizes = [size for (size,) in whole_layers(network)]
        choices = [[_checked(layer, size, parameters)] for layer, size in zip(splits, sizes, strict=True)]
    latencies = GridLatencies.of(parameters)
    chosen = [options[0] for options in choices]
    best = _try(network, parameters, latencies, schedule, chosen)
    best_cycles = best.predict(steps).cycles if best else None
    # One layer after the other, until no change of a single layer is better.
    improved = True
    while improved:
        improved = False
        for layer, options in enumerate(choices):
            for option in options:
                if option == chosen[layer]:
                    continue
                candidate = [*chosen[:layer], option, *chosen[layer + 1 :]]
                mapping = _try(network, parameters, latencies, schedule, candidate)
                if mapping is None:
                    continue
                cycles = mapping.predict(steps).cycles
                if best_cycles is None or cycles < best_cycles:
                    best, best_cycles, chosen, improved = mapping, cycles, candidate, True
        if len(choices) == 1:
            break
    if best is None:
        raise _refusal(network, parameters, schedule, choices)
    for timing in best.timings:
        assert_no_collision(timing)
        assert_no_collision(timing.fresh)
    return best


def _choices(
    network: QuantisedNetwork, parameters: GridParameters, schedule: Schedule, ru: int | None, hu: int | None
) -> list[list[Layer]]:
    """The ways to cut each layer (and the head) that are worth a prediction, best guess first."""
    if ru is not None and not 1 <= ru <= parameters.cols:
        raise MappingError(f"ru = {ru}: must be from 1 to cols = {parameters.cols}")
    if hu is not None and (hu < parameters.rows or hu % parameters.rows or hu > parameters.sites):
        raise MappingError(
            f"hu = {hu}: must be a multiple of rows = {parameters.rows}, at most {parameters.sites} (the sites)"
        )
    if ru is not None and hu is not None and hu * ru > parameters.sites:
        raise MappingError(f"hu = {hu} with ru = {ru} takes {hu * ru} sites, the grid has {parameters.sites}")
    choices: list[list[Layer]] = []
    layers: dict[int, list[Phase]] = {}
    for phase in phases_of(network, whole_layers(network), schedule):
        layers.setdefault(phase.layer, []).append(phase)
    for phases in layers.values():
        groups = ceil_div(phases[0].units, parameters.rows)
        longest = max(ceil_div(phase.operand_size, parameters.lanes) for phase in phases)
        widths = range(1, min(parameters.cols, longest) + 1) if ru is None else (ru,)
        whole: list[Layer] = [
            (part,) for width in widths
            if (part := _whole(groups, width, parameters.cols // width, hu, parameters.rows)) is not None
        ]
        choices.append(whole)
        if ru is None and hu is None:
            cuts = whole + _cuts(groups, widths, parameters.cols)
            cuts.sort(key=lambda layer: sum(_busy(part, phases, parameters.lanes) for part in layer))
            choices[-1] = cuts[:CANDIDATES] + [layer for layer in whole if layer not in cuts[:CANDIDATES]]
    return choices


def _checked(layer: Sequence[Part], units: int, parameters: GridParameters) -> Layer:
    """The user's parts of a layer."""
    groups = ceil_div(units, parameters.rows)
    if sum(part.groups for part in layer) != groups:
        raise MappingError(f"parts of {[part.groups for part in layer]} groups: {units} units are {groups} groups")
    for part in layer:
        if min(part.groups, part.ru, part.chains) < 1 or part.ru * part.chains > parameters.cols:
            raise MappingError(f"{part}: all must be 1 or more, and ru * chains at most cols = {parameters.cols}")
    return tuple(layer)


def _whole(groups: int, ru: int, most: int, hu: int | None, rows: int) -> Part | None:
    """A layer in one part with at most `most` chains, or None where `hu` does not fit."""
    if hu is not None:
        return Part(groups, ru, min(hu // rows, groups)) if hu // rows <= most else None
    # No more chains than it takes for this number of units in a chain: the rest would only be farther.
    return Part(groups, ru, min(ceil_div(groups, ceil_div(groups, most)), groups))


def _cuts(groups: int, widths: Sequence[int], cols: int) -> list[Layer]:
    """Layers in two parts: one that fills all its chains, and the rest with another split."""
    cuts: list[Layer] = []
    for ru in widths:
        chains = cols // ru
        filled = groups // chains * chains
        if not 0 < filled < groups:
            continue
        for other in widths:
            rest = _whole(groups - filled, other, cols // other, None, 1)
            if other != ru and rest is not None:
                cuts.append((Part(filled, ru, chains), rest))
    return cuts


def _busy(part: Part, phases: list[Phase], lanes: int) -> int:
    """Cycles that a part's phases take at least."""
    units = ceil_div(part.groups, part.chains)
    return sum(units * phase.gates * ceil_div(ceil_div(phase.operand_size, lanes), part.ru) for phase in phases)


def _place(
    network: QuantisedNetwork, parameters: GridParameters, schedule: Schedule, layers: Sequence[Layer]
) -> tuple[list[Phase], list[LoopNest]]:
    """Phases and loop nests of a choice of parts for every layer."""
    sizes: list[list[int]] = []
    for (whole,), parts in zip(whole_layers(network), layers, strict=True):
        units = [part.groups * parameters.rows for part in parts]
        sizes.append([*units[:-1], whole - sum(units[:-1])])
    phases = phases_of(network, sizes, schedule)
    nests = [
        LoopNest.of(phase, parameters, layers[phase.layer][phase.part].ru, layers[phase.layer][phase.part].chains)
        for phase in phases
    ]
    return phases, nests


def _try(
    network: QuantisedNetwork, parameters: GridParameters, latencies: GridLatencies, schedule: Schedule,
    layers: Sequence[Layer],
) -> Mapping | None:
    phases, nests = _place(network, parameters, schedule, layers)
    vectors = vectors_of(network)
    allocation, demands = allocate(phases, nests, vectors, parameters)
    if shortages(demands):
        return None
    timings = [time_phase(phase, nest, parameters, latencies) for phase, nest in zip(phases, nests, strict=True)]
    return Mapping(
        network, parameters, latencies, schedule, vectors, phases, timings, build_schedule(timings), allocation, demands
    )


def _refusal(
    network: QuantisedNetwork, parameters: GridParameters, schedule: Schedule, choices: list[list[Layer]]
) -> MappingError:
    """The shortest list of shortages over the widest and the narrowest whole layers, and what would do."""

    def missing(grid: GridParameters, pick: int) -> list[Demand]:
        options = choices if grid is parameters else _choices(network, grid, schedule, None, None)
        whole = [[layer for layer in layers if len(layer) == 1] or layers for layers in options]
        phases, nests = _place(network, grid, schedule, [layers[pick] for layers in whole])
        return shortages(allocate(phases, nests, vectors_of(network), grid)[1])

    def fits(grid: GridParameters) -> bool:
        same = grid.table_segments == network.table_segments and grid.accumulator_bits >= network.accumulator_bits
        return same and any(not missing(grid, pick) for pick in (0, -1))

    return describe_shortage(min((missing(parameters, pick) for pick in (0, -1)), key=len), parameters, fits)
