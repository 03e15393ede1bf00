"""Area of a generated grid: each distinct module is synthesised once, and its counts multiplied by its instances.

A module is synthesised with its sub-modules and memories as black boxes, so that its figures cover its own logic only.
On the generic target memories count in bits, not in gates; on FPGA targets each distinct memory is synthesised too.
"""

import tempfile
from collections import Counter, abc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hdl.errors import ConfigurationError
from hdl.synthesis.bare_dot_product import MODULE
from hdl.synthesis.flow import SynthesisFlow
from hdl.synthesis.netlists import MULTIPLIERS, Contents, MemoryShape, Operator
from hdl.synthesis.recipes import TARGETS, Liberty, Measurement
from hdl.synthesis.report import ModuleArea, SynthesisReport

#: Called with the name of a finished job, the number of finished jobs and the number of all jobs.
Progress = Callable[[str, int, int], None]
#: The module whose hierarchy is compared with a bare dot product.
PCU = "srnn_pcu"


def _quiet(what: str, done: int, total: int) -> None:
    return


def _instances(contents: abc.Mapping[str, Contents], top: str) -> Counter[str]:
    """Return the number of instances of each module in one instance of `top`, itself included."""
    counts: Counter[str] = Counter()

    def place(name: str, times: int) -> None:
        counts[name] += times
        for child, number in contents[name].children.items():
            place(child, times * number)

    place(top, 1)
    return counts


def _check_instances(modules: abc.Mapping[str, Any], counts: abc.Mapping[str, int]) -> None:
    for name, module in modules.items():
        if module["instances"] != counts.get(name, 0):
            raise ConfigurationError(
                f"manifest.json: {module['instances']} instances of {name}, the Verilog has {counts.get(name, 0)}; "
                "generate the grid again"
            )


def synthesise(
    directory: Path,
    target: str = "generic",
    liberty: Path | None = None,
    progress: Progress = _quiet,
    *,
    jobs: int = 2,
    timeout: float = 900.0,
) -> SynthesisReport:
    """Synthesise the generated grid in `directory` (its `manifest.json` names top, modules and parameters).

    `target` is "generic" (NAND2 equivalents, of the library's NAND2 when `liberty` names a Liberty file), "ice40",
    "ecp5" or "xilinx". `jobs` modules are synthesised at a time, each for at most `timeout` seconds.
    Raises `ConfigurationError` for a wrong target, library or directory and `ToolError` when Yosys fails.
    """
    if target not in TARGETS:
        raise ConfigurationError(f"target {target!r} is unknown: choose one of {', '.join(TARGETS)}")
    if liberty is not None and target != "generic":
        raise ConfigurationError(f"a Liberty file cannot be used with the target {target}: use the target 'generic'")
    library = Liberty.read(liberty) if liberty else None
    with tempfile.TemporaryDirectory(prefix="srnn_synthesis_") as folder:
        if library is not None:
            library = library.unpacked(Path(folder))
        flow = SynthesisFlow(directory, target, library, Path(folder), timeout)
        return _synthesise(flow, progress, jobs)


def _synthesise(flow: SynthesisFlow, progress: Progress, jobs: int) -> SynthesisReport:
    gates = flow.target == "generic"
    with_pcu = gates and PCU in flow.modules
    total = len(flow.modules) + with_pcu + gates
    done = 0

    def finished(what: str) -> None:
        nonlocal done
        done += 1
        progress(what, done, total)

    with ThreadPoolExecutor(jobs) as pool:
        try:
            bare = pool.submit(flow.bare) if with_pcu else None
            running = {name: pool.submit(flow.module, name) for name in flow.modules}
            measures: dict[str, Measurement] = {}
            contents: dict[str, Contents] = {}
            for name, job in running.items():
                measures[name], contents[name] = job.result()
                finished(name)
            counts = _instances(contents, flow.manifest["top"])
            _check_instances(flow.modules, counts)
            shapes = {shape for content in contents.values() for shape in content.memories}
            memories: dict[MemoryShape, Measurement] = {}
            sizes: dict[Operator, float] = {}
            if gates:
                sizes = flow.operators({operator for content in contents.values() for operator in content.operators})
                finished("operators")
            else:
                total += len(shapes)
                for shape, measure in zip(shapes, pool.map(flow.memory, shapes), strict=True):
                    memories[shape] = measure
                    finished(shape.name)
            reference = bare.result().gate_equivalents if bare else None
            if bare:
                finished(MODULE)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    areas = [_area(name, counts[name], measures[name], contents[name], sizes) for name in flow.modules]
    for shape in sorted(shapes):
        times = sum(counts[name] * content.memories[shape] for name, content in contents.items())
        areas.append(_memory_area(shape, times, memories.get(shape)))
    ratio = None
    if reference:
        within = _instances(contents, PCU)
        ratio = sum((measures[name].gate_equivalents or 0.0) * times for name, times in within.items()) / reference - 1
    return SynthesisReport(flow.target, flow.liberty.name if flow.liberty else None, areas, reference, ratio)


def _area(
    name: str, times: int, measure: Measurement, content: Contents, sizes: abc.Mapping[Operator, float]
) -> ModuleArea:
    area = ModuleArea(name, times, dict(sorted(measure.cells.items())), measure.gate_equivalents, measure.flip_flops)
    area.memory_bits = sum(shape.bits * number for shape, number in content.memories.items())
    area.resources = measure.resources
    if measure.gate_equivalents is not None:
        for operator, number in content.operators.items():
            if operator.kind in MULTIPLIERS:
                area.multipliers += sizes[operator] * number
            else:
                area.adders += sizes[operator] * number
    return area


def _memory_area(shape: MemoryShape, times: int, measure: Measurement | None) -> ModuleArea:
    # The bits of a memory are counted in the module that instantiates it.
    measure = measure or Measurement()
    area = ModuleArea(shape.name, times, dict(sorted(measure.cells.items())), None, measure.flip_flops, memory=True)
    area.resources = measure.resources
    return area
