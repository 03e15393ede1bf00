"""One part of a search: all mappings of one model on the grids of one height and one width of PCU.

The cycles of a mapping depend on the number of columns only through the columns that it may take, so each plan is
evaluated once and stands for every grid that is wide enough.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hdl.latencies import GridLatencies
from hdl.parameters import RANGES, GridParameters
from rnn_mapper.cells.unit_program import Preference
from rnn_mapper.errors import MappingError
from rnn_mapper.explore.adapter import Choice, Layers, Shape, Way, base_phases
from rnn_mapper.explore.plans import Plan, Plans
from rnn_mapper.loop_nest import ceil_div

__all__ = ["Found", "Part", "PartResult", "search_part"]

#: A layer is cut in two where that is among so many ways (with whole layers) whose phases are shortest.
CUTS = 8
#: Mappings kept for a grid: the fastest, and slower ones that take less memory.
KEPT = 4
#: A mapping that takes this much longer than the fastest is not worth any memory.
SLOWEST = 1.2


@dataclass(frozen=True)
class Part:
    """What `search_part` does; small enough to be sent to any machine."""

    shape: Shape
    steps: int
    orders: tuple[str, ...]
    rows: int
    lanes: int
    cols: tuple[int, ...]
    latencies: GridLatencies


@dataclass(frozen=True)
class Found:
    """A mapping and its exact cycles for the whole sequence."""

    cycles: int
    choice: Choice


@dataclass(frozen=True)
class PartResult:
    """For each number of columns the fastest mapping and some that take less memory, fastest first."""

    found: dict[int, list[Found]]
    #: Distinct (grid, mapping) that were compared, and distinct plans whose cycles were counted for that.
    mappings: int
    plans: int
    #: Those of `mappings` that were ruled out by a lower bound of their cycles.
    ruled_out: int

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "mappings": self.mappings, "plans": self.plans, "ruled_out": self.ruled_out,
            "found": {str(cols): [[f.cycles, f.choice.order, f.choice.layers, f.choice.programs] for f in kept]
                      for cols, kept in self.found.items()},
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> PartResult:
        """What `to_json` wrote. Raises `KeyError`, `TypeError` or `ValueError` for anything else."""
        found = {
            int(cols): [
                Found(int(cycles), Choice(order, tuple(tuple(map(tuple, parts)) for parts in layers), programs))
                for cycles, order, layers, programs in kept
            ]
            for cols, kept in values["found"].items()
        }
        return cls(found, int(values["mappings"]), int(values["plans"]), int(values["ruled_out"]))


class _Candidates:
    """The mappings that were compared for one grid."""

    def __init__(self) -> None:
        #: None where there is no timing, or a bound of the cycles says that it is not worth counting them.
        self.cycles: dict[Choice, int | None] = {}
        #: Memory and cycles of those that no other beats in all of them.
        self._front: list[tuple[int, int, int]] = []
        self._fastest = math.inf

    def skip(self, choice: Choice) -> None:
        """A mapping whose cycles need not be counted."""
        self.cycles.setdefault(choice, None)

    def add(self, choice: Choice, memory: tuple[int, int], cycles: int) -> None:
        """A mapping whose cycles were counted."""
        self.cycles[choice] = cycles
        self._fastest = min(self._fastest, cycles)
        if not self._has_beaten(memory, cycles):
            words, units = memory
            self._front = [other for other in self._front if other[0] < words or other[1] < units or other[2] < cycles]
            self._front.append((words, units, cycles))

    def is_beaten(self, memory: tuple[int, int], least: int) -> bool:
        """Whether a mapping that takes at least so many cycles cannot be kept."""
        return least > SLOWEST * self._fastest or self._has_beaten(memory, least)

    def _has_beaten(self, memory: tuple[int, int], cycles: int) -> bool:
        """Whether one that takes no more of anything has been counted before."""
        words, units = memory
        return any(a <= words and b <= units and c <= cycles for a, b, c in self._front)


def search_part(part: Part) -> PartResult:
    """Evaluate the mappings of a part."""
    return _Search(part).run()


class _Search:
    def __init__(self, part: Part) -> None:
        self.part = part
        parameters = GridParameters(rows=part.rows, cols=1, lanes=part.lanes, vector_depth=1 << 14)
        self.all_plans = Plans(part.shape, part.steps, parameters, part.latencies)
        #: The plan of each mapping, None where there is no timing.
        self.plans: dict[Choice, Plan | None] = {}
        self.compared = self.ruled_out = 0
        self.busy: dict[tuple[int, Way], int] = {}
        #: Weight words and units of a site.
        self.sizes: dict[tuple[int, Way], tuple[int, int]] = {}
        self.layers: list[list[Any]] = [[] for _ in part.shape.sizes]
        for phase in base_phases(part.shape, "fused", (1,) * len(part.shape.sizes)):
            self.layers[phase.group].append(phase)
        self.groups = [ceil_div(size, part.rows) for size in part.shape.sizes]

    def run(self) -> PartResult:
        found = {}
        for cols in self.part.cols:
            candidates = _Candidates()
            for order in self.part.orders:
                options = [self._options(layer, cols, order == "fused") for layer in range(len(self.layers))]
                # As the mapper does: a split that is best with some unit programs may not be with others.
                for preference in Preference:
                    self._search(order, preference.value, options, candidates)
            self.compared += len(candidates.cycles)
            self.ruled_out += sum(cycles is None for cycles in candidates.cycles.values())
            found[cols] = self._keep(
                {choice: cycles for choice, cycles in candidates.cycles.items() if cycles is not None})
        return PartResult(found, self.compared, self.all_plans.counted, self.ruled_out)

    def _search(self, order: str, programs: str, options: list[list[Way]], candidates: _Candidates) -> None:
        """Every way to map a single layer; of several layers one after the other until no change of one is better."""
        chosen = [ways[0] for ways in options]
        best = self._try(Choice(order, tuple(chosen), programs), candidates, None)
        improved = True
        while improved:
            improved = False
            for layer, ways in enumerate(options):
                for way in ways:
                    if way == chosen[layer]:
                        continue
                    layers = (*chosen[:layer], way, *chosen[layer + 1 :])
                    cycles = self._try(Choice(order, layers, programs), candidates, best)
                    if cycles is not None and (best is None or cycles < best):
                        best, chosen, improved = cycles, list(layers), True
            if len(options) == 1:
                break

    def _try(self, choice: Choice, candidates: _Candidates, best: int | None) -> int | None:
        """Cycles of a mapping; None where there is no timing, or where it takes too long to be kept."""
        memory = self._memory(choice.layers)
        # The search goes on from a mapping that is faster than the best, so one that may be must be known.
        needed = math.inf if best is None else best
        if choice not in self.plans:
            if self._is_read_too_long(choice, memory, candidates, needed):
                candidates.skip(choice)
                return None
            try:
                self.plans[choice] = self.all_plans.plan(choice)
            except MappingError:
                self.plans[choice] = None
        plan = self.plans[choice]
        if plan is None:
            candidates.skip(choice)
            return None
        while not plan.exact:
            if plan.least >= needed and candidates.is_beaten(memory, plan.least):
                candidates.skip(choice)
                return None
            plan.improve()
        candidates.add(choice, memory, plan.least)
        return plan.least

    def _is_read_too_long(
        self, choice: Choice, memory: tuple[int, int], candidates: _Candidates, best: float
    ) -> bool:
        """Whether reading the operands alone takes too many words or cycles."""
        reading, _ = memory
        if reading > RANGES["weight_depth"][1]:
            return True
        # Every step reads all operands, one phase after the other; only the first may be shorter.
        least = (self.part.steps - 1) * reading
        # A layer in two parts takes no less memory than one in one part, so it is kept only where it is the fastest.
        if least > best and any(len(way) > 1 for way in choice.layers):
            return True
        return least >= best and candidates.is_beaten(memory, least)

    def _options(self, layer: int, cols: int, cut: bool) -> list[Way]:
        """Ways to map a layer, those that read least first."""
        return sorted(self._ways(layer, cols, cut), key=lambda way: self._busy(layer, way))

    def _ways(self, layer: int, cols: int, cut: bool) -> Iterator[Way]:
        """Ways to lay a layer on this many columns: for each `ru` every number of chains that changes the units of a
        chain, and with `cut` the best ways to give the units that fill no chains a split of their own."""
        groups, widths = self.groups[layer], self._widths(layer, cols)
        widest = []
        for ru in widths:
            most = cols // ru
            few = ceil_div(groups, ceil_div(groups, most))
            widest.append(((groups, ru, few),))
            while most:
                chains = ceil_div(groups, ceil_div(groups, most))
                yield ((groups, ru, chains),)
                most = chains - 1
        if not cut:
            return
        cuts = []
        for ru in widths:
            chains = cols // ru
            filled = groups // chains * chains
            if not 0 < filled < groups:
                continue
            for other in widths:
                rest = groups - filled
                if other != ru:
                    few = ceil_div(rest, ceil_div(rest, cols // other))
                    cuts.append(((filled, ru, chains), (rest, other, few)))
        ranked = sorted([*widest, *cuts], key=lambda way: self._busy(layer, way))
        yield from (way for way in ranked[:CUTS] if len(way) > 1)

    def _widths(self, layer: int, cols: int) -> range:
        longest = max(ceil_div(phase.operand_size, self.part.lanes) for phase in self.layers[layer])
        return range(1, max(1, min(cols, longest)) + 1)

    def _busy(self, layer: int, way: Way) -> int:
        """Cycles in which the phases of a layer read; also its weight words in a site."""
        key = layer, way
        if key not in self.busy:
            self.busy[key] = sum(
                ceil_div(groups, chains) * phase.rows * ceil_div(ceil_div(phase.operand_size, self.part.lanes), ru)
                for groups, ru, chains in way for phase in self.layers[layer]
            )
        return self.busy[key]

    def _keep(self, candidates: dict[Choice, int]) -> list[Found]:
        """The fastest, and slower ones with fewer weight words and units in a site."""
        kept: list[Found] = []
        least: list[tuple[int, int]] = []
        ranked = sorted(
            ((cycles, *self._memory(choice.layers), choice) for choice, cycles in candidates.items()),
            key=lambda item: item[:3],
        )
        for cycles, words, units, choice in ranked:
            if cycles > SLOWEST * ranked[0][0] or len(kept) == KEPT:
                break
            if all(words < other or units < few for other, few in least):
                kept.append(Found(cycles, choice))
                least.append((words, units))
        return kept

    def _memory(self, layers: Layers) -> tuple[int, int]:
        """Weight words and units in a site."""
        words = units = 0
        for layer, way in enumerate(layers):
            key = layer, way
            if key not in self.sizes:
                self.sizes[key] = self._busy(layer, way), sum(ceil_div(groups, chains) for groups, _, chains in way)
            size = self.sizes[key]
            words += size[0]
            units += size[1]
        return words, units
