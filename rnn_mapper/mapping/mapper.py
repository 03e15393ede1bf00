"""The mapper: chooses the loop nest of every layer by predicted cycles and places the network on the grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters
from rnn_mapper.cells.unit_program import Preference
from rnn_mapper.errors import MappingError
from rnn_mapper.mapping.allocation import Demand, Reserved, allocate, describe_shortage, shortages
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.schedule.durations import build_schedule
from rnn_mapper.schedule.loop_nest import LoopNest, ceil_div, least_words
from rnn_mapper.schedule.order import phases_of
from rnn_mapper.schedule.phases import Phase, PhaseOrder, Vector, unit_groups, vectors_of
from rnn_mapper.schedule.programs import choose_programs
from rnn_mapper.schedule.timing import assert_no_collision, time_phase

__all__ = ["Part", "least_reading", "map_network"]

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


#: The parts of a unit group, in the order in which they run.
Split = tuple[Part, ...]


def map_network(
    network: QuantisedNetwork | Sequence[QuantisedNetwork],
    parameters: GridParameters,
    ru: int | None = None,
    hu: int | None = None,
    steps: int = TYPICAL_STEPS,
    schedule: PhaseOrder = PhaseOrder.FUSED,
    splits: Sequence[Sequence[Part]] | None = None,
    reserved: Reserved | None = None,
    programs: Preference | None = None,
) -> Mapping:
    """Place a network on a grid, or several that run step by step at once: streams of one model, or different models.

    `ru` and `hu` fix the PCUs of a matrix row and the hidden units computed at once (a multiple of the grid's rows)
    for every layer; what is not given is chosen by the predicted cycles of a sequence of `steps` steps. Without
    either, units that do not fill the grid's chains may get a split of their own. `splits` names the parts of every
    unit group (`schedule.phases.unit_groups`; the head is last), and nothing is searched. Other schedules than the
    fused one are there to be compared with. `reserved` is what models that are in the grid already take.
    `programs` fixes which unit programs are preferred; else the one with fewest cycles is taken.
    Raises `MappingError` when the network cannot run on this grid; it says what is short and what would do.
    """
    members = (network,) if isinstance(network, QuantisedNetwork) else tuple(network)
    for one in members:
        _check_arithmetic(one, parameters)
    place = _Place(members, parameters, GridLatencies.of(parameters), schedule, reserved or Reserved())
    if splits is None:
        choices = _choices(members, parameters, schedule, ru, hu)
    else:
        sizes = [group.units for group in unit_groups(members)]
        choices = [[_checked(layer, size, parameters)] for layer, size in zip(splits, sizes, strict=True)]
    found = [
        mapping for preference in (Preference if programs is None else (programs,))
        if (mapping := _search(replace(place, preference=preference), choices, steps)) is not None
    ]
    if not found:
        raise _refusal(place, choices)
    best = min(found, key=lambda mapping: mapping.predict(steps).cycles)
    for timing in best.timings:
        assert_no_collision(timing)
        assert_no_collision(timing.fresh)
    return best


def _search(place: _Place, choices: list[list[Split]], steps: int) -> Mapping | None:
    """The best mapping that is found by changing one unit group after the other, until no single change is better."""
    # Streams of one model are split alike.
    same = _alike(place.members)
    chosen = [options[0] for options in choices]
    best = place.attempt(chosen)
    best_cycles = best.predict(steps).cycles if best else None
    improved = True
    while improved:
        improved = False
        for group, options in enumerate(choices):
            if same[group] != group:
                continue
            for option in options:
                if option == chosen[group]:
                    continue
                candidate = [option if same[other] == group else kept for other, kept in enumerate(chosen)]
                mapping = place.attempt(candidate)
                if mapping is None:
                    continue
                cycles = mapping.predict(steps).cycles
                if best_cycles is None or cycles < best_cycles:
                    best, best_cycles, chosen, improved = mapping, cycles, candidate, True
        if len(set(same)) == 1:
            break
    return best


def _check_arithmetic(network: QuantisedNetwork, parameters: GridParameters) -> None:
    made_for = network.arithmetic
    if made_for.table_segments != parameters.table_segments:
        raise MappingError(
            f"the network was quantised for a table of {made_for.table_segments} segments, "
            f"the grid has table_segments = {parameters.table_segments}"
        )
    if made_for.operand_bits != parameters.operand_bits:
        raise MappingError(
            f"the network was quantised for operands of {made_for.operand_bits} bits, "
            f"the grid has operand_bits = {parameters.operand_bits}"
        )
    if made_for.accumulator_bits > parameters.accumulator_bits:
        raise MappingError(
            f"the network was quantised for accumulators of {made_for.accumulator_bits} bits, "
            f"the grid has accumulator_bits = {parameters.accumulator_bits}"
        )


def _alike(members: Sequence[QuantisedNetwork]) -> list[int]:
    """For each unit group the first that is the same of the same network."""
    firsts: dict[object, int] = {}
    return [
        firsts.setdefault((members[group.member], group.layer, group.kind), index)
        for index, group in enumerate(unit_groups(members))
    ]


def _choices(
    members: Sequence[QuantisedNetwork], parameters: GridParameters, schedule: PhaseOrder, ru: int | None,
    hu: int | None,
) -> list[list[Split]]:
    """The ways to cut each layer (and the head) that are worth a prediction, best guess first."""
    if ru is not None and not 1 <= ru <= parameters.cols:
        raise MappingError(f"ru = {ru}: must be from 1 to cols = {parameters.cols}")
    if hu is not None and (hu < parameters.rows or hu % parameters.rows or hu > parameters.sites):
        raise MappingError(
            f"hu = {hu}: must be a multiple of rows = {parameters.rows}, at most {parameters.sites} (the sites)"
        )
    if ru is not None and hu is not None and hu * ru > parameters.sites:
        raise MappingError(f"hu = {hu} with ru = {ru} takes {hu * ru} sites, the grid has {parameters.sites}")
    choices: list[list[Split]] = []
    for phases in _whole_phases(members, schedule):
        groups = ceil_div(phases[0].units, parameters.rows)
        longest = max(ceil_div(phase.operand_size, parameters.lanes) for phase in phases)
        widths = range(1, min(parameters.cols, longest) + 1) if ru is None else (ru,)
        whole: list[Split] = [
            (part,) for width in widths
            if (part := _whole(groups, width, parameters.cols // width, hu, parameters.rows)) is not None
        ]
        choices.append(whole)
        if ru is None and hu is None:
            cuts = whole + _cuts(groups, widths, parameters.cols)
            cuts.sort(key=lambda layer: sum(_busy(part, phases, parameters.lanes) for part in layer))
            choices[-1] = cuts[:CANDIDATES] + [layer for layer in whole if layer not in cuts[:CANDIDATES]]
    return choices


def _whole_phases(members: Sequence[QuantisedNetwork], schedule: PhaseOrder) -> list[list[Phase]]:
    """The phases of each unit group, uncut."""
    found: dict[int, list[Phase]] = {}
    for phase in phases_of(members, [[group.units] for group in unit_groups(members)], schedule):
        found.setdefault(phase.group, []).append(phase)
    return [phases for _, phases in sorted(found.items())]


def least_reading(members: Sequence[QuantisedNetwork], parameters: GridParameters) -> int:
    """Cycles in which the phases of a step read operands in the best of cases: no mapping takes fewer cycles a step.

    It is also the fewest weight words that a site must hold.
    """
    choices = _choices(members, parameters, PhaseOrder.FUSED, None, None)
    return sum(
        min(sum(_busy(part, phases, parameters.lanes) for part in split) for split in splits)
        for splits, phases in zip(choices, _whole_phases(members, PhaseOrder.FUSED), strict=True)
    )


def _checked(layer: Sequence[Part], units: int, parameters: GridParameters) -> Split:
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


def _cuts(groups: int, widths: Sequence[int], cols: int) -> list[Split]:
    """Layers in two parts: one that fills all its chains, and the rest with another split."""
    cuts: list[Split] = []
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
    return sum(units * phase.rows * ceil_div(ceil_div(phase.operand_size, lanes), part.ru) for phase in phases)


@dataclass(frozen=True)
class _Place:
    """Networks and the grid on which they are placed."""

    members: tuple[QuantisedNetwork, ...]
    parameters: GridParameters
    latencies: GridLatencies
    schedule: PhaseOrder
    reserved: Reserved
    preference: Preference = Preference.EARLY_RESULT

    def phases(
        self, parameters: GridParameters, splits: Sequence[Split]
    ) -> tuple[list[Phase], list[LoopNest]]:
        """Phases and loop nests of a choice of parts for every unit group."""
        sizes: list[list[int]] = []
        for group, parts in zip(unit_groups(self.members), splits, strict=True):
            units = [part.groups * parameters.rows for part in parts]
            sizes.append([*units[:-1], group.units - sum(units[:-1])])
        phases = phases_of(self.members, sizes, self.schedule)
        chosen = [splits[phase.group][phase.part] for phase in phases]
        words = [least_words(phase, parameters, part.ru) for phase, part in zip(phases, chosen, strict=True)]
        phases, words = choose_programs(phases, words, self.latencies, self.preference)
        nests = [
            LoopNest.of(phase, parameters, part.ru, part.chains, length)
            for phase, part, length in zip(phases, chosen, words, strict=True)
        ]
        return phases, nests

    def attempt(self, splits: Sequence[Split]) -> Mapping | None:
        """The mapping of a choice, or None where it does not fit."""
        p = self.parameters
        phases, nests = self.phases(p, splits)
        vectors = vectors_of(self.members)
        allocation, demands = allocate(phases, nests, vectors, p, self.reserved)
        if shortages(demands):
            return None
        offsets = self._output_offsets(vectors, allocation.vector_words)
        timings = [
            time_phase(phase, nest, p, self.latencies, offsets[phase.member])
            for phase, nest in zip(phases, nests, strict=True)
        ]
        return Mapping(
            self.members, p, self.latencies, self.schedule, vectors, phases, timings, build_schedule(timings),
            allocation, demands, self.reserved,
        )

    def _output_offsets(self, vectors: list[Vector], words: list[int]) -> list[int]:
        """Groups of the output before those of each network."""
        p = self.parameters
        bases = [word * p.lanes // p.rows for word, vector in zip(words, vectors, strict=True) if vector.is_output]
        return [base - bases[0] for base in bases]


def _refusal(place: _Place, choices: list[list[Split]]) -> MappingError:
    """The shortest list of shortages over the widest and the narrowest whole groups, and what would do."""

    def demands(grid: GridParameters, pick: int) -> list[Demand]:
        options = choices if grid is place.parameters else _choices(place.members, grid, place.schedule, None, None)
        whole = [[split for split in splits if len(split) == 1] or splits for splits in options]
        phases, nests = place.phases(grid, [splits[pick] for splits in whole])
        return allocate(phases, nests, vectors_of(place.members), grid, place.reserved)[1]

    def fits(grid: GridParameters) -> bool:
        same = all(grid.arithmetic.serves(network.arithmetic) for network in place.members)
        return same and any(not shortages(demands(grid, pick)) for pick in (0, -1))

    least = min((demands(place.parameters, pick) for pick in (0, -1)), key=lambda found: len(shortages(found)))
    return describe_shortage(least, place.parameters, fits)
