"""Place and route of a whole generated grid, out of context: Yosys maps it, nextpnr places and routes it.

The clock that comes out belongs to a seed of the placer: seeds differ by several percent. A grid is a part of a design,
which `harness` stands for: paths from and to its ports count, and its registers do not count as resources.
"""

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any

from hdl.errors import ConfigurationError, ToolError, did_you_mean
from hdl.output.yosys_worker import run_yosys
from hdl.synthesis.flow import SynthesisFlow
from hdl.synthesis.harness import GRID_INSTANCE, HARNESS, RESPONSE, STIMULUS, harness_verilog
from hdl.synthesis.recipes import FLATTEN, ICE40_TO_BLOCKS

__all__ = [
    "PLACE_AND_ROUTE_TARGETS", "PathStep", "PlacedGrid", "Target", "check_target", "place_and_route",
]

#: Called with what has been done, the number of steps that are done, and the number of all steps.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Target:
    """A device that nextpnr knows."""

    #: The device, for the user.
    device: str
    #: Yosys' command with its options for multiplier blocks, and those for logic in their place.
    synthesis: str
    in_logic: str
    #: Multiplier blocks of the device, bits of their operands, and passes before `synthesis` that map products to them.
    blocks: int
    block_bits: int
    to_blocks: tuple[str, ...]
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
_ICE40UP_RESOURCES: _Resources = {**_ICE40_RESOURCES, "dsp": (("ICESTORM_DSP", 1),)}
_ECP5 = ("synth_ecp5", "-nodsp")


def _ecp5(size: str, package: str, blocks: int) -> Target:
    return Target(
        f"LFE5U-{size}F, speed grade 6", *_ECP5, blocks, 18, (), "nextpnr-ecp5",
        (f"--{size}k", "--package", package, "--speed", "6", "--lpf-allow-unconstrained", "--router", "router2"),
        _ECP5_RESOURCES,
    )


PLACE_AND_ROUTE_TARGETS: dict[str, Target] = {
    "ecp5": _ecp5("85", "CABGA756", 156),
    "ecp5-45k": _ecp5("45", "CABGA381", 72),
    "ecp5-25k": _ecp5("25", "CABGA381", 28),
    "ice40up5k": Target(
        "iCE40UP5K", "synth_ice40 -device u -spram", "", 8, 16, ICE40_TO_BLOCKS, "nextpnr-ice40",
        ("--up5k", "--package", "sg48", "--pcf-allow-unconstrained"), _ICE40UP_RESOURCES,
    ),
    "ice40hx": Target(
        "iCE40HX8K", "synth_ice40", "", 0, 16, (), "nextpnr-ice40",
        ("--hx8k", "--package", "ct256", "--pcf-allow-unconstrained"), _ICE40_RESOURCES,
    ),
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
    """The generated grid in `directory`, placed and routed on `target` with each seed; in the order of the seeds. Seeds
    that are not routed within `timeout` seconds are missing, but never all.

    `multipliers` is "dsp" (in blocks), "lut" (in logic), or "mixed" (in blocks until there are no more, the wide ones
    first); `folder` is for working files. Raises `ConfigurationError` for a wrong target or directory, or a grid that
    the device does not hold, and `ToolError` when a tool fails.
    """
    check_target(target)
    chosen = PLACE_AND_ROUTE_TARGETS[target]
    tool = _executable(chosen.tool)
    flow = SynthesisFlow(directory, chosen.synthesis.split()[0].removeprefix("synth_"), None, folder, timeout)
    progress("synthesis", 0, 1 + len(seeds))
    _synthesise(flow, chosen, multipliers, folder, timeout)
    around = _registers_around(json.loads((folder / "grid.json").read_text(encoding="utf-8")))
    progress("synthesis", 1, 1 + len(seeds))
    with ThreadPoolExecutor(jobs) as pool:
        running = [pool.submit(_route, chosen, target, tool, seed, folder, timeout, around) for seed in seeds]
        placed = []
        try:
            for done, (seed, job) in enumerate(zip(seeds, running, strict=True), 2):
                with suppress(_NotRouted):
                    placed.append(job.result())
                progress(f"seed {seed}", done, 1 + len(seeds))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if not placed:
        raise ToolError(
            f"{chosen.tool} took more than {timeout:.0f} s with every seed; choose other seeds or a smaller grid"
        )
    return placed


class _NotRouted(Exception):
    """A seed with which the router does not come to an end in time."""


def _synthesise(flow: SynthesisFlow, chosen: Target, multipliers: str, folder: Path, timeout: float) -> None:
    """Write grid.json, the netlist of the grid in its harness."""
    (folder / "harness.v").write_text(harness_verilog(flow.manifest), encoding="utf-8")
    files = [*flow.source_files(), flow.memory_file, Path("harness.v")]
    read = [*(f'read_verilog -D SYNTHESIS "{file}"' for file in files), f"hierarchy -check -top {HARNESS}"]
    to_blocks = list(chosen.to_blocks) if multipliers != "lut" else []
    mapping = f"{chosen.synthesis} {chosen.in_logic if multipliers == 'lut' else ''} -top {HARNESS} -json grid.json"
    if multipliers != "mixed" or not chosen.blocks:
        passes = [*FLATTEN, *to_blocks] if to_blocks else []
        run_yosys([*read, *passes, mapping], "synthesis of the grid", folder, timeout)
        return
    passes = [*read, *FLATTEN, "write_json flat.json", "write_rtlil flat.il"]
    run_yosys(passes, "reading of the grid", folder, timeout)
    in_logic = _in_logic(json.loads((folder / "flat.json").read_text(encoding="utf-8")), chosen)
    (folder / "in_logic.txt").write_text("".join(f"{HARNESS}/{cell}\n" for cell in in_logic), encoding="utf-8")
    # Yosys' own name for products that its mapping to blocks leaves alone; the first part would not know it.
    leave = ["select -read in_logic.txt", "chtype -set $__soft_mul", "select -clear"] if in_logic else []
    run_yosys([
        "read_rtlil flat.il", f"{mapping} -run begin:coarse", *leave, *to_blocks, f"{mapping} -run coarse:",
    ], "synthesis of the grid", folder, timeout)


def _in_logic(netlist: dict[str, Any], chosen: Target) -> list[str]:
    """The multipliers that the blocks of the device do not suffice for: those of the dot products, whose logic is the
    cheapest, and that are the most."""

    def parts(bits: int) -> int:
        """Blocks for the width of an operand; Yosys leaves a last part of one bit to logic."""
        return -(-(bits - 1) // chosen.block_bits)

    blocks = {
        name: math.prod(parts(int(cell["parameters"][width], 2)) for width in ("A_WIDTH", "B_WIDTH"))
        for name, cell in netlist["modules"][HARNESS]["cells"].items() if cell["type"] == "$mul"
    }
    narrow = [name for name in blocks if "dot_product" in name]
    free = chosen.blocks - sum(blocks.values()) + len(narrow)
    return narrow[max(0, free) :]


def _registers_around(netlist: dict[str, Any]) -> tuple[int, int]:
    """Flip-flops of the harness: at the inputs of the grid and at its outputs."""
    module = netlist["modules"][HARNESS]
    made = {cell["connections"]["Q"][0] for cell in module["cells"].values() if "Q" in cell["connections"]}
    inputs, outputs = (len(made & set(module["netnames"][name]["bits"])) for name in (STIMULUS, RESPONSE))
    return inputs, outputs


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


def _route(
    chosen: Target, name: str, tool: str, seed: int, folder: Path, timeout: float, around: tuple[int, int]
) -> PlacedGrid:
    report = folder / f"report_{seed}.json"
    command = [
        tool, *chosen.options, "--json", "grid.json", "--report", report.name, "--detailed-timing-report",
        "--timing-allow-fail", "--freq", str(_TARGET_MHZ), "--seed", str(seed),
    ]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise _NotRouted from None
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
    # An iCE40's logic cell has both, and packs a register at an output into the cell that drives it.
    used["ff" if chosen.resources["ff"] else "lut"] -= sum(around) if chosen.resources["ff"] else around[0]
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
    if name.split("[")[0] in (STIMULUS, RESPONSE):
        return "(ports)"
    return name.removeprefix(f"{GRID_INSTANCE}.") or "(shared logic)"
