"""Addresses of the epilogue programs in the program memory.

The low bits of an instruction's address select the state word of its unit that it reads, so an instruction that reads
the state cannot be at any address. Phases with the same instructions share one copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count

from rnn_mapper.cells.program import Instruction, Program

__all__ = ["ProgramPlace", "place_programs"]

#: Addresses of the instructions of each gate of a program, in order.
ProgramPlace = tuple[tuple[int, ...], ...]


def place_programs(
    programs: Sequence[Program | None], destinations: Sequence[int], state_words: int, reserved: int = 0
) -> list[ProgramPlace]:
    """The place of each program (empty for None), whose results go `destinations` behind their units.

    The first `reserved` addresses belong to other models. Instructions that read a state word take the lowest free
    address that selects the word; all other instructions fill the remaining addresses.
    """
    keys = [_key(program, place) for program, place in zip(programs, destinations, strict=True)]
    placed: dict[object, dict[tuple[int, int], int]] = {key: {} for key in keys}
    taken = set(range(reserved))
    chains = {key: program.chains if program else () for key, program in zip(keys, programs, strict=True)}
    for reading in (True, False):
        for key, gates in chains.items():
            for gate, number, instruction in _numbered(gates):
                if instruction.reads_state == reading:
                    first, step = (instruction.read_slot, state_words) if reading else (0, 1)
                    if first >= state_words:
                        raise AssertionError(f"{instruction.text}: reads state word {first} of {state_words}")
                    address = next(address for address in count(first, step) if address not in taken)
                    taken.add(address)
                    placed[key][gate, number] = address
    return [
        tuple(
            tuple(placed[key][gate, number] for number in range(len(chain))) for gate, chain in enumerate(chains[key])
        )
        for key in keys
    ]


def _numbered(gates: Sequence[Sequence[Instruction]]) -> Iterator[tuple[int, int, Instruction]]:
    for gate, chain in enumerate(gates):
        for number, instruction in enumerate(chain):
            yield gate, number, instruction


def _key(program: Program | None, destination: int) -> object:
    """Key of programs that share a copy: everything in their words."""
    if program is None:
        return None
    return tuple(tuple(replace(op, text="") for op in chain) for chain in program.chains), destination
