"""A generated grid as files: Verilog, manifest, headers, file list and FuseSoC core."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hdl.grid.memory import MEMORY_MODULE
from hdl.grid.top import Grid
from hdl.naming import TOP_MODULE
from hdl.output.emit import emit_grid
from hdl.output.headers import c_header, verilog_header
from hdl.output.manifest import make_manifest
from hdl.parameters import GridParameters
from hdl.register_map import VERSION

__all__ = ["GridPackage", "make_package"]

#: Waivers for Verilator's lint; part of the package for its users.
LINT_WAIVERS = Path(__file__).parent / "lint_waivers.vlt"


@dataclass(frozen=True)
class GridPackage:
    """Files of a generated grid; the same parameters always give the same bytes."""

    parameters: GridParameters
    manifest: dict[str, Any]
    #: Text by path relative to the package's directory, with "/" between its parts.
    files: dict[str, str]

    @property
    def modules(self) -> list[str]:
        """Names of the Verilog modules, the top first."""
        return list(self.manifest["modules"])

    @property
    def verilog_bytes(self) -> int:
        """Bytes of all Verilog modules."""
        return sum(len(self.files[module["file"]].encode()) for module in self.manifest["modules"].values())

    def write(self, directory: Path) -> None:
        """Write all files into an existing directory."""
        for name, text in self.files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())


def make_package(
    parameters: GridParameters, init_files: str | None = None, progress: Callable[[str], None] = lambda name: None
) -> GridPackage:
    """Generate a grid. `progress` is called with the name of each module before it is converted.

    With `init_files`, each memory reads `<init_files>/<hierarchical name>.hex` (see `hdl.naming.image_file`) when the
    Verilog is elaborated; the path is copied into the Verilog as it is.
    """
    grid = Grid(parameters, init_files)
    emitted = emit_grid(grid, progress)
    sources = {name: f"rtl/{name}.v" for name in emitted.sources}
    counts = {name: emitted.instances[name] for name in sources}
    counts[MEMORY_MODULE] = sum(
        # A memory is an instance in the text of the module that has it.
        text.count(f"{MEMORY_MODULE} #(") * emitted.instances[name] for name, text in emitted.sources.items()
    )
    manifest = make_manifest(grid, {name: (file, counts[name]) for name, file in sources.items()})
    files = {file: emitted.sources[name] for name, file in sources.items()}
    files["include/spatial_rnn.h"] = c_header(parameters)
    files["include/spatial_rnn.vh"] = verilog_header(parameters)
    files["lint/waivers.vlt"] = LINT_WAIVERS.read_text(encoding="utf-8")
    files[f"{TOP_MODULE}.f"] = "".join(f"{file}\n" for file in sources.values())
    files[f"{TOP_MODULE}.core"] = _core(parameters, list(sources.values()))
    files["manifest.json"] = json.dumps(manifest, indent=1) + "\n"
    files["README.md"] = _readme(parameters, init_files)
    return GridPackage(parameters, manifest, files)


def _core(parameters: GridParameters, sources: list[str]) -> str:
    """FuseSoC core description (CAPI2)."""
    p = parameters
    listed = "".join(f"      - {source}\n" for source in sources)
    return f"""CAPI=2:
name: spatial-rnn:generated:{TOP_MODULE}:{VERSION >> 16}.{VERSION & 0xFFFF}.0
description: Spatial accelerator for recurrent networks, {p.rows} x {p.cols} sites of {p.lanes} lanes

filesets:
  rtl:
    files:
{listed}    file_type: verilogSource-2005
  headers:
    files:
      - include/spatial_rnn.vh: {{is_include_file: true, include_path: include}}
    file_type: verilogSource-2005
  waivers:
    files:
      - lint/waivers.vlt
    file_type: vlt

targets:
  default:
    filesets: [rtl, headers]
    toplevel: {TOP_MODULE}
  lint:
    filesets: [waivers, rtl]
    toplevel: {TOP_MODULE}
    flow: lint
    flow_options:
      tool: verilator
      verilator_options: [-Wall]
"""


def _readme(parameters: GridParameters, init_files: str | None) -> str:
    p = parameters
    images = "Memories start from zero and are loaded over `s_axis` (`tdest` 1), or in a simulation from `+images=DIR`."
    if init_files is not None:
        images = f"Every memory is baked in from `{init_files}/<hierarchical name>.hex`."
    options = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in p.to_dict().items())
    return f"""# A generated grid of {p.rows} x {p.cols} sites, {p.lanes} lanes each

{p.multipliers} multipliers of 8 x {p.operand_bits} bits. The top module is `{TOP_MODULE}`, in Verilog-2005. {images}

| file | content |
|---|---|
| `rtl/` | one file for each module; replace `{MEMORY_MODULE}.v` by SRAM macros for an ASIC |
| `{TOP_MODULE}.f` | list of those files |
| `manifest.json` | parameters, ports, memories, latencies, registers and formats |
| `include/` | register addresses, bits, sizes and formats for C and for Verilog |
| `{TOP_MODULE}.core` | FuseSoC core; `fusesoc run --target=lint` runs Verilator with `lint/waivers.vlt` |

Written by `spatial-rnn generate {options}`; the same parameters give the same bytes.
"""
