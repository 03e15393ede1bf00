"""The choices of a mapping: how every unit group is cut into slices, and how each slice is laid over the grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rnn_mapper.cells.unit_program import Preference
from rnn_mapper.schedule.loop_nest import ceil_div
from rnn_mapper.schedule.phases import Phase

__all__ = ["Choice", "GroupWays", "UnitSlice", "Way"]

#: Number of ways to lay a unit group over a grid that come first: a group is cut only if the cut is one of them.
FOREMOST = 8


class UnitSlice(NamedTuple):
    """Some groups of a layer's hidden units, and their parallelism: `ru` PCUs for a matrix row, `chains` such chains
    in every row of the grid."""

    groups: int
    ru: int
    chains: int


#: The slices of a unit group, in the order in which they run.
Way = tuple[UnitSlice, ...]


class Choice(NamedTuple):
    """A mapping: the order of operations and the slices of every unit group."""

    #: Value of a `PhaseOrder`.
    schedule: str
    #: By unit group; the head is last.
    ways: tuple[Way, ...]
    #: The preferred unit programs: value of a `Preference`.
    programs: str = Preference.EARLY_RESULT.value

    def text(self, rows: int) -> str:
        """`hu` and `ru` of every slice."""
        texts = [
            " + ".join(f"{groups * rows}u: hu {chains * rows} ru {ru}" for groups, ru, chains in way)
            for way in self.ways
        ]
        return f"{self.schedule}; " + ", ".join(texts)


class GroupWays:
    """The ways to lay a unit group over grids with given rows and lanes."""

    def __init__(self, phases: Sequence[Phase], rows: int, lanes: int) -> None:
        """`phases` are the phases of the whole group."""
        self.groups = ceil_div(phases[0].units, rows)
        #: By phase: matrix rows of a unit, and vector words of a row.
        self._work = [(phase.rows, ceil_div(phase.operand_size, lanes)) for phase in phases]
        self._sizes: dict[Way, tuple[int, int]] = {}

    def widths(self, cols: int) -> range:
        """Every `ru` with which all PCUs of a chain have words."""
        return range(1, max(1, min(cols, max(words for _, words in self._work))) + 1)

    def size(self, way: Way) -> tuple[int, int]:
        """Cycles in which the phases of the group read (also its weight words in a site), and its units in a site."""
        known = self._sizes.get(way)
        if known is None:
            busy = sum(
                ceil_div(groups, chains) * rows * ceil_div(words, ru)
                for groups, ru, chains in way for rows, words in self._work
            )
            known = self._sizes[way] = busy, sum(ceil_div(groups, chains) for groups, _, chains in way)
        return known

    def busy(self, way: Way) -> int:
        """Cycles in which the phases of the group read."""
        return self.size(way)[0]

    def widest(self, widths: Sequence[int], cols: int) -> list[Way]:
        """The whole group with as many chains as useful, for each `ru`: further chains would only be farther away."""
        return [(_filling(self.groups, ru, cols // ru),) for ru in widths]

    def narrower(self, widths: Sequence[int], cols: int) -> Iterator[Way]:
        """The whole group, for each `ru` with every number of chains that changes the units of a chain."""
        for ru in widths:
            most = cols // ru
            while most:
                way = _filling(self.groups, ru, most)
                yield (way,)
                most = way.chains - 1

    def foremost(self, widths: Sequence[int], cols: int) -> list[Way]:
        """The ways that read least, among the widest and the cuts in two slices: one slice fills all its chains, and
        the rest is laid in another way."""
        found = self.widest(widths, cols)
        for ru in widths:
            chains = cols // ru
            filled = self.groups // chains * chains
            if 0 < filled < self.groups:
                found += [
                    (UnitSlice(filled, ru, chains), _filling(self.groups - filled, other, cols // other))
                    for other in widths if other != ru
                ]
        return sorted(found, key=self.busy)[:FOREMOST]


def _filling(groups: int, ru: int, most: int) -> UnitSlice:
    """The fewest chains with which a chain has as few units as with `most`."""
    return UnitSlice(groups, ru, ceil_div(groups, ceil_div(groups, most)))
