"""Kinds of phases: the little that cycles depend on of a phase, small enough to look up by.

Phases of different layers, parts and orders are of one kind where they have the same program and the same place in the
flow of data; what was found for one holds for all.
"""

from __future__ import annotations

from typing import NamedTuple

from hdl.latencies import GridLatencies
from rnn_mapper.cells.program import Program
from rnn_mapper.schedule.loop_nest import LoopNest
from rnn_mapper.schedule.phases import Phase
from rnn_mapper.schedule.timing import PhaseTiming

__all__ = ["Kind", "kind_of", "name_of", "program_of", "smallest_timing"]


class Kind(NamedTuple):
    """What the timing of a phase depends on, but for its split."""

    #: Number of its program among all that were seen: comparing programs takes longer than all the rest.
    program: int
    gates: int
    stores: bool
    #: It multiplies a vector of the step before, so that it has a timing of its own in the first step.
    previous: bool
    feeds_back: bool
    ends_output: bool


_NUMBERS: dict[Program, int] = {}
_PROGRAMS: list[Program] = []
#: Some phase of each kind, for the rules of the mapper to be asked with.
_PHASES: dict[Kind, Phase] = {}


def kind_of(phase: Phase) -> Kind:
    """The kind of a phase with a program."""
    number = _NUMBERS.get(phase.steps)
    if number is None:
        number = _NUMBERS[phase.steps] = len(_PROGRAMS)
        _PROGRAMS.append(phase.steps)
    kind = Kind(number, phase.gates, phase.stores, phase.previous, phase.feeds_back, phase.ends_output)
    _PHASES.setdefault(kind, phase)
    return kind


def program_of(kind: Kind) -> Program:
    """The program of phases of this kind."""
    return _PROGRAMS[kind.program]


def name_of(kind: Kind) -> str:
    """The name of some phase of this kind, for messages."""
    return _PHASES[kind].name


def smallest_timing(kind: Kind, words: int, latencies: GridLatencies, group_beats: int) -> PhaseTiming:
    """The timing of one unit in one chain: what the rules of the mapper are asked with."""
    nest = LoopNest(1, 1, 1, 1, 1, kind.gates, words)
    return PhaseTiming(_PHASES[kind], nest, latencies, group_beats, 0, (0,))
