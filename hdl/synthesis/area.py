"""Area of a generated grid: each distinct module is synthesised once, and its counts multiplied by its instances.

A module is synthesised with its sub-modules and memories as black boxes, so its figures are those of its own logic.
For the generic target a memory is bits, not gates; for FPGA targets each distinct memory is synthesised as well.
"""

import json
import tempfile
from collections import Counter, abc
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hdl.errors import ConfigurationError
from hdl.grid.memory import MEMORY_SOURCE
from hdl.output.yosys_worker import run_yosys
from hdl.synthesis.bare_dot_product import MODULE, bare_dot_product
from hdl.synthesis.netlists import MULTIPLIERS, Contents, MemoryShape, Operator, read_contents
from hdl.synthesis.recipes import BOX, MEMORY, TARGETS, Liberty, Measure, mapping_passes, measure_source, read_measure
from hdl.synthesis.report import ModuleArea, SynthesisReport

#: Called with what was finished, the number of finished jobs and the number of all jobs.
Progress = Callable[[str, int, int], None]
#: The module whose hierarchy is compared with a bare dot product.
PCU = "srnn_pcu"


def _quiet(what: str, done: int, total: int) -> None:
    return


class _Flow:
    """The jobs of one synthesis; `folder` takes their working files."""

    def __init__(self, directory: Path, target: str, liberty: Liberty | None, folder: Path, timeout: float) -> None:
        self.directory = directory
        self.target = target
        self.liberty = liberty
        self.folder = folder
        self.timeout = timeout
        self.manifest = _read_manifest(directory)
        self.modules: dict[str, Any] = {name: m for name, m in self.manifest["modules"].items() if name != MEMORY}
        self.memory_file = self._memory_file()

    def _memory_file(self) -> Path:
        entry = self.manifest["modules"].get(MEMORY)
        for path in ([self.directory / entry["file"]] if entry else []) + [self.directory / "memory.v"]:
            if path.is_file():
                return path.absolute()
        return MEMORY_SOURCE

    def _files(self) -> list[Path]:
        return sorted({(self.directory / module["file"]).absolute() for module in self.modules.values()})

    def module(self, name: str) -> tuple[Measure, Contents]:
        """Synthesise one module with everything it instantiates as black boxes."""
        others = [other for other in self.modules if other != name]
        # Its own file first and alone, and mapping before anything else: Yosys numbers what it makes, and ABC's result
        # depends on the numbers by some percent. So every module meets exactly the recipe of the bare dot product.
        own = self.directory / self.modules[name]["file"]
        passes = [f'read_verilog "{own}"']
        passes += [f'read_verilog -lib "{path}"' for path in self._files() if path not in (own, self.memory_file)]
        passes += [f'read_verilog -lib "{self.memory_file}"'] if self.memory_file.is_file() else []
        passes.append(f"hierarchy -check -top {name}")
        # Kept even when nothing reads their outputs: the hierarchy is counted as it was written.
        passes += [f"setattr -set {BOX} 1 -set keep 1 t:{box}" for box in [*others, MEMORY]]
        passes += ["design -save read", *mapping_passes(name, self.target, self.liberty, f"{name}.stat")]
        passes += ["design -load read", "proc", "flatten", "opt_expr", "opt_clean", "wreduce", "opt_clean"]
        passes.append(f"write_json {name}.json")
        run_yosys(passes, f"synthesis of module {name}", self.folder, self.timeout)
        contents = read_contents(self.folder / f"{name}.json", name, set(others), MEMORY)
        return read_measure(self.folder / f"{name}.stat", name, self.target, self.liberty), contents

    def memory(self, shape: MemoryShape) -> Measure:
        """Synthesise a memory for an FPGA."""
        values = {
            "WIDTH": shape.width, "DEPTH": shape.depth, "ADDRESS_BITS": shape.address_bits,
            "SLICE": shape.slice, "SLICE_BITS": shape.slice_bits,
        }  # fmt: skip
        chosen = " ".join(f"-chparam {name} {value}" for name, value in values.items())
        passes = [f'read_verilog "{self.memory_file}"', f"hierarchy -top {MEMORY} {chosen}"]
        passes.append(f"rename -top {shape.name}")
        passes += mapping_passes(shape.name, self.target, None, f"{shape.name}.stat")
        run_yosys(passes, f"synthesis of memory {shape.name}", self.folder, self.timeout)
        return read_measure(self.folder / f"{shape.name}.stat", shape.name, self.target, None)

    def bare(self) -> Measure:
        """Synthesise the dot product that the PCU is compared with."""
        p = self.manifest["parameters"]
        text = bare_dot_product(p["lanes"], p["accumulator_bits"], p["tree_levels_per_register"], p["operand_bits"])
        # A folder of its own: the grid may hold a module of this name, measured at the same time.
        folder = self.folder / "bare"
        folder.mkdir()
        return measure_source(text, MODULE, folder, self.liberty, self.timeout)

    def operators(self, operators: Iterable[Operator]) -> dict[Operator, float]:
        """Synthesise each operator alone and return its gate equivalents."""
        names = {operator: f"operator_{index}" for index, operator in enumerate(sorted(operators))}
        passes: list[str] = []
        for operator, name in names.items():
            (self.folder / f"{name}.v").write_text(operator.verilog(name))
            passes += [f"read_verilog {name}.v", *mapping_passes(name, "generic", self.liberty, f"{name}.stat")]
            passes.append("design -reset")
        run_yosys(passes, "synthesis of the operators", self.folder, self.timeout)
        measures = {o: read_measure(self.folder / f"{n}.stat", n, "generic", self.liberty) for o, n in names.items()}
        return {operator: measure.gate_equivalents or 0.0 for operator, measure in measures.items()}


def _read_manifest(directory: Path) -> abc.Mapping[str, Any]:
    path = directory / "manifest.json"
    try:
        manifest = json.loads(path.read_text())
        files = [directory / module["file"] for module in manifest["modules"].values()]
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}; name a directory that 'generate' wrote") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{path}: not the manifest of a grid ({error!r}); generate the grid again") from error
    for file in files:
        if not file.is_file():
            raise ConfigurationError(f"{file}: named by {path} and missing; generate the grid again")
    return manifest


def _instances(contents: abc.Mapping[str, Contents], top: str) -> Counter[str]:
    """Return how many instances of each module there are below and including one instance of `top`."""
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

    `target` is "generic" (NAND2 equivalents; those of the library when `liberty` names a Liberty file), "ice40",
    "ecp5" or "xilinx". `jobs` modules are synthesised at a time, each for at most `timeout` seconds.
    Raises `ConfigurationError` for a wrong target, library or directory and `ToolError` when Yosys fails.
    """
    if target not in TARGETS:
        raise ConfigurationError(f"target {target!r} is unknown: choose one of {', '.join(TARGETS)}")
    if liberty is not None and target != "generic":
        raise ConfigurationError(f"a Liberty file does not go with the target {target}: use the target 'generic'")
    library = Liberty.read(liberty) if liberty else None
    with tempfile.TemporaryDirectory(prefix="srnn_synthesis_") as folder:
        flow = _Flow(directory, target, library, Path(folder), timeout)
        return _synthesise(flow, progress, jobs)


def _synthesise(flow: _Flow, progress: Progress, jobs: int) -> SynthesisReport:
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
            measures: dict[str, Measure] = {}
            contents: dict[str, Contents] = {}
            for name, job in running.items():
                measures[name], contents[name] = job.result()
                finished(name)
            counts = _instances(contents, flow.manifest["top"])
            _check_instances(flow.modules, counts)
            shapes = {shape for content in contents.values() for shape in content.memories}
            memories: dict[MemoryShape, Measure] = {}
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
    return SynthesisReport(flow.target, str(flow.liberty.path.name) if flow.liberty else None, areas, reference, ratio)


def _area(
    name: str, times: int, measure: Measure, content: Contents, sizes: abc.Mapping[Operator, float]
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


def _memory_area(shape: MemoryShape, times: int, measure: Measure | None) -> ModuleArea:
    # Its bits are counted in the module that holds it.
    measure = measure or Measure()
    area = ModuleArea(shape.name, times, dict(sorted(measure.cells.items())), None, measure.flip_flops, memory=True)
    area.resources = measure.resources
    return area
