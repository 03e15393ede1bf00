"""The mapper: chooses the loop nest of every layer by predicted cycles and places the network on the grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters
from rnn_mapper.cells.unit_program import Preference
from rnn_mapper.errors import MappingError
from rnn_mapper.mapping.allocation import Demand, Reserved, allocate, describe_shortage, shortages
from rnn_mapper.mapping.choices import Choice, GroupWays, UnitSlice, Way
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.mapping.plans import Frames, HostBeats, Plans
from rnn_mapper.mapping.search import Search, uncollected
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.schedule.clock import PhaseClock
from rnn_mapper.schedule.distances import Distances
from rnn_mapper.schedule.durations import build_schedule
from rnn_mapper.schedule.loop_nest import LoopNest, ceil_div, least_words
from rnn_mapper.schedule.order import phases_of
from rnn_mapper.schedule.phases import Phase, PhaseOrder, unit_groups, vectors_of
from rnn_mapper.schedule.programs import choose_programs
from rnn_mapper.schedule.timing import assert_no_collision
from rnn_mapper.summary import counted

__all__ = ["least_reading", "map_network", "placed_phases"]

#: Steps of the sequence by which mappings are compared if the user gives no number.
TYPICAL_STEPS = 16


def map_network(
    network: QuantisedNetwork | Sequence[QuantisedNetwork],
    parameters: GridParameters,
    ru: int | None = None,
    hu: int | None = None,
    steps: int = TYPICAL_STEPS,
    schedule: PhaseOrder = PhaseOrder.FUSED,
    splits: Sequence[Sequence[UnitSlice]] | None = None,
    reserved: Reserved | None = None,
    programs: Preference | None = None,
) -> Mapping:
    """Place a network on a grid, or several that run step by step at once: streams of one model, or different models.

    `ru` and `hu` fix the PCUs of a matrix row and the hidden units computed at once (a multiple of the grid's rows)
    for every layer; a value that is not given is chosen by the predicted cycles of a sequence of `steps` steps. Without
    either, units that do not fill the grid's chains may get their own loop nest. `splits` names the slices of every
    unit group (`schedule.phases.unit_groups`; the head is last), without any search. Schedules other than the fused
    schedule exist for comparison. `reserved` is the memory that models already in the grid take.
    `programs` fixes which unit programs are preferred; without it the preference with the fewest cycles is taken.
    Raises `MappingError` when the network cannot run on this grid; the message says what is short and what would fit.
    """
    members = (network,) if isinstance(network, QuantisedNetwork) else tuple(network)
    for one in members:
        _check_arithmetic(one, parameters)
    place = _Place(
        members, parameters, GridLatencies.of(parameters), schedule, reserved or Reserved(),
        tuple(Preference) if programs is None else (programs,),
    )
    frames = Frames(members)
    groups = _ways(frames, parameters, schedule)
    if splits is None:
        options = _options(groups, parameters, ru, hu)
    else:
        options = [[_checked(way, group.units, parameters)] for way, group in zip(splits, frames.groups, strict=True)]
    distances = Distances(PhaseClock(place.latencies, parameters.group_beats))
    plans = Plans(
        frames, steps, parameters, distances, HostBeats.of(members, parameters, place.reserved), place.fits,
        response=schedule is PhaseOrder.RESPONSE,
    )
    best = _best(Search(plans, groups), place, options)
    if best is None:
        raise _refusal(place, options, distances.clock)
    mapping = place.mapping(best, distances.clock)
    for timing in mapping.timings:
        assert_no_collision(timing)
        assert_no_collision(timing.fresh)
    return mapping


def _best(search: Search, place: _Place, options: Sequence[Sequence[Way]]) -> Choice | None:
    """The best mapping found; None if none fits.

    If the best guess and all mappings that change one of its unit groups need too much memory, the search begins with
    the widest and the narrowest whole groups.
    """
    starts = [
        options, *([[way, *ways] for way, ways in zip(_whole(options, pick), options, strict=True)] for pick in (0, -1))
    ]
    with uncollected():
        for start in starts:
            tried = (search.descend(place.schedule.value, preference.value, start, {}) for preference in place.programs)
            found = [candidate for candidate in tried if candidate is not None]
            if found:
                return min(found, key=lambda candidate: candidate.least).choice
    return None


def _whole(options: Sequence[Sequence[Way]], pick: int) -> list[Way]:
    """The first (0) or the last (-1) way of each unit group that does not cut the group."""
    return [([way for way in ways if len(way) == 1] or ways)[pick] for ways in options]


def _check_arithmetic(network: QuantisedNetwork, parameters: GridParameters) -> None:
    made_for = network.arithmetic
    if made_for.table_segments != parameters.table_segments:
        raise MappingError(
            f"the network was quantised for a {made_for.table_segments}-segment table, "
            f"the grid has table_segments = {parameters.table_segments}"
        )
    if made_for.operand_bits != parameters.operand_bits:
        raise MappingError(
            f"the network was quantised for {made_for.operand_bits}-bit operands, "
            f"the grid has operand_bits = {parameters.operand_bits}"
        )
    if made_for.accumulator_bits > parameters.accumulator_bits:
        raise MappingError(
            f"the network was quantised for {made_for.accumulator_bits}-bit accumulators, "
            f"the grid has accumulator_bits = {parameters.accumulator_bits}"
        )


def _ways(frames: Frames, parameters: GridParameters, schedule: PhaseOrder) -> list[GroupWays]:
    """The ways to lay each unit group (the head is last) over the grid."""
    return [GroupWays(phases, parameters.rows, parameters.lanes) for phases in frames.whole(schedule.value)]


def _options(
    groups: Sequence[GroupWays], parameters: GridParameters, ru: int | None, hu: int | None
) -> list[list[Way]]:
    """The ways worth a prediction, best guess first."""
    rows, cols = parameters.rows, parameters.cols
    if ru is not None and not 1 <= ru <= cols:
        raise MappingError(f"ru = {ru}: must be from 1 to cols = {cols}")
    if hu is not None and (hu < rows or hu % rows or hu > parameters.sites):
        raise MappingError(f"hu = {hu}: must be a multiple of rows = {rows}, at most {parameters.sites} (the sites)")
    if ru is not None and hu is not None and hu * ru > parameters.sites:
        raise MappingError(f"hu = {hu} with ru = {ru} takes {counted(hu * ru, 'site')}, the grid has "
                           f"{parameters.sites}")
    options: list[list[Way]] = []
    for group in groups:
        widths = group.widths(cols) if ru is None else (ru,)
        if hu is not None:
            chains = hu // rows
            options.append([
                (UnitSlice(group.groups, width, min(chains, group.groups)),)
                for width in widths if chains <= cols // width
            ])
            continue
        whole = group.widest(widths, cols)
        foremost = group.foremost(widths, cols) if ru is None else []
        options.append(foremost + [way for way in whole if way not in foremost])
    return options


def least_reading(members: Sequence[QuantisedNetwork], parameters: GridParameters) -> int:
    """Fewest cycles in which the phases of a step read operands: no mapping takes fewer cycles a step.

    The number is also the fewest weight words that a site must hold.
    """
    return sum(
        group.busy(group.foremost(group.widths(parameters.cols), parameters.cols)[0])
        for group in _ways(Frames(members), parameters, PhaseOrder.FUSED)
    )


def _checked(way: Sequence[UnitSlice], units: int, parameters: GridParameters) -> Way:
    """The user's slices of a group of `units` units, checked. Raises `MappingError`."""
    groups = ceil_div(units, parameters.rows)
    if sum(each.groups for each in way) != groups:
        raise MappingError(f"slices of {[each.groups for each in way]} groups: {counted(units, 'unit')} "
                           f"{'is' if units == 1 else 'are'} {counted(groups, 'group')}")
    for each in way:
        if min(each.groups, each.ru, each.chains) < 1 or each.ru * each.chains > parameters.cols:
            raise MappingError(f"{each}: all must be 1 or more, and ru * chains at most cols = {parameters.cols}")
    return tuple(way)


def placed_phases(
    members: Sequence[QuantisedNetwork], parameters: GridParameters, choice: Choice, latencies: GridLatencies
) -> tuple[list[Phase], list[LoopNest]]:
    """The phases of a choice, with their programs, and their loop nests."""
    sizes: list[list[int]] = []
    for group, way in zip(unit_groups(members), choice.ways, strict=True):
        units = [groups * parameters.rows for groups, _, _ in way[:-1]]
        sizes.append([*units, group.units - sum(units)])
    phases = phases_of(members, sizes, PhaseOrder(choice.schedule))
    chosen = [choice.ways[phase.group][phase.slice] for phase in phases]
    words = [least_words(phase, parameters, ru) for phase, (_, ru, _) in zip(phases, chosen, strict=True)]
    phases, words = choose_programs(phases, words, latencies, Preference(choice.programs))
    nests = [
        LoopNest.of(phase, parameters, ru, chains, length)
        for phase, (_, ru, chains), length in zip(phases, chosen, words, strict=True)
    ]
    return phases, nests


@dataclass(frozen=True)
class _Place:
    """Networks and the grid that they are placed on."""

    members: tuple[QuantisedNetwork, ...]
    parameters: GridParameters
    latencies: GridLatencies
    schedule: PhaseOrder
    reserved: Reserved
    #: Preferences for unit programs to try.
    programs: tuple[Preference, ...]

    def fits(self, phases: list[Phase], nests: list[LoopNest]) -> bool:
        """Whether the memories hold these phases."""
        return not shortages(allocate(phases, nests, vectors_of(self.members), self.parameters, self.reserved)[1])

    def choice(self, ways: Sequence[Way]) -> Choice:
        """The mapping with these ways and the first preference for unit programs."""
        return Choice(self.schedule.value, tuple(ways), self.programs[0].value)

    def demands(self, grid: GridParameters, ways: Sequence[Way]) -> list[Demand]:
        """The demands of a choice on a grid."""
        phases, nests = placed_phases(self.members, grid, self.choice(ways), self.latencies)
        return allocate(phases, nests, vectors_of(self.members), grid, self.reserved)[1]

    def mapping(self, choice: Choice, clock: PhaseClock) -> Mapping:
        """The mapping of a choice that fits. Raises `MappingError` where no timing is free of collisions."""
        phases, nests = placed_phases(self.members, self.parameters, choice, self.latencies)
        vectors = vectors_of(self.members)
        allocation, demands = allocate(phases, nests, vectors, self.parameters, self.reserved)
        offsets = HostBeats.of(self.members, self.parameters, self.reserved).offsets
        timings = [
            clock.phase_timing(phase, nest, offsets[phase.member]) for phase, nest in zip(phases, nests, strict=True)
        ]
        return Mapping(
            self.members, self.parameters, self.latencies, self.schedule, vectors, phases, timings,
            build_schedule(timings), allocation, demands, self.reserved,
        )


def _refusal(place: _Place, options: list[list[Way]], clock: PhaseClock) -> MappingError:
    """The shortest list of shortages over the widest and the narrowest whole groups, and the grids that would fit."""

    def demands(grid: GridParameters, pick: int) -> list[Demand]:
        choices = options if grid is place.parameters else (
            _options(_ways(Frames(place.members), grid, place.schedule), grid, None, None))
        return place.demands(grid, _whole(choices, pick))

    def fits(grid: GridParameters) -> bool:
        same = all(grid.arithmetic.serves(network.arithmetic) for network in place.members)
        return same and any(not shortages(demands(grid, pick)) for pick in (0, -1))

    least = {pick: demands(place.parameters, pick) for pick in (0, -1)}
    pick = min(least, key=lambda pick: len(shortages(least[pick])))
    if not shortages(least[pick]):
        # The network fits, but its results do not fit the links: the timing raises the error.
        place.mapping(place.choice(_whole(options, pick)), clock)
    return describe_shortage(least[pick], place.parameters, fits)
