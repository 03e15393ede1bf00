"""The Yosys jobs of one synthesis: modules, memories, operators and the bare dot product."""

import json
from collections import abc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hdl.errors import ConfigurationError
from hdl.grid.memory import MEMORY_SOURCE
from hdl.output.yosys_worker import run_yosys
from hdl.parameters import GridParameters
from hdl.synthesis.bare_dot_product import MODULE, bare_dot_product
from hdl.synthesis.netlists import Contents, MemoryShape, Operator, read_contents
from hdl.synthesis.recipes import BOX, MEMORY, Liberty, Measurement, mapping_passes, measure_source, read_measurement


class SynthesisFlow:
    """The jobs of one synthesis; `folder` is for their working files."""

    def __init__(self, directory: Path, target: str, liberty: Liberty | None, folder: Path, timeout: float) -> None:
        # Yosys runs in another folder, so names relative to this one would not be found.
        self.directory = directory.absolute()
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

    def source_files(self) -> list[Path]:
        """The files of all modules but the memory."""
        return sorted({(self.directory / module["file"]).absolute() for module in self.modules.values()})

    def module(self, name: str) -> tuple[Measurement, Contents]:
        """Synthesise one module with everything it instantiates as black boxes."""
        others = [other for other in self.modules if other != name]
        # The module's own file is read first and alone, and mapped before anything else: Yosys numbers the objects it
        # creates, and ABC's result varies by some percent with the numbers. So every module goes through exactly the
        # passes of the bare dot product.
        own = self.directory / self.modules[name]["file"]
        passes = [f'read_verilog "{own}"']
        passes += [f'read_verilog -lib "{path}"' for path in self.source_files() if path not in (own, self.memory_file)]
        passes += [f'read_verilog -lib "{self.memory_file}"'] if self.memory_file.is_file() else []
        passes.append(f"hierarchy -check -top {name}")
        # Kept even when nothing reads their outputs: the count covers the hierarchy as written.
        passes += [f"setattr -set {BOX} 1 -set keep 1 t:{box}" for box in [*others, MEMORY]]
        passes += ["design -save read", *mapping_passes(name, self.target, self.liberty, f"{name}.stat")]
        passes += ["design -load read", "proc", "flatten", "opt_expr", "opt_clean", "wreduce", "opt_clean"]
        passes.append(f"write_json {name}.json")
        run_yosys(passes, f"synthesis of module {name}", self.folder, self.timeout)
        contents = read_contents(self.folder / f"{name}.json", name, set(others), MEMORY)
        return read_measurement(self.folder / f"{name}.stat", name, self.target, self.liberty), contents

    def memory(self, shape: MemoryShape) -> Measurement:
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
        return read_measurement(self.folder / f"{shape.name}.stat", shape.name, self.target, None)

    def bare(self) -> Measurement:
        """Synthesise the bare dot product, the reference for the PCU."""
        p = self.manifest["parameters"]
        text = bare_dot_product(p["lanes"], p["accumulator_bits"], p["tree_levels_per_register"], p["operand_bits"])
        # A folder of its own: the grid may have a module of this name, which is measured at the same time.
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
        gates: dict[Operator, float] = {}
        for operator, name in names.items():
            measurement = read_measurement(self.folder / f"{name}.stat", name, "generic", self.liberty)
            gates[operator] = measurement.gate_equivalents or 0.0
        return gates


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
            raise ConfigurationError(f"{file}: listed in {path} but missing; generate the grid again")
    return manifest


def parameters_of(directory: Path) -> GridParameters:
    """The parameters of a generated grid. Raises `ConfigurationError`."""
    return GridParameters.from_mapping(_read_manifest(directory)["parameters"], "manifest.json")
