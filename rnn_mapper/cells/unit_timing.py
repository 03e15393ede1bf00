"""How closely units may follow one another through the unit path: no two values meet, none is overwritten too early."""

from __future__ import annotations

from hdl.latencies import UnitPathLatencies
from hdl.layouts import Addend, Hold, Keep
from rnn_mapper.cells.program import Program

__all__ = ["follows", "ring_events", "same_flow", "smallest_interval", "state_events", "uses_of_registers"]

#: Units apart, in units, that write the same register: HOLD0 exists twice.
_PERIODS = {"HOLD0": 2, "HOLD1": 1, "KEPT": 1}
#: A longer interval is rejected anyway: the field for idle cycles is 8 bits wide.
_LARGEST = 1 << 13


def uses_of_registers(
    program: Program, words: int, path: UnitPathLatencies
) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Cycles in which each register is written and read by one unit, counted from its first operands.

    What is written in one cycle is read from the next on; a kept result counts as written when that holds for it.
    """
    writes: dict[str, list[int]] = {name: [] for name in _PERIODS}
    reads: dict[str, list[int]] = {name: [] for name in _PERIODS}
    for position, gate in enumerate(program.gates):
        start = (position + 1) * words - 1
        if gate.hold != Hold.NONE:
            writes[gate.hold.name].append(start)
        for trip, instruction in enumerate(gate.instructions):
            time = start + trip * path.ring
            if instruction.x.name in reads:
                reads[instruction.x.name].append(time)
            if instruction.addend == Addend.KEPT:
                reads["KEPT"].append(time)
            if instruction.keep != Keep.NONE:
                writes["KEPT"].append(time + path.kept_distance - 1)
            if instruction.hold != Hold.NONE:
                writes[instruction.hold.name].append(time + path.ring)
    return writes, reads


def ring_events(program: Program, words: int, path: UnitPathLatencies) -> list[int]:
    """Cycles of a unit's instructions, counted from its first operands."""
    return sorted(
        (position + 1) * words - 1 + trip * path.ring
        for position, gate in enumerate(program.gates) for trip in range(len(gate.instructions))
    )


def follows(program: Program, words: int, interval: int, path: UnitPathLatencies) -> bool:
    """Whether units can follow one another every `interval` cycles."""
    events = ring_events(program, words, path)
    if len({event % interval for event in events}) < len(events):
        return False
    writes, reads = uses_of_registers(program, words, path)
    for name, period in _PERIODS.items():
        cycle = period * interval
        if len({write % cycle for write in writes[name]}) < len(writes[name]):
            return False
        for read in reads[name]:
            written = max(write for write in writes[name] if write < read)
            # A value that is written in the cycle of its use comes late enough.
            if any((write - written - 1) % cycle + 1 < read - written for write in writes[name]):
                return False
    return True


def state_events(
    program: Program, words: int, path: UnitPathLatencies
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """(cycle, slot) of the instructions of a unit that write a state word, and of those that read one."""
    writes, reads = [], []
    for position, gate in enumerate(program.gates):
        for trip, instruction in enumerate(gate.instructions):
            time = (position + 1) * words - 1 + trip * path.ring
            if instruction.write_state:
                writes.append((time, instruction.write_slot))
            if instruction.reads_state:
                reads.append((time, instruction.read_slot))
    return writes, reads


def same_flow(program: Program, words: int, other: int, path: UnitPathLatencies) -> bool:
    """Whether a program made for rows of `words` words computes the same with rows of `other` words."""
    if len(set(ring_events(program, other, path))) < program.length:
        return False
    flows = []
    for count in (words, other):
        writes, reads = uses_of_registers(program, count, path)
        flow: list[object] = []
        for name in _PERIODS:
            if len(set(writes[name])) < len(writes[name]):
                return False
            for read in reads[name]:
                before = [write for write in writes[name] if write < read]
                flow.append(writes[name].index(max(before)) if before else None)
        state_writes, state_reads = state_events(program, count, path)
        for read, slot in state_reads:
            before = [write for write, where in state_writes if where == slot and write < read]
            if before and read - max(before) < path.state_distance:
                return False
            flow.append(state_writes.index((max(before), slot)) if before else None)
        flows.append(flow)
    return flows[0] == flows[1]


def smallest_interval(program: Program, words: int, path: UnitPathLatencies) -> int:
    """The least interval at which units can follow one another."""
    interval = max(1, len(program.gates) * words)
    while not follows(program, words, interval, path):
        interval += 1
        assert interval < _LARGEST, "units that are far enough apart never meet"
    return interval
