"""Area of a grid without synthesis: estimated from measured sample grids, only inside their range.

A grid consists of sites and the logic around them; a site consists of its dot product and the rest. The dot product
depends on `lanes` alone and is interpolated between measurements; the other two parts are linear in the sizes that they
depend on, fitted by least squares. Some of the measured grids are left out of the fit, and the stated error is the
error on these grids. Data and errors come from `scripts/explore_area.py`.

For a device, these sums of modules are not what counts: its flow flattens the whole grid, and an iCE40 packs LUTs and
flip-flops into logic cells. So they are scaled by the ratios to whole grids, flattened and packed, that
`scripts/whole_grids.py` has measured; the error on these grids is stated, too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hdl.layouts import Memory, memory_shape
from hdl.naming import SITE_INSTANCES
from hdl.parameters import GridParameters
from rnn_mapper.errors import ConfigurationError, SpatialRnnError
from rnn_mapper.explore.memories import memory_resources

__all__ = ["AreaModel", "OutOfRange", "area_model", "memory_bits", "memory_shapes"]

DATA = Path(__file__).parent / "data"
#: Fields that the area depends on and that have their default in every sample.
FIXED = ("table_segments", "operand_bits", "accumulator_bits", "tree_levels_per_register")
#: Fields limited to the range of the samples.
RANGED = ("rows", "cols", "lanes", "weight_depth", "vector_depth", "units", "gate_entries", "phases", "program_length")


#: Counts of a resource from which ratios of two counts are meaningful.
_FEW = 10


class OutOfRange(SpatialRnnError):
    """No area is known for a grid of this size."""


def _site_features(p: GridParameters) -> list[float]:
    addresses = p.weight_address_bits + p.vector_address_bits + p.unit_bits + p.gate_entry_bits + p.program_bits
    return [1.0, p.beat_bytes, addresses, p.lanes]


def _top_features(p: GridParameters) -> list[float]:
    return [1.0, p.rows, p.beat_bytes, p.phases, p.group_bits]


@dataclass(frozen=True)
class AreaError:
    """Relative errors of the whole grid's logic on the measured grids left out of the fit."""

    largest: float
    mean: float
    points: int


class AreaModel:
    """The area of grids for one target of `hdl.synthesis.area`; `values` is the data file's content."""

    def __init__(self, values: dict[str, Any], whole: Sequence[dict[str, Any]] = ()) -> None:
        self.target: str = values["target"]
        self.commit: str = values["commit"]
        self.kinds = ("gates", "ff") if self.target == "generic" else ("lut", "ff", "dsp")
        self.points: list[dict[str, Any]] = values["grids"]
        self.memories: list[dict[str, Any]] = values["memories"]
        known = [(GridParameters(**point["grid"]), point) for point in self.points]
        fitted = [(p, point) for p, point in known if point["fitted"]]
        self._range = {name: (min(getattr(p, name) for p, _ in fitted), max(getattr(p, name) for p, _ in fitted))
                       for name in RANGED}
        lanes: dict[int, dict[str, float]] = {p.lanes: point["dot_product"] for p, point in fitted}
        self._lanes = sorted(lanes)
        self._dots = {kind: [lanes[lane].get(kind, 0.0) for lane in self._lanes] for kind in self.kinds}
        self._site = {kind: _fit([_site_features(p) for p, _ in fitted], [q["site"][kind] for _, q in fitted])
                      for kind in self.kinds}
        self._top = {kind: _fit([_top_features(p) for p, _ in fitted], [q["top"][kind] for _, q in fitted])
                     for kind in self.kinds}
        self.errors = {kind: self._error(kind, [item for item in known if not item[1]["fitted"]])
                       for kind in self.kinds}
        #: Measured whole grids, by which estimates for a device are scaled, and the factor of each resource.
        self.whole = [(GridParameters(**one["grid"]), _counted(one["measured"])) for one in whole]
        self.factors: dict[str, float] = {}
        self.factors = {kind: self._factor(kind) for kind in ("lut", "ff", "bram") if self.whole}

    @property
    def memory_error(self) -> tuple[float, int, int]:
        """Ratio of the rule's block RAMs to Yosys's for the measured memories, minus 1; number of memories on which the
        two agree; and number of memories."""
        pairs = [
            (memory_resources(self.target, item["width"], item["depth"], item["slice"])["bram"], item["bram"])
            for item in self.memories
        ]
        total = sum(measured for _, measured in pairs)
        same = sum(rule == measured for rule, measured in pairs)
        return sum(rule for rule, _ in pairs) / max(1, total) - 1, same, len(pairs)

    def logic(self, p: GridParameters) -> dict[str, float]:
        """Gate equivalents, or LUTs and DSPs, and flip-flops of all logic without memories. Raises `OutOfRange`."""
        self.check(p)
        site, top = np.array(_site_features(p)), np.array(_top_features(p))
        return {
            kind: float(p.sites * (np.interp(p.lanes, self._lanes, self._dots[kind]) + site @ self._site[kind])
                        + top @ self._top[kind])
            for kind in self.kinds
        }

    def _factor(self, kind: str) -> float:
        """The ratio of whole grids to the sum of their modules, in the geometric mean."""
        ratios = [measured[kind] / self.resources(p)[kind] for p, measured in self.whole if measured[kind] >= _FEW]
        return float(np.exp(np.mean(np.log(ratios)))) if ratios else 1.0

    @property
    def whole_error(self) -> dict[str, float]:
        """The largest relative error of `resources` on the measured whole grids, by resource; empty without any.

        Of counts below `_FEW` a share says nothing.
        """
        return {
            kind: max(errors) for kind in self.factors if (errors := [
                abs(self.resources(p)[kind] / measured[kind] - 1) for p, measured in self.whole
                if measured[kind] >= _FEW
            ])
        }

    def resources(self, p: GridParameters) -> dict[str, float]:
        """What a whole grid takes: `logic` with the memories, their bits as "memory", and for an FPGA their block RAMs,
        LUTs (of an iCE40: logic cells) and flip-flops, scaled to flattened grids."""
        found = self.logic(p) | {"memory": memory_bits(p), "multipliers": p.multipliers}
        if self.target != "generic":
            found["bram"] = 0
            for (width, depth, part), count in memory_shapes(p):
                for kind, value in memory_resources(self.target, width, depth, part).items():
                    found[kind] = found.get(kind, 0) + count * value
        for kind, factor in self.factors.items():
            found[kind] = math.ceil(found[kind] * factor)
        return found

    def check(self, p: GridParameters) -> None:
        """Raise `OutOfRange` for a grid outside the measured range."""
        for name, (low, high) in self._range.items():
            if not low <= getattr(p, name) <= high:
                raise OutOfRange(f"{name} = {getattr(p, name)}: areas for {self.target} are known from {low} to {high}")
        for name in FIXED:
            if getattr(p, name) != getattr(GridParameters(), name):
                raise OutOfRange(f"{name} = {getattr(p, name)}: areas are known for the default only")

    def smallest(self, rows: int, cols: int, lanes: int) -> GridParameters:
        """The grid of this size with the smallest memories with known areas."""
        low = {name: self._range[name][0] for name in RANGED[3:]}
        low["vector_depth"] = max(low["vector_depth"], 2 << max(0, -(-rows // lanes) - 1).bit_length())
        return GridParameters(rows=rows, cols=cols, lanes=lanes, **low)

    def largest(self, rows: int, cols: int, lanes: int) -> GridParameters:
        """The grid of this size with the largest memories with known areas."""
        return GridParameters(rows=rows, cols=cols, lanes=lanes, **{name: self._range[name][1] for name in RANGED[3:]})

    def _error(self, kind: str, held: Sequence[tuple[GridParameters, dict[str, Any]]]) -> AreaError:
        errors = []
        for p, point in held:
            true = measured_total(point, kind)
            if true:
                errors.append(abs(self.logic(p)[kind] / true - 1))
        return AreaError(max(errors, default=0.0), sum(errors) / max(1, len(errors)), len(errors))


def _counted(measured: dict[str, float]) -> dict[str, float]:
    """The resources in the units of a device: an iCE40 counts logic cells, as nextpnr packs them."""
    return {**measured, "lut": measured.get("logic_cells", measured["lut"])}


def measured_total(point: dict[str, Any], kind: str) -> float:
    """The sum over the parts of a measured grid."""
    grid = point["grid"]
    sites = grid["rows"] * grid["cols"]
    inside = point["dot_product"].get(kind, 0.0) + point["site"].get(kind, 0.0)
    return float(sites * inside + point["top"].get(kind, 0.0))


def _fit(features: list[list[float]], values: list[float]) -> np.ndarray:
    matrix, wanted = np.array(features), np.array(values)
    # Relative errors are minimised, so that small grids are accurate as well.
    weights = 1 / np.maximum(np.abs(wanted), 1.0)
    return np.linalg.lstsq(matrix * weights[:, None], wanted * weights, rcond=None)[0]


@lru_cache(maxsize=8)
def area_model(target: str) -> AreaModel:
    """The model of a target, from the data that ships with the package. Raises `ConfigurationError` without data."""
    path = DATA / f"area_{target}.json"
    if not path.is_file():
        raise ConfigurationError(
            f"no areas are measured for the family {target}: make them with scripts/explore_area.py --target {target}"
        )
    whole = json.loads((DATA / "whole_grids.json").read_text(encoding="utf-8"))["grids"]
    return AreaModel(
        json.loads(path.read_text(encoding="utf-8")), [one for one in whole if one["target"] == target]
    )


@lru_cache(maxsize=256)
def memory_shapes(p: GridParameters) -> tuple[tuple[tuple[int, int, int], int], ...]:
    """(bits of a word, words, bits written at a time) of every kind of memory of a grid, and the number of such
    memories."""
    shapes: list[tuple[tuple[int, int, int], int]] = []
    for memory in Memory:
        width, depth, _ = memory_shape(p, memory)
        if memory == Memory.SCHEDULE:
            shapes.append(((width, depth, width), 1))
            continue
        part = width if memory == Memory.STATE else min(width, p.beat_bits)
        shapes.append(((width, depth, part), p.sites * len(SITE_INSTANCES[memory])))
    shapes.append(((16, p.stored_depth, 16), p.sites))
    shapes.append(((16 * p.rows, 2 * p.vector_groups, 16 * p.rows), 1))
    return tuple(shapes)


def memory_bits(p: GridParameters) -> int:
    """Total bits in all memories of a grid."""
    return sum(width * depth * count for (width, depth, _), count in memory_shapes(p))
