"""Yosys passes that measure one module on each target, and the reader of their statistics."""

import gzip
import json
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from hdl.errors import ConfigurationError
from hdl.output.yosys_worker import run_yosys

#: Passes that map products to an iCE40's multiplier blocks, without the registers and adders around them: with those,
#: `synth_ice40 -dsp` (Yosys 0.70) loses one of two products that go through registers into a sum.
ICE40_TO_BLOCKS = (
    "techmap -map +/mul2dsp.v -map +/ice40/dsp_map.v -D DSP_A_MAXWIDTH=16 -D DSP_B_MAXWIDTH=16 -D DSP_A_MINWIDTH=2 "
    "-D DSP_B_MINWIDTH=2 -D DSP_Y_MINWIDTH=11 -D DSP_NAME=$__MUL16X16",
    "chtype -set $mul t:$__soft_mul",
)
#: "ice40hx" is for the devices of the family without DSPs: multipliers use LUTs.
TARGETS = ("generic", "ice40", "ecp5", "xilinx", "ice40hx")
MEMORY = "srnn_memory"
#: Attribute of the instances that are counted elsewhere: sub-modules and memories.
BOX = "srnn_box"
#: Transistors of a two-input NAND gate in CMOS.
_NAND2_TRANSISTORS = 4

#: Passes that leave flip-flops without set, reset, enable and power-up value: those of generated modules have a value,
#: and the target's have none.
PLAIN_REGISTERS = ("setattr -unset init", "dfflegalize -cell $_DFF_P_ x")

#: Passes that make one flat module of what is read, so that others can look at all its multipliers at once.
FLATTEN = ("proc", "flatten", "opt_expr", "opt_clean", "wreduce", "opt_clean")
_FPGA: dict[str, tuple[str, ...]] = {
    "ice40": (*FLATTEN, *ICE40_TO_BLOCKS, "synth_ice40 -top {top}"),
    "ice40hx": ("synth_ice40 -top {top}",),
    "ecp5": ("synth_ecp5 -top {top}",),
    "xilinx": ("synth_xilinx -flatten -noiopad -noclkbuf -top {top}",),
}
#: Resource, pattern of the full names of cells that use it, and how many each cell uses (a RAM slice uses LUTs).
_RESOURCES: tuple[tuple[str, str, int], ...] = (
    ("lut", r"SB_LUT4|LUT[1-6]", 1),
    ("lut", r"CCU2C", 2),
    ("lut", r"TRELLIS_DPR16X4|RAM32M|RAM64M", 4),
    ("ff", r"SB_DFF\w*|TRELLIS_FF|FD[RSCP]E(_1)?", 1),
    ("dsp", r"SB_MAC16|MULT18X18D|DSP48E1", 1),
    ("bram", r"SB_RAM40_4K\w*|DP16KD|PDPW16KD|RAMB18E1|RAMB36E1", 1),
)


@dataclass(frozen=True)
class Liberty:
    """A library of standard cells in a Liberty file, which may be compressed by gzip."""

    #: As Yosys reads it, and the name of the file.
    path: Path
    name: str
    #: Area of the smallest two-input NAND cell, in the library's unit.
    nand2_area: float
    #: Names of the cells that are flip-flops.
    flip_flops: frozenset[str]
    #: The smallest buffer but one, as a usual driver of inputs; None if the library has no two.
    buffer: str | None

    @classmethod
    def read(cls, path: Path) -> "Liberty":
        """Read a Liberty file; raise `ConfigurationError` when it cannot be read or has no two-input NAND cell."""
        try:
            text = re.sub(r"/\*.*?\*/", " ", _text_of(path), flags=re.DOTALL)
        except (OSError, EOFError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigurationError(f"{path}: cannot be read ({reason}); name a Liberty file") from error
        areas: dict[str, float] = {}
        flip_flops: set[str] = set()
        # Cells do not nest: each ends where the next begins.
        for name, body in re.findall(r'\bcell\s*\(\s*"?(\w+)"?\s*\)(.*?)(?=\bcell\s*\(|\Z)', text, re.DOTALL):
            if area := re.search(r"\barea\s*:\s*([\d.eE+-]+)", body):
                areas[name] = float(area.group(1))
            if re.search(r"\bff\s*\(", body):
                flip_flops.add(name)
        nands = [area for name, area in areas.items() if re.search(r"nand_?2(?!\d)", name, re.IGNORECASE) and area > 0]
        if not nands:
            raise ConfigurationError(f"{path}: has no two-input NAND cell with an area; name another Liberty file")
        buffers = sorted((area, name) for name, area in areas.items() if re.search(r"(?<![a-z])buf_?x?\d", name, re.I))
        buffer = buffers[1][1] if len(buffers) > 1 else None
        return cls(path.absolute(), path.name, min(nands), frozenset(flip_flops), buffer)

    def unpacked(self, folder: Path) -> "Liberty":
        """The same library in a file that Yosys reads; a compressed one is written to `folder`."""
        if self.path.suffix != ".gz":
            return self
        plain = folder / self.path.stem
        plain.write_text(_text_of(self.path), encoding="utf-8")
        return replace(self, path=plain)


def _text_of(path: Path) -> str:
    if path.suffix == ".gz":
        with gzip.open(path, "rt", errors="replace") as file:
            return file.read()
    return path.read_text(errors="replace")


@dataclass
class Measurement:
    """One synthesised module: its own logic, without its sub-modules and memories."""

    #: Cells after mapping, by type.
    cells: Counter[str] = field(default_factory=Counter)
    #: NAND2 equivalents; None for the FPGA targets.
    gate_equivalents: float | None = None
    flip_flops: int = 0
    #: FPGA resources: "lut", "ff", "dsp", "bram"; empty for the generic target.
    resources: dict[str, int] = field(default_factory=dict)


def mapping_passes(top: str, target: str, liberty: Liberty | None, statistics: str) -> list[str]:
    """Return passes that map module `top`, remove its black boxes and write `stat` to the file `statistics`."""
    if target in _FPGA:
        return [*(each.format(top=top) for each in _FPGA[target]), *_drop_boxes(), f"tee -o {statistics} stat -json"]
    passes = [f"synth -flatten -booth -top {top}", *PLAIN_REGISTERS]
    if liberty:
        library = f'-liberty "{liberty.path}"'
        passes += [f"dfflibmap {library}", f"abc {library}", "opt_clean", *_drop_boxes()]
        return [*passes, f"tee -o {statistics} stat -json {library}"]
    return [*passes, "abc -g cmos4", "opt_clean", *_drop_boxes(), f"tee -o {statistics} stat -json -tech cmos"]


def _drop_boxes() -> list[str]:
    # Only when the logic around them is final; then `stat` can count all that is left. Black boxes of the target's own
    # library stay: they are its cells.
    return [f"delete a:{BOX}"]


def read_measurement(statistics: Path, top: str, target: str, liberty: Liberty | None) -> Measurement:
    """Read the statistics that the passes of `mapping_passes` wrote."""
    content = json.loads(statistics.read_text())
    # A module without any cell has no entry.
    module = content["modules"].get("\\" + top, {})
    cells = Counter({name: int(count) for name, count in module.get("num_cells_by_type", {}).items()})
    if target in _FPGA:
        used = {"lut": 0, "ff": 0, "dsp": 0, "bram": 0}
        for resource, pattern, each in _RESOURCES:
            used[resource] += each * sum(count for name, count in cells.items() if re.fullmatch(pattern, name))
        return Measurement(cells, None, used["ff"], used)
    if liberty:
        flip_flops = sum(count for name, count in cells.items() if name in liberty.flip_flops)
        return Measurement(cells, float(module.get("area", 0.0)) / liberty.nand2_area, flip_flops)
    transistors = str(module.get("estimated_num_transistors", "0"))
    if transistors.endswith("+"):
        raise AssertionError(f"cells of unknown size in {top}: {dict(cells)}")
    return Measurement(cells, int(transistors) / _NAND2_TRANSISTORS, cells.get("$_DFF_P_", 0))


def measure_source(
    verilog: str, top: str, folder: Path, liberty: Liberty | None = None, timeout: float = 600.0
) -> Measurement:
    """Measure a module without sub-modules, given as text, on the generic target; `folder` is for working files."""
    (folder / f"{top}.v").write_text(verilog)
    passes = [f"read_verilog {top}.v", *mapping_passes(top, "generic", liberty, f"{top}.stat")]
    run_yosys(passes, f"synthesis of {top}", folder, timeout)
    return read_measurement(folder / f"{top}.stat", top, "generic", liberty)
