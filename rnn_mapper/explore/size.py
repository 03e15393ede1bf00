"""One part of a search: all mappings of one model on the grids of one height and one width of PCU.

The cycles of a mapping depend on the number of columns only through the columns that it may take, so each plan is
evaluated once and stands for every grid that is wide enough.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters
from rnn_mapper.cells.unit_program import Preference
from rnn_mapper.explore.adapter import Choice, Layers, Shape, Way, base_phases
from rnn_mapper.explore.candidates import Found, Trial, fastest, kept
from rnn_mapper.explore.plans import Plans
from rnn_mapper.schedule.loop_nest import ceil_div

__all__ = ["Found", "Part", "PartResult", "search_part"]

#: A layer is cut in two where that is among so many ways (with whole layers) whose phases are shortest.
CUTS = 8


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


def search_part(part: Part) -> PartResult:
    """Evaluate the mappings of a part."""
    with _uncollected():
        return _Search(part).run()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no garbage: what a search makes is kept to its end, and looking through it takes a sixth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Search:
    def __init__(self, part: Part) -> None:
        self.part = part
        parameters = GridParameters(rows=part.rows, cols=1, lanes=part.lanes, vector_depth=1 << 14)
        self.all_plans = Plans(part.shape, part.steps, parameters, part.latencies)
        self.trials: dict[Choice, Trial] = {}
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
            #: The mappings that were compared for this grid, in the order in which the search came to them.
            grid: dict[Choice, Trial] = {}
            for order in self.part.orders:
                options = [self._options(layer, cols, order == "fused") for layer in range(len(self.layers))]
                # As the mapper does: a split that is best with some unit programs may not be with others.
                for preference in Preference:
                    self._search(order, preference.value, options, grid)
            found[cols] = kept(grid.values())
            self.compared += len(grid)
            self.ruled_out += sum(not trial.exact for trial in grid.values())
        return PartResult(found, self.compared, self.all_plans.counted, self.ruled_out)

    def _search(self, order: str, programs: str, options: list[list[Way]], grid: dict[Choice, Trial]) -> None:
        """Every way to map a single layer; of several layers one after the other until no change of one is better."""
        layers = tuple(ways[0] for ways in options)
        # The mapping to begin with is compared with those of the first layer.
        best, unknown = math.inf, [Choice(order, layers, programs)]
        improved = True
        while improved:
            improved = False
            for layer, ways in enumerate(options):
                before, after = layers[:layer], layers[layer + 1 :]
                choices = unknown + [Choice(order, (*before, way, *after), programs) for way in ways]
                found, unknown = self._better(choices, best, grid), []
                if found is not None:
                    improved |= found.choice.layers != layers
                    best, layers = found.least, found.choice.layers
            if len(options) == 1:
                break

    def _better(self, choices: list[Choice], best: float, grid: dict[Choice, Trial]) -> Trial | None:
        """The fastest of some mappings, if it is faster than the best of those before."""
        trials = []
        for choice in choices:
            # Those that were compared before are no faster than the best.
            if choice not in grid:
                grid[choice] = trial = self._trial(choice)
                trials.append(trial)
        found = fastest(trials, best)
        if found is not None:
            best = found.least
        for trial in trials:
            # A layer in two parts is kept only where it may be the fastest: it saves cycles, not memory.
            if (self.part.steps - 1) * trial.words <= best or all(len(way) == 1 for way in trial.choice.layers):
                trial.worthwhile = True
        return found

    def _trial(self, choice: Choice) -> Trial:
        trial = self.trials.get(choice)
        if trial is None:
            trial = self.trials[choice] = Trial(self.all_plans, choice, *self._memory(choice.layers))
        return trial

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
