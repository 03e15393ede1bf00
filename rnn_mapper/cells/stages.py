"""The stages of a cell, one for each operand from which on something can be computed, in the order of the operands.

A stage multiplies one vector and then runs a unit program. Rows that add products of several vectors belong to the
stage of the last one; the parts of the others are stored before. Values that a later stage needs go
through a state word of the unit. Every stage makes one vector, which goes to the multipliers, to the host or both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from rnn_mapper.cells.arithmetic import Accumulate, Activated, CellArithmetic, Fixed, Node, Operand, Read, Row, parts_of
from rnn_mapper.cells.errors import CellError
from rnn_mapper.cells.levels import Levels
from rnn_mapper.cells.unit_sets import StateWord, UnitSet, name_of_word, unit_sets_of

__all__ = ["Stage", "StoredPart", "stages_of"]


@dataclass(frozen=True, eq=False)
class StoredPart:
    """Products of one vector that are stored for the rows of a stage; added to what is there, if anything is."""

    operand: Operand
    rows: tuple[Row, ...]


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage of a cell."""

    index: int
    operand: Operand
    unit_set: UnitSet
    #: Rows whose last product is with `operand`.
    rows: tuple[Row, ...]
    #: Rows of earlier operands that only this stage uses: read beside a row, or given a row without weights.
    foreign: tuple[Row, ...]
    #: Values to compute, operands before what uses them.
    operations: tuple[Accumulate | Activated, ...]
    #: State words to write.
    writes: tuple[tuple[Node, StateWord], ...]
    #: State words to read.
    reads: tuple[tuple[Node, StateWord], ...]
    #: The vector it makes.
    result: Node
    #: What is stored before, in this order.
    stored: tuple[StoredPart, ...]

    @property
    def all_rows(self) -> tuple[Row, ...]:
        """Rows of this stage and foreign ones."""
        return (*self.rows, *self.foreign)


@cache
def stages_of(arithmetic: CellArithmetic, input_last: bool = False) -> tuple[Stage, ...]:
    """The stages of a cell; with `input_last` everything that does not depend on the input is computed before it comes.

    Both make the same vectors of the same bits. Raises CellError for a cell that has no such stages.
    """
    levels = Levels(arithmetic, input_last)
    if input_last:
        for row in arithmetic.rows:
            _check_sum(row, levels)
    for node in (arithmetic.output, *arithmetic.states.values()):
        if isinstance(node, (Read, Fixed)):
            raise CellError(f"{node.line}: a state or a parameter is returned unchanged; compute something from it")
    unit_sets = unit_sets_of(levels)
    return tuple(_stage(index, level, levels, unit_sets) for index, level in enumerate(levels.active))


def _stage(index: int, level: int, levels: Levels, unit_sets: dict[Node, UnitSet]) -> Stage:
    arithmetic, operand = levels.arithmetic, levels.operands[level]
    results = levels.results(level)
    if len(results) > 1:
        raise CellError(
            f"{results[0].line}: this vector and that of {results[1].line} are both needed, by products or by the "
            f"caller, as soon as {operand.text} is there; only one is possible"
        )
    rows = [row for row in arithmetic.rows if levels[row] == level]
    operations = [
        node for node in arithmetic.nodes if isinstance(node, (Accumulate, Activated)) and levels[node] == level
    ]
    needed = dict.fromkeys(part for node in operations for part in parts_of(node))
    foreign = [
        node for node in needed
        if isinstance(node, Row) and levels[node] < level and levels[node] not in levels.active
    ]
    unit_set = unit_sets[results[0]]
    for value in (*rows, *foreign, *operations):
        if unit_sets[value] is not unit_set:
            raise CellError(
                f"{value.line}: this value is ready at once with that of {results[0].line}, but no operation "
                "connects their units; only values of the same units can be computed together"
            )
    here = {*rows, *foreign, *operations}
    reads = [(node, unit_set.word(name_of_word(arithmetic, node))) for node in needed if node not in here]
    crossing = [node for node in (*rows, *operations) if levels.crosses(node)]
    writes: list[tuple[Node, StateWord]]
    writes = [(node, unit_set.word(name_of_word(arithmetic, node))) for node in crossing]
    writes += [(node, unit_set.word(name)) for name, node in arithmetic.states.items() if levels[node] == level]
    return Stage(
        index, operand, unit_set, tuple(rows), tuple(foreign), tuple(operations), tuple(writes), tuple(reads),
        results[0], _stored(levels.operands[:level], [*rows, *foreign]),
    )


def _check_sum(row: Row, levels: Levels) -> None:
    """Raise CellError if a row's products, of which each sum is limited, are not added in their order."""
    own = [product.operand for product in row.products]
    found = sorted(own, key=levels.operands.index)
    if {*own[:2]} != {*found[:2]} or own[2:] != found[2:]:
        raise CellError(
            f"{row.line}: the sum of {row.name} is limited to 16 bits after each product, so that the product with "
            "the input cannot be the last; add it in a line of its own, or use the fused schedule"
        )


def _stored(operands: Iterable[Operand], rows: list[Row]) -> tuple[StoredPart, ...]:
    """Products of the rows with earlier operands."""
    parts = []
    for operand in operands:
        stored = [row for row in rows if any(product.operand is operand for product in row.products)]
        if stored:
            parts.append(StoredPart(operand, tuple(stored)))
    return tuple(parts)
