"""Place and route of a whole generated grid, out of context: Yosys maps it, nextpnr places and routes it.

The clock that comes out belongs to a seed of the placer: seeds differ by several percent. Pins are not constrained, and
paths from and to pins do not count: a grid is a part of a design.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any

from hdl.errors import ConfigurationError, ToolError, did_you_mean
from hdl.output.yosys_worker import run_yosys
from hdl.synthesis.flow import SynthesisFlow

__all__ = ["PLACE_AND_ROUTE_TARGETS", "PathStep", "PlacedGrid", "Target", "check_target", "place_and_route"]

#: Called with what has been done, the number of steps that are done, and the number of all steps.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Target:
    """A device that nextpnr knows."""

    #: The device, for the user.
    device: str
    #: Yosys' command, and what makes it use logic instead of multiplier blocks, or blocks.
    synthesis: str
    multipliers: dict[str, str]
    #: nextpnr, and its options for the device.
    tool: str
    options: tuple[str, ...]
    #: Resources of nextpnr's report by the names used here, and how many each counts.
    resources: "_Resources"


_Resources = dict[str, tuple[tuple[str, int], ...]]
_ECP5_RESOURCES: _Resources = {
    "lut": (("TRELLIS_COMB", 1),), "ff": (("TRELLIS_FF", 1),), "dsp": (("MULT18X18D", 1),), "ebr": (("DP16KD", 1),),
}
_ICE40_RESOURCES: _Resources = {
    "lut": (("ICESTORM_LC", 1),), "ff": (), "dsp": (), "ebr": (("ICESTORM_RAM", 1),),
}
_ECP5 = ("synth_ecp5", {"dsp": "", "lut": "-nodsp"}, "nextpnr-ecp5")
_ICE40 = ("synth_ice40", {"dsp": "", "lut": ""}, "nextpnr-ice40")
PLACE_AND_ROUTE_TARGETS: dict[str, Target] = {
    "ecp5": Target(
        "LFE5U-85F, speed grade 6", *_ECP5,
        ("--85k", "--package", "CABGA756", "--speed", "6", "--lpf-allow-unconstrained", "--router", "router2"),
        _ECP5_RESOURCES,
    ),
    "ecp5-25k": Target(
        "LFE5U-25F, speed grade 6", *_ECP5,
        ("--25k", "--package", "CABGA381", "--speed", "6", "--lpf-allow-unconstrained", "--router", "router2"),
        _ECP5_RESOURCES,
    ),
    "ice40hx": Target("iCE40HX8K", *_ICE40, ("--hx8k", "--package", "ct256", "--pcf-allow-unconstrained"),
                      _ICE40_RESOURCES),
}
#: Clock that the placer aims at, in MHz: more than any grid reaches, so that it never rests.
_TARGET_MHZ = 150


@dataclass(frozen=True)
class PathStep:
    """A part of the critical path."""

    #: Component of the grid, by its names in the hierarchy.
    component: str
    #: Delay of its logic, and of the wires to the next part, in nanoseconds.
    logic_ns: float
    routing_ns: float


@dataclass(frozen=True)
class PlacedGrid:
    """A placed and routed grid."""

    target: str
    device: str
    seed: int
    fmax_mhz: float
    #: Used and available, by "lut", "ff", "dsp" and "ebr"; LUTs with those that carry chains and distributed RAM take.
    used: dict[str, int]
    available: dict[str, int]
    #: The critical path, component by component.
    path: Sequence[PathStep]

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {
            "target": self.target, "device": self.device, "seed": self.seed, "fmax_mhz": round(self.fmax_mhz, 2),
            **self.used, "available": self.available,
            "path": [
                {"component": step.component, "logic_ns": round(step.logic_ns, 2),
                 "routing_ns": round(step.routing_ns, 2)} for step in self.path
            ],
        }


def place_and_route(
    directory: Path, target: str, seeds: Sequence[int], progress: Progress, *, folder: Path, multipliers: str = "dsp",
    jobs: int = 1, timeout: float = 3600.0,
) -> list[PlacedGrid]:
    """The generated grid in `directory`, placed and routed on `target` with each seed; in the order of the seeds.

    `multipliers` is "dsp" or "lut"; `folder` is for working files. Raises `ConfigurationError` for a wrong target or
    directory, or a grid that the device does not hold, and `ToolError` when a tool fails.
    """
    check_target(target)
    chosen = PLACE_AND_ROUTE_TARGETS[target]
    tool = _executable(chosen.tool)
    flow = SynthesisFlow(directory, target.split("-")[0], None, folder, timeout)
    top = flow.manifest["top"]
    files = [*flow.source_files(), flow.memory_file]
    progress("synthesis", 0, 1 + len(seeds))
    run_yosys([
        *(f'read_verilog -D SYNTHESIS "{file}"' for file in files), f"hierarchy -check -top {top}",
        f"{chosen.synthesis} {chosen.multipliers[multipliers]} -top {top} -json grid.json",
    ], "synthesis of the grid", folder, timeout)
    progress("synthesis", 1, 1 + len(seeds))
    with ThreadPoolExecutor(jobs) as pool:
        running = [pool.submit(_route, chosen, target, tool, seed, folder, timeout) for seed in seeds]
        placed = []
        try:
            for done, job in enumerate(running, 2):
                placed.append(job.result())
                progress(f"seed {placed[-1].seed}", done, 1 + len(seeds))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return placed


def check_target(target: str) -> None:
    """Raise `ConfigurationError` for an unknown target."""
    if target not in PLACE_AND_ROUTE_TARGETS:
        raise ConfigurationError(
            f"target {target!r} is unknown: choose one of {', '.join(PLACE_AND_ROUTE_TARGETS)}"
            f"{did_you_mean(target, PLACE_AND_ROUTE_TARGETS)}"
        )


def _executable(tool: str) -> str:
    """nextpnr of the system, or of the wheel in the environment of this interpreter."""
    wheel = Path(sys.executable).parent / f"yowasp-{tool}"
    found = which(tool) or (str(wheel) if wheel.is_file() else which(f"yowasp-{tool}"))
    if found is None:
        raise ToolError(f"{tool} is not installed: pip install 'spatial-rnn[devices]' brings it")
    return found


def _route(chosen: Target, name: str, tool: str, seed: int, folder: Path, timeout: float) -> PlacedGrid:
    report = folder / f"report_{seed}.json"
    command = [
        tool, *chosen.options, "--json", "grid.json", "--report", report.name, "--detailed-timing-report",
        "--timing-allow-fail", "--freq", str(_TARGET_MHZ), "--seed", str(seed),
    ]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise ToolError(f"seed {seed}: {chosen.tool} took more than {timeout:.0f} s") from None
    if done.returncode != 0 or not report.is_file():
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = errors[0].removeprefix("ERROR:").strip() if errors else f"exit status {done.returncode}"
        if any("place" in line or "utilisation" in line or "BEL" in line for line in errors):
            raise ConfigurationError(f"the grid does not fit {chosen.device}: {reason}; choose a smaller grid")
        raise ToolError(f"seed {seed}: {chosen.tool} failed: {reason}")
    content = json.loads(report.read_text(encoding="utf-8"))
    used, available = ({
        kind: sum(each * content["utilization"].get(cell, {}).get(which_, 0) for cell, each in cells)
        for kind, cells in chosen.resources.items()
    } for which_ in ("used", "available"))
    fmax = max(clock["achieved"] for clock in content["fmax"].values())
    return PlacedGrid(name, chosen.device, seed, fmax, used, available, _critical_path(content))


def _critical_path(content: dict[str, Any]) -> list[PathStep]:
    """The slowest path between two registers, by component."""
    paths = [
        path["path"] for path in content.get("critical_paths", [])
        if path["from"].startswith("posedge") and path["to"].startswith("posedge")
    ]
    if not paths:
        return []
    slowest = max(paths, key=lambda path: sum(step["delay"] for step in path))
    found: list[list[Any]] = []
    for step in slowest:
        component = _component(step["from"]["cell"] if step["type"] == "routing" else step["to"]["cell"])
        if not found or found[-1][0] != component:
            found.append([component, 0.0, 0.0])
        found[-1][2 if step["type"] == "routing" else 1] += step["delay"]
    return [PathStep(*one) for one in found]


def _component(cell: str) -> str:
    """The component of a cell, from its flattened name: instances and the signal that the cell makes."""
    name = re.split(r"_(?:TRELLIS|LUT4|PFUMX|L6MUX21|CCU2C|SB_|MULT18X18D)|\$", cell)[0]
    return name or "(shared logic)"
