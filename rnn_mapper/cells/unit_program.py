"""Unit programs: a stage's operations as instructions of the unit path, found by search.

The search (`unit_search`) tries every order of the rows and every use of the registers, programs with few instructions
first; a preference says which of the shortest programs is best.
"""

from __future__ import annotations

import enum
from functools import lru_cache

from hdl.latencies import UnitPathLatencies
from rnn_mapper.cells.arithmetic import Row
from rnn_mapper.cells.errors import CellError
from rnn_mapper.cells.program import Program
from rnn_mapper.cells.stages import Stage
from rnn_mapper.cells.unit_needs import StageNeeds
from rnn_mapper.cells.unit_search import UnitSearch
from rnn_mapper.cells.unit_timing import same_flow, smallest_interval

__all__ = ["WORDS_LIMIT", "Preference", "unit_program"]

#: With more words a row, all that a row starts is over before the next arrives: the program is the same.
WORDS_LIMIT = 24
#: Rows of a unit in one phase (`gates` of hdl.layouts.phase_layout).
GATES_LIMIT = 8
#: Instructions beyond one for each operation that the search allows.
_SPARE_INSTRUCTIONS = 6
#: Row lengths for which programs are searched with much effort, if there is none for the rows as they are.
_LENGTHS = (8, 12, 16)
#: From so many instructions on, a stage may be hard: a search that finds nothing takes seconds.
_HARD_INSTRUCTIONS = 6
#: More than any interval.
_NEVER = 1 << 13


class Preference(enum.Enum):
    """Which of the shortest programs of a stage is best; the mapper predicts which preference pays."""

    #: Units follow one another closely, and a result comes early.
    EARLY_RESULT = "early result"
    #: Rows of one word are possible, as they are in the first step of a cleared sequence.
    SHORT_START = "short start"
    #: The same, and the last row makes the result: results of a chain are farther from the rows of the next phase.
    LAST_ROW = "last row"


class Effort(enum.Enum):
    """Situations that the search looks at before it gives up on a length of programs, round by round.

    Few at first, because longer programs are often found sooner and no later in time.
    """

    NONE = ()
    LITTLE = (3_000,)
    MUCH = (3_000, 8_000)


def unit_program(
    stage: Stage, words: int, path: UnitPathLatencies, separate: bool = False,
    preference: Preference = Preference.EARLY_RESULT,
) -> tuple[Program, int]:
    """The best program of a stage with `words` vector words a row, and the words it needs, at least `words`.

    A stage with many operations may need rows that take longer than their products. With `separate` all rows were
    stored and the foreign ones are rows like others. Gates of the program are numbered as `stage.all_rows`.
    Raises CellError if there is no program at all.
    """
    given = min(words, WORDS_LIMIT)
    # What works with the longest rows often works with others, but a search for these rows may find better ones.
    first = Effort.NONE if _is_hard(stage, path, separate) else Effort.LITTLE
    attempts = [(given, first), *((length, Effort.MUCH) for length in _LENGTHS if length >= given)]
    attempts += [(length, Effort.NONE) for length in range(given, WORDS_LIMIT + 1)]
    for length, effort in attempts:
        program = _best(stage, length, effort, path, separate, preference)
        if program is not None:
            return program, max(words, length)
    raise AssertionError("the longest rows have a program, or an error was raised")


def _is_hard(stage: Stage, path: UnitPathLatencies, separate: bool) -> bool:
    """Whether little effort finds no program for rows of a usual length, so that it would be in vain for each other."""
    least = min(StageNeeds(stage, rows).least_instructions for rows in _choices_of_rows(stage, separate))
    return least >= _HARD_INSTRUCTIONS and not _candidates(
        stage, _LENGTHS[0], Effort.LITTLE, path, separate
    )


def _choices_of_rows(stage: Stage, separate: bool) -> list[tuple[Row, ...]]:
    """The rows that arrive in the phase: first the stage's own, with the foreign ones read beside them."""
    return [stage.rows, stage.all_rows] if stage.foreign and not separate else [stage.all_rows]


@lru_cache(maxsize=4096)
def _best(
    stage: Stage, words: int, effort: Effort, path: UnitPathLatencies, separate: bool, preference: Preference
) -> Program | None:
    """The best program for these rows that a search finds, or else of those for the longest rows, or None."""
    if words == WORDS_LIMIT:
        effort = Effort.MUCH
    programs = _candidates(stage, words, effort, path, separate)
    if not programs and effort is not Effort.MUCH:
        longest = _candidates(stage, WORDS_LIMIT, Effort.MUCH, path, separate)
        programs = [program for program in longest if same_flow(program, WORDS_LIMIT, words, path)]
    return min(
        programs, key=lambda program: _cost(program, words, path, preference), default=None
    )


def _cost(
    program: Program, words: int, path: UnitPathLatencies, preference: Preference
) -> tuple[int, ...]:
    """The sort key of a program: the least is best."""
    gate, trips = program.emitting
    ends = max(
        position * words + (len(step.instructions) - 1) * path.ring
        for position, step in enumerate(program.gates) if step.instructions
    )
    # The interval between units with rows of one word, if these are possible.
    shortest = smallest_interval(program, 1, path) if same_flow(program, words, 1, path) else _NEVER
    cost = smallest_interval(program, words, path), gate * words + trips * path.ring, shortest, ends
    if preference is Preference.EARLY_RESULT:
        return cost
    if preference is Preference.SHORT_START:
        return int(shortest == _NEVER), *cost
    return int(shortest == _NEVER), int(gate < len(program.gates) - 1), *cost


@lru_cache(maxsize=4096)
def _candidates(
    stage: Stage, words: int, effort: Effort, path: UnitPathLatencies, separate: bool
) -> list[Program]:
    """Programs that a search finds. Raises CellError if the longest rows have none."""
    choices_of_rows = _choices_of_rows(stage, separate)
    if len(choices_of_rows[0]) > GATES_LIMIT:
        raise CellError(
            f"{stage.result.line}: {len(choices_of_rows[0])} rows of a unit are needed at once for what begins with "
            f"{stage.operand.text}, {len(choices_of_rows[0]) - GATES_LIMIT} more than the {GATES_LIMIT} that a phase "
            "has; compute fewer values from one vector"
        )
    for rows in choices_of_rows:
        if len(rows) > GATES_LIMIT:
            continue
        for situations in effort.value:
            programs = _searched(stage, rows, words, situations, path, separate)
            if programs:
                return programs
    if words < WORDS_LIMIT:
        return []
    raise CellError(
        f"{stage.result.line}: no program of the unit path computes what begins with {stage.operand.text}: its "
        "registers (two held values and one addend) are too few for these operations; compute fewer values at once"
    )


@lru_cache(maxsize=4096)
def _searched(
    stage: Stage, rows: tuple[Row, ...], words: int, situations: int, path: UnitPathLatencies, separate: bool
) -> list[Program]:
    """The shortest programs among so many situations for each length, or none."""
    search = UnitSearch(stage, rows, words, path, separate)
    least = search.needs.least_instructions
    for budget in range(least, least + _SPARE_INSTRUCTIONS + 1):
        programs = search.run(budget, situations)
        if programs:
            return programs
    return []
