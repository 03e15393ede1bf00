"""Independent check of a schedule: replays sequences, delaying tokens at random, and checks every site and cycle.

The host may delay any token by any time (missing input, a full output buffer), so the mapper's guarantees must hold for
all delays. `find_violations` replays one sequence with random delays and names every violation in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hdl.latencies import ENTRY_INTERVAL
from rnn_mapper.check.footprint import CARRIED, ChainFootprint, Footprint, TimedPhase, Times, footprint_of
from rnn_mapper.schedule.entries import ScheduleEntry
from rnn_mapper.schedule.phases import Phase

__all__ = ["CheckedPlan", "find_violations", "plan_to_check"]


@dataclass(frozen=True, eq=False)
class CheckedPlan:
    """The parts of a schedule; lists are indexed by phase (`entries` by the order of issue)."""

    timings: Sequence[TimedPhase]
    entries: Sequence[ScheduleEntry]
    #: Effects of a token: in any step, and in the first step of a cleared sequence.
    footprints: Sequence[tuple[Footprint, Footprint]]
    #: First unit of each phase, which gives the place of its state words; its lowest bit chooses the hold registers.
    unit_bases: Sequence[int]


@dataclass(frozen=True)
class _Token:
    phase: int
    step: int
    fresh: bool
    time: int


def plan_to_check(
    timings: Sequence[TimedPhase], entries: Sequence[ScheduleEntry], unit_bases: Sequence[int]
) -> CheckedPlan:
    """The plan of timed and scheduled phases."""
    footprints = [(footprint_of(timing), footprint_of(timing.fresh)) for timing in timings]
    return CheckedPlan(timings, entries, footprints, unit_bases)


def find_violations(
    plan: CheckedPlan, steps: int, delays: np.random.Generator, chance: float, cleared: bool
) -> list[str]:
    """All violations in a sequence of `steps` steps; each token is delayed with probability `chance`.

    The sequence starts from a cleared or a kept state.
    """
    tokens = _replay(plan, steps, delays, chance, cleared)
    return [
        *_sites(plan, tokens), *_stored_parts(plan, tokens), *_unit_paths(plan, tokens), *_states(plan, tokens),
        *_links(plan, tokens),
        *_vectors(plan, tokens), *_buffers(plan, tokens),
    ]


def _replay(
    plan: CheckedPlan, steps: int, delays: np.random.Generator, chance: float, cleared: bool
) -> list[_Token]:
    """Tokens in the order of issue, each in the first cycle that the controller allows or later."""
    tokens: list[_Token] = []
    beats: set[int] = set()
    complete: dict[tuple[int, int], int] = {}
    sent: list[int] = []
    consider = window = 0
    longest = max(entry.duration for entry in plan.entries)
    for iteration in range(steps + max(entry.lag for entry in plan.entries)):
        for entry in plan.entries:
            step = iteration - entry.lag
            if not 0 <= step < steps:
                if entry.holds_slot:
                    consider = max(consider, window)
                    window = consider + entry.duration
                consider += ENTRY_INTERVAL
                continue
            time = max(consider, window)
            if entry.waits_for is not None:
                time = max(time, complete.get((entry.waits_for, step - entry.wait_back), -1) + 1)
            if entry.to_host and step >= 2:
                time = max(time, sent[step - 2] + 1)
            if delays.random() < chance:
                time += int(delays.integers(1, 2 + longest * int(delays.choice([0, 1, 3]))))
            while time in beats:
                time += 1
            fresh = cleared and step == 0
            tokens.append(_Token(entry.phase, step, fresh, time))
            footprint = plan.footprints[entry.phase][fresh]
            if not plan.timings[entry.phase].phase.stores:
                arrivals = time + footprint.arrivals
                complete[entry.phase, step] = int(arrivals[-1]) + footprint.occupies - 1
                if footprint.feeds_back:
                    beats.update(int(cycle) + beat for cycle in arrivals for beat in range(footprint.occupies))
                if entry.to_host:
                    sent.append(int(arrivals[-1]) + 1 + int(delays.integers(0, 2)) * int(delays.integers(0, 20)))
            consider, window = time + ENTRY_INTERVAL, time + (entry.fresh_duration if fresh else entry.duration)
    return tokens


def _footprint(plan: CheckedPlan, token: _Token) -> Footprint:
    return plan.footprints[token.phase][token.fresh]


def _sites(plan: CheckedPlan, tokens: list[_Token]) -> Iterator[str]:
    """No site runs two phases at once, and no token passes a site that still waits for its delay."""
    columns = 1 + max(chain.tail for footprint, _ in plan.footprints for chain in footprint.chains)
    for column in range(columns):
        free, waits = 0, -1
        for token in tokens:
            if token.time <= waits:
                yield f"token of {_name(plan, token)} passes column {column}, which waits for a delay"
            for chain in _footprint(plan, token).chains:
                if chain.first_col <= column <= chain.tail:
                    if token.time + chain.begins < free:
                        yield f"{_name(plan, token)} begins in column {column} before its predecessor ends"
                    free = token.time + chain.ends
                    waits = token.time + chain.begins if chain.begins else -1


def _stored_parts(plan: CheckedPlan, tokens: list[_Token]) -> Iterator[str]:
    """Stored parts are written before they are read, and read before they are written again."""
    times = {(token.phase, token.step): token.time for token in tokens}
    for token in tokens:
        phase = plan.timings[token.phase].phase
        distance = plan.timings[token.phase].latencies.store_distance
        for index, timing in enumerate(plan.timings):
            writer = timing.phase
            if index == token.phase or not writer.stores or writer.stored_key != phase.stored_key:
                continue
            later = times.get((index, token.step + 1))
            variants = [(times[index, token.step], False)] + ([(later, True)] if later is not None else [])
            for when, is_next in variants:
                footprint = _footprint(plan, next(t for t in tokens if (t.phase, t.time) == (index, when)))
                for chain, source in zip(_footprint(plan, token).chains, footprint.chains, strict=True):
                    yield from _stored_in_chain(plan, token, chain, writer, when + distance, source, is_next)


def _stored_in_chain(
    plan: CheckedPlan, token: _Token, chain: ChainFootprint, writer: Phase, there: int, source: ChainFootprint,
    is_next: bool,
) -> Iterator[str]:
    """Violations in the reads by one chain of a token of the parts that `writer` stores; cycles of `source` are counted
    from `there`."""
    phase = plan.timings[token.phase].phase
    for position, gate in enumerate(phase.steps.gates):
        slot = phase.steps.slots[position]
        uses = gate.add_stored or gate.foreign is not None
        # A phase that adds to the stored parts of another phase is ordered with it as well, by the program.
        if slot not in writer.steps.slots or not uses:
            continue
        if phase.stores and not _adds_after(phase, writer, slot):
            continue
        reads = token.time + chain.rows[:, position]
        written = there + source.rows[:, writer.steps.slots.index(slot)]
        if not is_next and (reads < written).any():
            yield f"{_name(plan, token)} reads stored parts that are not there yet"
        if is_next and (reads >= written).any():
            yield f"{_name(plan, token)} reads stored parts of the next step"


def _adds_after(phase: Phase, writer: Phase, slot: int) -> bool:
    """Whether a phase that stores adds to the part of `writer`: the writer's product is earlier in the row."""
    products = phase.stage.all_rows[phase.steps.gates[phase.steps.slots.index(slot)].gate].products
    order = [product.operand for product in products]
    return order.index(writer.multiplied) < order.index(phase.multiplied)


def _unit_paths(plan: CheckedPlan, tokens: list[_Token]) -> Iterator[str]:
    """One value at a time is in a unit path; held values are used before they are overwritten."""
    tails = {chain.tail for footprint, _ in plan.footprints for chain in footprint.chains}
    for tail in sorted(tails):
        ring: list[Times] = []
        writes: dict[str, list[tuple[Times, Times]]] = {}
        uses: dict[str, list[tuple[Times, Times]]] = {}
        for number, token in enumerate(tokens):
            for chain in _footprint(plan, token).chains:
                if chain.tail != tail or not len(chain.ring):
                    continue
                ring.append(token.time + chain.ring)
                units = np.arange(len(chain.rows))
                marks = number * 10_000 + units
                banks = (plan.unit_bases[token.phase] + units) & 1
                for target, source in ((writes, chain.writes), (uses, chain.uses)):
                    for name, events in source.items():
                        for times in events:
                            if name.startswith("STATE"):
                                continue
                            for bank in (0, 1) if name == "HOLD0" else (None,):
                                chosen = slice(None) if bank is None else banks == bank
                                key = name if bank is None else f"{name} of bank {bank}"
                                target.setdefault(key, []).append((token.time + times[chosen], marks[chosen]))
        if ring and len(np.unique(np.concatenate(ring))) < sum(map(len, ring)):
            yield f"two values meet in the unit path of column {tail}"
        for name in sorted(uses):
            yield from _held(name, tail, writes[name], uses[name])


def _held(name: str, tail: int, writes: list[tuple[Times, Times]], uses: list[tuple[Times, Times]]) -> Iterator[str]:
    """The last write before each use belongs to the same unit."""
    written, writers = (np.concatenate([pair[place] for pair in writes]) for place in (0, 1))
    used, users = (np.concatenate([pair[place] for pair in uses]) for place in (0, 1))
    if not len(used):
        return
    order = np.argsort(written, kind="stable")
    place = np.searchsorted(written[order], used, side="left") - 1
    if (place < 0).any() or (writers[order][place] != users).any():
        yield f"{name} in column {tail} does not hold the value that its user needs"


def _states(plan: CheckedPlan, tokens: list[_Token]) -> Iterator[str]:
    """Every use of a state word finds the value of the step that it needs: its own step or the previous one."""
    written: dict[tuple[int, int, str], list[tuple[int, int]]] = {}
    for token in tokens:
        for place, name, time in _state_events(plan, token, "writes"):
            written.setdefault((*place, name), []).append((time, token.step))
    distance = plan.timings[0].latencies.state_distance
    for token in tokens:
        for place, name, time in _state_events(plan, token, "uses"):
            word = name.removesuffix(CARRIED)
            if (*place, word) not in written:
                continue
            seen = [(when, step) for when, step in written[*place, word] if when <= time - distance]
            needed = token.step - 1 if name.endswith(CARRIED) else token.step
            found = max(seen)[1] if seen else -1
            # In the first step the word counts as zero, or is from the previous sequence.
            if found != needed:
                yield f"{_name(plan, token)} finds {word} of step {found} of a unit in column {place[0]}"


def _state_events(plan: CheckedPlan, token: _Token, kind: str) -> Iterator[tuple[tuple[int, int], str, int]]:
    """((column, unit), state word, cycle) of every write or use of a state word by the first and the last units."""
    for chain in _footprint(plan, token).chains:
        count = len(chain.rows)
        for name, events in getattr(chain, kind).items():
            if name.startswith("STATE"):
                for times in events:
                    for unit in {0, count - 1}:
                        yield (chain.tail, plan.unit_bases[token.phase] + unit), name, int(times[unit]) + token.time


def _links(plan: CheckedPlan, tokens: list[_Token]) -> Iterator[str]:
    """Results never collide, at any hop of a row's link or at the collector."""
    results = [
        (chain.tail, token.time + chain.emitted, plan.timings[token.phase].latencies.result_hop)
        for token in tokens for chain in _footprint(plan, token).chains if len(chain.emitted)
    ]
    for column in range(1 + max(tail for tail, _, _ in results)):
        cycles = np.concatenate([emitted + (tail - column) * hop for tail, emitted, hop in results if tail >= column])
        if len(np.unique(cycles)) < len(cycles):
            yield f"two results meet on the link at column {column}"
    arrivals = sorted(
        (token.time + int(cycle), _footprint(plan, token).occupies)
        for token in tokens if not plan.timings[token.phase].phase.stores
        for cycle in _footprint(plan, token).arrivals
    )
    if any(after - cycle < occupied for (cycle, occupied), (after, _) in pairwise(arrivals)):
        yield "a result reaches the collector while it still writes the previous result"


def _vectors(plan: CheckedPlan, tokens: list[_Token]) -> Iterator[str]:
    """A vector is complete before it is read, and its half of the memory is not overwritten before the last read."""
    producers: dict[int | None, list[int]] = {}
    for index, timing in enumerate(plan.timings):
        producers.setdefault(timing.phase.result, []).append(index)
    found = {(token.phase, token.step): token for token in tokens}
    for token in tokens:
        phase = plan.timings[token.phase].phase
        first, last = (token.time + read for read in _footprint(plan, token).reads)
        step = token.step - phase.previous
        for producer in producers.get(phase.operand, []):
            if step >= 0:
                source = found[producer, step]
                footprint = _footprint(plan, source)
                if source.time + footprint.arrivals[-1] + footprint.occupies - 1 >= first:
                    yield f"{_name(plan, token)} reads a vector that is not complete"
            after = found.get((producer, step + 2))
            if after is not None and after.time + _footprint(plan, after).arrivals[0] < last:
                yield f"{_name(plan, token)} reads a vector that is being overwritten"


def _buffers(plan: CheckedPlan, tokens: list[_Token]) -> Iterator[str]:
    """The half with the input is given back after its last read; a group is in the output buffer before it is sent."""
    found = {(token.phase, token.step): token for token in tokens}
    durations = {
        entry.phase: (entry.duration, entry.fresh_duration) for entry in plan.entries if entry.frees_input
    }
    for token in tokens:
        if token.phase in durations:
            given_back = token.time + durations[token.phase][token.fresh]
            for index, timing in enumerate(plan.timings):
                reader = found[index, token.step]
                if timing.phase.needs_input and reader.time + _footprint(plan, reader).reads[1] > given_back:
                    yield f"{_name(plan, token)} gives the input's half back while {timing.phase.name} reads it"
        last = plan.timings[token.phase]
        if not last.phase.ends_output:
            continue
        begins = token.time + int(_footprint(plan, token).arrivals[last.output_start - 1]) + 1
        for index, timing in enumerate(plan.timings):
            if not timing.phase.to_host:
                continue
            before = timing.output_offset + timing.phase.first_unit // timing.nest.rows
            source = found[index, token.step]
            for number, chain in enumerate(_footprint(plan, source).chains):
                groups = before + number + np.arange(len(chain.arrivals)) * timing.nest.chains
                if (begins + groups <= source.time + chain.arrivals).any():
                    yield f"{timing.phase.name} sends a group of outputs before it is there"


def _name(plan: CheckedPlan, token: _Token) -> str:
    return f"{plan.timings[token.phase].phase.name} of step {token.step}"
