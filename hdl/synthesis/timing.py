"""Static timing of a generated grid in a library of standard cells: Yosys maps, OpenSTA finds the longest path.

Wires have no delay, so that periods are lower bounds: what counts is their ratio. Memories are outside: what comes from
them or goes to them counts from the clock edge on, like the ports of a module. The top level, which connects the
modules, is not among them: a path through two of them is seen only inside a module that holds both, such as a site.
"""

import re
import subprocess
import tempfile
from collections.abc import Callable, Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any

from hdl.errors import ToolError
from hdl.grid.memory import MEMORY_MODULE
from hdl.output.yosys_worker import run_yosys
from hdl.synthesis.bare_dot_product import MODULE, bare_dot_product
from hdl.synthesis.flow import SynthesisFlow
from hdl.synthesis.recipes import PLAIN_REGISTERS, Liberty

__all__ = ["ModuleTiming", "TimingReport", "grid_timing", "sta_executable"]

#: Called with the name of a finished module, the number of finished modules and the number of all modules.
Progress = Callable[[str, int, int], None]

#: What is assembled of several pipelines, and the pipelines: each is mapped for itself, and the assembly is timed. ABC
#: gives up area where a path is shorter than the longest one of a netlist, however long that one is for another reason.
_ASSEMBLED = ("srnn_site", "srnn_pcu")
_PARTS = ("srnn_dot_product", "srnn_partial_chain", "srnn_gate_path", "srnn_unit_path")
#: Picoseconds that ABC aims at: less than any path, so that it always sizes gates for speed.
_TARGET_PS = 600
#: Capacitance at outputs, in the library's unit, and the period in which slack is measured.
_LOAD, _PERIOD = 10.0, 100.0


@dataclass(frozen=True)
class ModuleTiming:
    """The longest path of one module with all that it instantiates, except memories."""

    name: str
    #: Least period of the clock, in nanoseconds.
    period_ns: float
    #: Area of the cells, in the library's unit.
    area: float
    #: Register or port at the beginning and at the end of the path, by their names in the hierarchy.
    begins: str
    ends: str

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {
            "period_ns": round(self.period_ns, 3), "area": round(self.area, 1), "from": self.begins, "to": self.ends,
        }


@dataclass(frozen=True)
class TimingReport:
    """The timing of a grid."""

    liberty: str
    #: Of the bare dot product, the measure of all others.
    reference: ModuleTiming
    modules: Sequence[ModuleTiming]

    @property
    def worst(self) -> ModuleTiming:
        """The module that limits the clock."""
        return max(self.modules, key=lambda module: module.period_ns)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "liberty": self.liberty,
            "reference": {"module": self.reference.name, **self.reference.to_json()},
            "modules": {
                module.name: {**module.to_json(), "ratio": round(module.period_ns / self.reference.period_ns, 3)}
                for module in self.modules
            },
            "period_ns": round(self.worst.period_ns, 3),
            "ratio": round(self.worst.period_ns / self.reference.period_ns, 3),
        }


def sta_executable() -> str:
    """The path of OpenSTA. Raises `ToolError` when it is not installed."""
    found = which("sta")
    if found is None:
        raise ToolError("sta (OpenSTA) is not installed: install Debian's package opensta, or build it from source")
    return found


def grid_timing(
    directory: Path, liberty: Path, progress: Progress, *, only: Container[str] | None = None, jobs: int = 2,
    timeout: float = 1800.0,
) -> TimingReport:
    """The timing of the generated grid in `directory` in the library `liberty`; of the modules `only`, if given.

    Raises `ConfigurationError` for a wrong library or directory, and `ToolError` when Yosys or OpenSTA fails.
    """
    sta_executable()
    with tempfile.TemporaryDirectory(prefix="srnn_timing_") as name:
        folder = Path(name)
        library = Liberty.read(liberty).unpacked(folder)
        flow = SynthesisFlow(directory, "generic", library, folder, timeout)
        p = flow.manifest["parameters"]
        sources = {
            module: (directory / entry["file"]).read_text(encoding="utf-8")
            for module, entry in flow.modules.items() if module != flow.manifest["top"]
        }
        memory = flow.memory_file.read_text(encoding="utf-8")
        bare = bare_dot_product(p["lanes"], p["accumulator_bits"], p["tree_levels_per_register"], p["operand_bits"])
        tasks = {MODULE: {MODULE: bare}}
        tasks |= {
            module: {**sources, MEMORY_MODULE: memory} for module in sources if only is None or module in only
        }
        found: dict[str, ModuleTiming] = {}
        with ThreadPoolExecutor(jobs) as pool:
            try:
                running = {
                    module: pool.submit(_measure, module, files, library, folder / module, timeout)
                    for module, files in tasks.items()
                }
                for done, (module, job) in enumerate(running.items(), 1):
                    found[module] = job.result()
                    progress(module, done, len(tasks))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return TimingReport(library.name, found.pop(MODULE), list(found.values()))


def _measure(module: str, sources: dict[str, str], library: Liberty, folder: Path, timeout: float) -> ModuleTiming:
    folder.mkdir()
    for name, text in sources.items():
        (folder / f"{name}.v").write_text(text, encoding="utf-8")
    driver = f"set_driving_cell {library.buffer}\n" if library.buffer else ""
    (folder / "constraints").write_text(f"{driver}set_load {_LOAD} [all_outputs]\n", encoding="utf-8")
    cells = f'-liberty "{library.path}"'
    # The clock of a memory is no output of the module.
    outside = [] if MEMORY_MODULE not in sources else [
        f"select {module}/t:*{MEMORY_MODULE}", "expose -evert", "select -clear", f"delete -output {module}/w:*.clk",
    ]
    parts = [part for part in _PARTS if part in sources and part != module and module in _ASSEMBLED]
    run_yosys([
        *(f"read_verilog -D SYNTHESIS {name}.v" for name in sources), f"hierarchy -check -top {module}",
        f"setattr -mod -set keep_hierarchy 1 *{MEMORY_MODULE} {' '.join(parts)}", "proc", "flatten", *outside,
        f"synth -booth -noabc -top {module}", *PLAIN_REGISTERS, f"dfflibmap {cells}", "opt",
        f"abc {cells} -D {_TARGET_PS} -constr constraints",
        *([f"setattr -mod -unset keep_hierarchy {' '.join(parts)}", "flatten"] if parts else []), "opt_clean -purge",
        f"tee -o area.json stat -json {cells}", "splitnets -ports",
        "write_verilog -noattr -noexpr -simple-lhs netlist.v",
    ], f"mapping of {module}", folder, timeout)
    # OpenSTA 2.0 does not know `signed`.
    netlist = (folder / "netlist.v").read_text(encoding="utf-8").replace(" signed ", " ")
    (folder / "netlist.v").write_text(netlist, encoding="utf-8")
    clock = f"create_clock -name clk -period {_PERIOD}"
    if re.search(r"^\s*input clk\s*;", netlist, re.MULTILINE):
        clock += " [get_ports clk]"
    (folder / "timing.tcl").write_text("\n".join([
        f"read_liberty {{{library.path}}}", "read_verilog netlist.v", f"link_design {module}", clock,
        "set_input_delay 0 -clock clk [all_inputs]", "set_output_delay 0 -clock clk [all_outputs]",
        "report_checks -path_delay max -digits 4", "exit", "",
    ]))
    return _read(module, netlist, folder, timeout)


def _read(module: str, netlist: str, folder: Path, timeout: float) -> ModuleTiming:
    try:
        done = subprocess.run(
            [sta_executable(), "-exit", "timing.tcl"], cwd=folder, capture_output=True, text=True, check=False,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise ToolError(f"timing of {module}: OpenSTA took more than {timeout:.0f} s") from None
    slack = re.search(r"(-?[\d.]+)\s+slack", done.stdout)
    begins = re.search(r"Startpoint: (\S+)", done.stdout)
    ends = re.search(r"Endpoint: (\S+)", done.stdout)
    if slack is None or begins is None or ends is None:
        last = (done.stdout + done.stderr).strip().splitlines()[-1:]
        raise ToolError(f"timing of {module}: OpenSTA found no path ({' '.join(last)})")
    area = re.search(r'"area":\s*([\d.]+)', (folder / "area.json").read_text())
    outputs: dict[str, str] = dict(re.findall(r"^ *\w+ (\S+) \((?:[^;]*?)\.Q\(\\?([^)]*?) ?\)", netlist, re.MULTILINE))
    return ModuleTiming(
        module, _PERIOD - float(slack[1]), float(area[1]) if area else 0.0,
        outputs.get(begins[1], begins[1]), outputs.get(ends[1], ends[1]),
    )
