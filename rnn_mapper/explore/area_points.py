"""Measures the area of sample grids and memories with Yosys, for the data file of `area.py`.

Each distinct module is synthesised once: its text determines its area, so modules that are the same in several grids
cost nothing the second time.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hdl.output.package import make_package
from hdl.parameters import GridParameters, bits_for
from hdl.synthesis.flow import SynthesisFlow
from hdl.synthesis.netlists import MemoryShape
from hdl.synthesis.recipes import Measurement

__all__ = ["MEMORY_SHAPES", "SAMPLES", "measure_grids", "measure_memories", "resources_of", "samples_of"]

#: Time limit for one module, in seconds.
TIMEOUT = 900.0


def _grid(
    rows: int, cols: int, lanes: int, weight: int, vector: int, units: int, gates: int, phases: int
) -> dict[str, int]:
    return {
        "rows": rows, "cols": cols, "lanes": lanes, "weight_depth": weight, "vector_depth": vector, "units": units,
        "gate_entries": gates, "phases": phases, "schedule_depth": 2 * phases, "program_length": 4 * phases,
    }


#: Measured grids, and whether the model is fitted to them (the others are held out to state its error).
SAMPLES: tuple[tuple[bool, dict[str, int]], ...] = (
    (True, _grid(1, 1, 4, 256, 16, 16, 64, 4)),
    (True, _grid(1, 4, 8, 2048, 128, 256, 1024, 8)),
    (True, _grid(2, 2, 8, 512, 64, 64, 256, 8)),
    (True, _grid(2, 8, 16, 8192, 64, 32, 256, 16)),
    (True, _grid(4, 4, 4, 1024, 256, 128, 1024, 8)),
    (True, _grid(4, 2, 16, 2048, 128, 64, 512, 8)),
    (True, _grid(4, 16, 32, 512, 32, 16, 128, 4)),
    (True, _grid(8, 8, 8, 4096, 128, 64, 512, 16)),
    (True, _grid(8, 4, 32, 2048, 256, 32, 256, 8)),
    (True, _grid(16, 12, 64, 4096, 256, 64, 512, 8)),
    (True, _grid(16, 4, 16, 512, 32, 16, 128, 8)),
    (True, _grid(16, 2, 4, 1024, 512, 64, 512, 4)),
    (False, _grid(2, 4, 12, 1024, 64, 32, 256, 8)),
    (False, _grid(4, 6, 24, 4096, 64, 64, 512, 8)),
    (False, _grid(8, 2, 48, 1024, 128, 128, 1024, 8)),
    (False, _grid(1, 8, 16, 1024, 64, 64, 256, 4)),
    (False, _grid(8, 8, 16, 512, 64, 16, 128, 16)),
)
#: Indices in `SAMPLES` of the grids measured for FPGAs, where synthesis takes longer.
_FPGA_SAMPLES = (0, 1, 3, 4, 6, 8, 9, 11, 12, 13, 16)
_FEW_SAMPLES = {
    "ice40": (0, 3, 4, 8, 11, 12, 16), "ice40hx": (0, 2, 3, 4, 11, 12), "xilinx": (0, 3, 4, 8, 11, 12, 16),
}
#: Measured memories: bits of a word, words, bits of a slice written at a time.
MEMORY_SHAPES: tuple[tuple[int, int, int], ...] = (
    (16, 16, 16), (16, 64, 16), (16, 256, 16), (16, 1024, 16), (18, 16, 18), (18, 64, 16), (26, 256, 32),
    (28, 64, 16), (28, 256, 16), (28, 1024, 16), (41, 128, 16), (41, 512, 32), (41, 2048, 32), (32, 32, 8),
    (32, 64, 32), (32, 512, 8), (64, 64, 32), (64, 128, 32), (64, 512, 64), (64, 2048, 64), (83, 8, 16), (85, 16, 32),
    (65, 16, 65), (128, 64, 64), (128, 512, 32), (256, 256, 128), (256, 1024, 64), (128, 4096, 64),
)
_RAMB18 = {"RAMB18E1": 1, "RAMB36E1": 2}


def samples_of(target: str) -> list[tuple[bool, dict[str, int]]]:
    """The grids measured for a target."""
    places = range(len(SAMPLES)) if target == "generic" else _FEW_SAMPLES.get(target, _FPGA_SAMPLES)
    return [SAMPLES[place] for place in places]


class _Known:
    """Measurements by the text of the module, its interface partners and the target; each is made once."""

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}

    def of(self, flow: SynthesisFlow, name: str, text: str) -> Any:
        key = hashlib.sha256(f"{flow.target}\n{text}".encode()).hexdigest()
        if key not in self._found:
            self._found[key] = flow.module(name)
        return self._found[key]


def resources_of(measure: Measurement) -> dict[str, float]:
    """Figures of a measurement; Xilinx block RAMs in units of 18 kbit."""
    if measure.gate_equivalents is not None:
        return {"gates": measure.gate_equivalents, "ff": measure.flip_flops}
    found: dict[str, float] = dict(measure.resources)
    halves = sum(count * _RAMB18.get(cell, 0) for cell, count in measure.cells.items())
    return found | {"bram": halves} if halves else found


def measure_grids(
    target: str, samples: Iterable[tuple[bool, dict[str, int]]], progress: Callable[[str], None], jobs: int = 2
) -> list[dict[str, Any]]:
    """Figures of the dot product, of the rest of a site and of the logic outside the sites, without memories."""
    known = _Known()
    points = []
    for fitted, sizes in samples:
        parameters = GridParameters(**sizes)
        with tempfile.TemporaryDirectory(prefix="srnn_area_") as folder:
            make_package(parameters).write(Path(folder) / "grid")
            (Path(folder) / "work").mkdir()
            flow = SynthesisFlow(Path(folder) / "grid", target, None, Path(folder) / "work", TIMEOUT)

            def one(name: str, flow: SynthesisFlow = flow) -> Measurement:
                text = (flow.directory / flow.modules[name]["file"]).read_text(encoding="utf-8")
                measure: Measurement = known.of(flow, name, text)[0]
                return measure

            with ThreadPoolExecutor(jobs) as pool:
                measures = dict(zip(flow.modules, pool.map(one, flow.modules), strict=True))
            counts = {name: module["instances"] for name, module in flow.modules.items()}
        points.append({"fitted": fitted, "grid": sizes, **_parts(measures, counts, parameters.sites)})
        progress(f"{target}: {parameters.rows} x {parameters.cols} x {parameters.lanes}")
    return points


def _parts(measures: dict[str, Measurement], counts: dict[str, int], sites: int) -> dict[str, dict[str, float]]:
    """Figures by part: dot product, site and top. Modules inside a site are recognised by name, because with one site
    the number of instances does not distinguish them from modules outside."""
    parts: dict[str, Counter[str]] = {"dot_product": Counter(), "site": Counter(), "top": Counter()}
    for name, measure in measures.items():
        part = "dot_product" if name == "srnn_dot_product" else "site" if name in SITE_MODULES else "top"
        assert part == "top" or counts[name] % sites == 0, name
        times = counts[name] if part == "top" else counts[name] // sites
        parts[part].update({kind: times * value for kind, value in resources_of(measure).items()})
    return {part: dict(values) for part, values in parts.items()}


#: Modules inside a site.
SITE_MODULES = frozenset({
    "srnn_site", "srnn_pmu", "srnn_pcu", "srnn_sequencer", "srnn_gate_path", "srnn_unit_path", "srnn_requantiser",
    "srnn_activation_unit", "srnn_multiply_accumulate",
})


def measure_memories(
    target: str, shapes: Sequence[tuple[int, int, int]], progress: Callable[[str], None], jobs: int = 2
) -> list[dict[str, Any]]:
    """Figures of single memories on an FPGA; for Xilinx, where synthesis takes longest, only of every second memory."""
    shapes = shapes[::2] if target == "xilinx" else shapes
    with tempfile.TemporaryDirectory(prefix="srnn_area_") as folder:
        make_package(GridParameters(**SAMPLES[0][1])).write(Path(folder) / "grid")
        (Path(folder) / "work").mkdir()
        flow = SynthesisFlow(Path(folder) / "grid", target, None, Path(folder) / "work", TIMEOUT)

        def one(shape: tuple[int, int, int]) -> dict[str, Any]:
            width, depth, part = shape
            part = min(part, width)
            memory = MemoryShape(width, depth, bits_for(depth), part, bits_for(-(-width // part)))
            found = resources_of(flow.memory(memory))
            progress(f"{target}: memory of {depth} x {width}")
            return {"width": width, "depth": depth, "slice": part, **found}

        with ThreadPoolExecutor(jobs) as pool:
            return list(pool.map(one, shapes))
