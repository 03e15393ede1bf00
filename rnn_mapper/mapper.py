"""The mapper: chooses the loop nest of every layer by predicted cycles and places the network on the grid."""

from __future__ import annotations

from dataclasses import dataclass

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters
from rnn_mapper.allocation import allocate, describe_shortage, shortages
from rnn_mapper.errors import MappingError
from rnn_mapper.loop_nest import LoopNest, ceil_div
from rnn_mapper.mapping import Mapping
from rnn_mapper.phases import Phase, phases_of, vectors_of
from rnn_mapper.quantised import QuantisedNetwork
from rnn_mapper.schedule import build_schedule
from rnn_mapper.timing import assert_no_collision, time_phase

__all__ = ["Split", "map_network"]

#: Steps of the sequence by which mappings are compared when the user names no number.
TYPICAL_STEPS = 16


@dataclass(frozen=True)
class Split:
    """Parallelism of one layer: `ru` PCUs for a matrix row, `chains` such chains in every row of the grid."""

    ru: int
    chains: int


def map_network(
    network: QuantisedNetwork,
    parameters: GridParameters,
    ru: int | None = None,
    hu: int | None = None,
    steps: int = TYPICAL_STEPS,
) -> Mapping:
    """Place a network on a grid.

    `ru` and `hu` fix the PCUs of a matrix row and the hidden units computed at once (a multiple of the grid's rows)
    for every layer; what is not given is chosen by the predicted cycles of a sequence of `steps` steps.
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
    choices = _choices(network, parameters, ru, hu)
    latencies = GridLatencies.of(parameters)
    splits = [options[0] for options in choices]
    best = _try(network, parameters, latencies, splits)
    best_cycles = best.predict(steps).cycles if best else None
    # One layer after the other, until no change of a single layer is better.
    improved = True
    while improved:
        improved = False
        for layer, options in enumerate(choices):
            for option in options:
                if option == splits[layer]:
                    continue
                candidate = [*splits[:layer], option, *splits[layer + 1 :]]
                mapping = _try(network, parameters, latencies, candidate)
                if mapping is None:
                    continue
                cycles = mapping.predict(steps).cycles
                if best_cycles is None or cycles < best_cycles:
                    best, best_cycles, splits, improved = mapping, cycles, candidate, True
        if len(choices) == 1:
            break
    if best is None:
        raise _refusal(network, parameters, choices)
    for timing in best.timings:
        assert_no_collision(timing)
    return best


def _choices(
    network: QuantisedNetwork, parameters: GridParameters, ru: int | None, hu: int | None
) -> list[list[Split]]:
    """The splits to consider for each layer and the head."""
    if ru is not None and not 1 <= ru <= parameters.cols:
        raise MappingError(f"ru = {ru}: must be from 1 to cols = {parameters.cols}")
    if hu is not None and (hu < parameters.rows or hu % parameters.rows or hu > parameters.sites):
        raise MappingError(
            f"hu = {hu}: must be a multiple of rows = {parameters.rows}, at most {parameters.sites} (the sites)"
        )
    if ru is not None and hu is not None and hu * ru > parameters.sites:
        raise MappingError(f"hu = {hu} with ru = {ru} takes {hu * ru} sites, the grid has {parameters.sites}")
    choices: list[list[Split]] = []
    layers: dict[int, list[Phase]] = {}
    for phase in phases_of(network):
        layers.setdefault(phase.layer, []).append(phase)
    for phases in layers.values():
        groups = ceil_div(phases[0].units, parameters.rows)
        longest = max(ceil_div(phase.operand_size, parameters.lanes) for phase in phases)
        options: list[Split] = []
        for width in range(1, parameters.cols + 1) if ru is None else (ru,):
            if ru is None and width > longest:
                break
            most = parameters.cols // width
            if hu is not None:
                if hu // parameters.rows > most:
                    continue
                chains = hu // parameters.rows
            else:
                # No more chains than it takes for this number of units in a chain: the rest would only be farther.
                chains = ceil_div(groups, ceil_div(groups, most))
            options.append(Split(width, min(chains, groups)))
        choices.append(options)
    return choices


def _try(
    network: QuantisedNetwork, parameters: GridParameters, latencies: GridLatencies, splits: list[Split]
) -> Mapping | None:
    phases = phases_of(network)
    vectors = vectors_of(network)
    nests = [LoopNest.of(phase, parameters, splits[phase.layer].ru, splits[phase.layer].chains) for phase in phases]
    allocation, demands = allocate(phases, nests, vectors, parameters)
    if shortages(demands):
        return None
    timings = [time_phase(phase, nest, parameters, latencies) for phase, nest in zip(phases, nests, strict=True)]
    return Mapping(
        network, parameters, latencies, vectors, phases, timings, build_schedule(timings), allocation, demands
    )


def _refusal(
    network: QuantisedNetwork, parameters: GridParameters, choices: list[list[Split]]
) -> MappingError:
    """The shortest list of shortages over the widest and the narrowest splits, and what would do."""

    def missing(grid: GridParameters, pick: int) -> list:
        phases = phases_of(network)
        options = choices if grid is parameters else _choices(network, grid, None, None)
        splits = [option[pick] for option in options]
        nests = [LoopNest.of(phase, grid, splits[phase.layer].ru, splits[phase.layer].chains) for phase in phases]
        return shortages(allocate(phases, nests, vectors_of(network), grid)[1])

    def fits(grid: GridParameters) -> bool:
        same = grid.table_segments == network.table_segments and grid.accumulator_bits >= network.accumulator_bits
        return same and any(not missing(grid, pick) for pick in (0, -1))

    return describe_shortage(min((missing(parameters, pick) for pick in (0, -1)), key=len), parameters, fits)
