"""Order of issue and durations of phases, so that nothing ever collides whatever the host's streams do.

A later token can only be delayed (by missing input, a full output buffer, results not yet there), never early. So a
least distance between two tokens that is safe stays safe, and it is enough to find it for every two phases.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from rnn_mapper.cells.unit_timing import ring_events, state_events, uses_of_registers
from rnn_mapper.schedule.timing import PhaseTiming

__all__ = [
    "ScheduleEntry", "build_schedule", "issues", "least_distance", "skipped_between", "state_apart", "stored_distance",
    "unit_path_apart",
]


@dataclass(frozen=True)
class ScheduleEntry:
    """One phase in the order of issue; see `hdl.layouts.schedule_entry_layout`."""

    phase: int
    lag: int
    #: Cycles until the next token may follow; `fresh_duration` in the first step of a cleared sequence.
    duration: int
    fresh_duration: int
    #: It takes its duration even in an iteration in which it does nothing.
    holds_slot: bool
    waits_for: int | None
    wait_back: int
    needs_input: bool
    frees_input: bool
    #: Wait for room in the output buffer; only the first part of the output asks.
    to_host: bool


def build_schedule(timings: list[PhaseTiming]) -> list[ScheduleEntry]:
    """Entries for the phases in the given order, with the shortest durations that are safe in every sequence."""
    distances = _Distances(timings)
    entries = [
        ScheduleEntry(
            index, timing.phase.lag, _least_duration(timing, timings, distances.reach(index, False)),
            _least_duration(timing.fresh, timings, distances.reach(index, True)), False,
            timing.phase.waits_for, timing.phase.wait_back, timing.phase.needs_input, timing.phase.frees_input,
            timing.phase.to_host and timing.phase.part == 0,
        )
        for index, timing in enumerate(timings)
    ]
    while (fault := _first_fault(entries, distances)) is not None:
        position, fresh, slot, missing = fault
        entry = entries[position]
        if slot is not None:
            entries[slot] = replace(entries[slot], holds_slot=True)
        elif fresh:
            entries[position] = replace(entry, fresh_duration=entry.fresh_duration + missing)
        else:
            entries[position] = replace(entry, duration=entry.duration + missing)
    return entries


class _Distances:
    """Least distances between any two phases, each with either of its timings."""

    def __init__(self, timings: list[PhaseTiming]) -> None:
        self._table = {
            (index, fresh): [
                [least_distance(first.of_step(fresh), second.of_step(other)) for other in (False, True)]
                for second in timings
            ]
            for index, first in enumerate(timings) for fresh in (False, True)
        }
        self._reach = {key: max(map(max, row)) for key, row in self._table.items()}

    def reach(self, first: int, fresh: bool) -> int:
        """Cycles after which any other phase may follow."""
        return self._reach[first, fresh]

    def least(self, first: int, fresh: bool, second: int, second_fresh: bool) -> int:
        """Cycles from the issue of the first to that of the second."""
        return self._table[first, fresh][second][second_fresh]


def issues(entries: list[ScheduleEntry], steps: int) -> Iterator[tuple[int, int, bool]]:
    """(entry, step, exists) in the order in which the controller considers them, for a sequence of `steps`."""
    for iteration in range(steps + max(entry.lag for entry in entries)):
        for index, entry in enumerate(entries):
            step = iteration - entry.lag
            yield index, step, 0 <= step < steps


def least_distance(first: PhaseTiming, second: PhaseTiming) -> int:
    """Cycles that must lie between the issue of `first` and a later issue of `second`."""
    distance = max(_site_distance(first, second), stored_distance(first, second))
    if not first.phase.stores and not second.phase.stores:
        distance = max(
            distance, _unit_path_distance(first, second), _state_distance(first, second), _link_distance(first, second)
        )
    return distance


def _least_duration(timing: PhaseTiming, timings: list[PhaseTiming], reach: int) -> int:
    """A duration that is safe whatever comes next, as far as sites and buffers are concerned.

    `reach` is the least distance that is safe for every other phase. A phase that waits for this one's results comes
    after the last of them; where even that could be too early, the duration sees to it.
    """
    distance = max(_site_distance(timing, variant) for other in timings for variant in {other, other.fresh})
    if timing.phase.frees_input:
        # The input's half is given back when the duration is over.
        distance = max(distance, timing.occupied)
    if not timing.phase.stores and reach > timing.completion + 1:
        distance = max(distance, reach)
    return max(distance, timing.stored) if timing.phase.barrier else distance


def _site_distance(first: PhaseTiming, second: PhaseTiming) -> int:
    """Every site is free again, and what the second phase adds has been stored."""
    distance = 1
    for col in range(_columns(first)):
        a, b = _chain(first, col), _chain(second, col)
        if a is None:
            continue
        # A token must not overtake one that waits for its delay, even at a site that it does not concern.
        distance = max(distance, first.delays[a] + 1)
        if b is not None:
            distance = max(distance, first.delays[a] + first.busy(a) - second.delays[b])
    return distance


def _columns(timing: PhaseTiming) -> int:
    return timing.nest.chains * timing.nest.ru


def _chain(timing: PhaseTiming, col: int) -> int | None:
    """Chain of a column, None where the phase does not use it."""
    chain = col // timing.nest.ru
    return chain if chain < timing.nest.chains and timing.nest.units(chain) else None


def stored_distance(first: PhaseTiming, second: PhaseTiming) -> int:
    """Every stored part is there before it is read. What is stored over it comes later, as rows follow one another."""
    if not first.phase.stores or first.phase.stored_key != second.phase.stored_key:
        return 1
    written = first.phase.steps.slots
    return max((
        first.row_local(unit, written.index(slot)) + first.latencies.store_distance
        - second.row_local(unit, reader) + first.delays[chain] - second.delays[chain]
        for chain in range(first.nest.chains)
        for unit in {0, first.nest.units(chain) - 1} if unit >= 0
        for reader, slot in enumerate(second.phase.steps.slots) if slot in written
    ), default=1)


def _unit_path_distance(first: PhaseTiming, second: PhaseTiming) -> int:
    """One phase has left the unit path of a site, and used what it holds, before the next enters."""
    apart = unit_path_apart(first, second)
    distance = 1
    for col in range(_columns(first)):
        a, b = _chain(first, col), _chain(second, col)
        if a is not None and b is not None:
            last_unit = first.delays[a] + (first.nest.units(a) - 1) * first.interval
            distance = max(distance, last_unit + apart - second.delays[b])
    return distance


def unit_path_apart(first: PhaseTiming, second: PhaseTiming) -> int:
    """Cycles from the first operands of a unit of one phase to those of a unit of the next, at least.

    A register that exists twice is treated as if it did not: the units of two phases may have the same parity.
    """
    ring = first.latencies.ring
    events, later_events = (
        ring_events(timing.phase.steps, timing.nest.words, ring) for timing in (first, second)
    )
    (writes, reads), (later_writes, _) = (
        uses_of_registers(timing.phase.steps, timing.nest.words, ring) for timing in (first, second)
    )
    apart = events[-1] - later_events[0] + 1
    for name, cycles in later_writes.items():
        if cycles and reads[name]:
            # A value that is written in the cycle of the last use comes late enough.
            apart = max(apart, max(reads[name]) - min(cycles))
        if cycles and writes[name]:
            apart = max(apart, max(writes[name]) - min(cycles) + 1)
    return apart


def _state_distance(first: PhaseTiming, second: PhaseTiming) -> int:
    """State words are read after they are written, and written after they are read, unit by unit."""
    apart = state_apart(first, second)
    if apart is None:
        return 1
    return max(
        first.delays[chain] - second.delays[chain] + unit * (first.interval - second.interval) + apart
        for chain in range(first.nest.chains) if first.nest.units(chain)
        for unit in (0, first.nest.units(chain) - 1)
    )


def state_apart(first: PhaseTiming, second: PhaseTiming) -> int | None:
    """Cycles from the first operands of a unit in one phase to those of the same unit in the next, at least.

    None if they have no state word in common.
    """
    if first.phase.state_key != second.phase.state_key:
        return None
    ring = first.latencies.ring
    (writes, reads), (later_writes, later_reads) = (
        state_events(timing.phase.steps, timing.nest.words, ring) for timing in (first, second)
    )
    apart = [
        *(write + first.latencies.state_distance - read for write, slot in writes for read, other in later_reads
          if slot == other),
        *(write - later + 1 for write, slot in writes for later, other in later_writes if slot == other),
        *(read - later for read, slot in reads for later, other in later_writes if slot == other),
    ]
    return max(apart, default=None)


def _link_distance(first: PhaseTiming, second: PhaseTiming) -> int:
    """The last result of one phase is collected before the first of the next arrives."""
    return first.arrivals[-1][0] + first.spacing - second.arrivals[0][0]


def _first_fault(entries: list[ScheduleEntry], distances: _Distances) -> tuple[int, bool, int | None, int] | None:
    """The first two issues that can come too close, in any sequence.

    Returns the entry whose duration could grow and whether it is the fresh one, an entry between the two that is
    skipped there and could hold its slot instead (or None), and the missing cycles. All sequences look alike in the
    middle, so a few lengths show all.
    """
    longest = max(entry.lag for entry in entries) + 3
    for steps in range(1, longest + 1):
        for cleared in (True, False):
            if (fault := _fault_in_sequence(entries, distances, steps, cleared)) is not None:
                return fault
    return None


def _fault_in_sequence(
    entries: list[ScheduleEntry], distances: _Distances, steps: int, cleared: bool
) -> tuple[int, bool, int | None, int] | None:
    sequence = [
        (index, step, exists, cleared and step == 0) for index, step, exists in issues(entries, steps)
        if exists or entries[index].holds_slot
    ]
    skipped = skipped_between(entries, steps)
    for place, (index, step, exists, fresh) in enumerate(sequence):
        if not exists:
            continue
        passed = 0
        reach = distances.reach(index, fresh)
        for later in range(place + 1, len(sequence)):
            before, _, _, before_fresh = sequence[later - 1]
            passed += entries[before].fresh_duration if before_fresh else entries[before].duration
            if passed >= reach:
                break
            other, other_step, other_exists, other_fresh = sequence[later]
            entry = entries[other]
            if not other_exists:
                continue
            if entry.waits_for == index and other_step - entry.wait_back >= step:
                # It is issued after the first phase's last result, and so is all that follows.
                break
            need = distances.least(index, fresh, other, other_fresh)
            if need > passed:
                slots = skipped.get((index, step, other, other_step), [])
                return before, before_fresh, slots[0] if slots else None, need - passed
    return None


def skipped_between(
    entries: list[ScheduleEntry], steps: int
) -> dict[tuple[int, int, int, int], list[int]]:
    """For each two issues, the entries between them that do nothing and do not hold their slot yet."""
    sequence = list(issues(entries, steps))
    found: dict[tuple[int, int, int, int], list[int]] = {}
    for place, (index, step, exists) in enumerate(sequence):
        if not exists:
            continue
        skipped: list[int] = []
        for other, other_step, other_exists in sequence[place + 1 : place + 1 + 2 * len(entries)]:
            if other_exists:
                found[index, step, other, other_step] = list(skipped)
            elif not entries[other].holds_slot:
                skipped.append(other)
    return found
