"""A generated grid as files: Verilog, manifest, headers, file list and FuseSoC core."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hdl.errors import ConfigurationError
from hdl.grid.memory import MEMORY_MODULE
from hdl.grid.top import Grid
from hdl.naming import TOP_MODULE, ResetPort
from hdl.output.emit import Progress, emit_grid, silent
from hdl.output.example import EXAMPLE_FOLDER, Example
from hdl.output.headers import c_header, verilog_header
from hdl.output.manifest import make_manifest
from hdl.parameters import GridParameters
from hdl.register_map import VERSION

__all__ = ["GridPackage", "core_name", "make_package"]

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
    parameters: GridParameters, init_files: str | None = None, progress: Progress = silent,
    reset: ResetPort = ResetPort.RST, name: str | None = None, example: Example | None = None,
) -> GridPackage:
    """Generate a grid; `progress` is as in `emit_grid`.

    With `init_files`, each memory reads `<init_files>/<hierarchical name>.hex` (see `hdl.naming.image_file`) when the
    Verilog is elaborated; the path is copied into the Verilog as it is. `reset` is the reset port,
    `name` that of the FuseSoC core (letters, digits and underscores; default: `core_name`). `example` is what the
    testbench beside the grid runs; without one there is none. Raises ConfigurationError for another name.
    """
    core = core_name(parameters, init_files, reset) if name is None else name
    if not re.fullmatch(r"[A-Za-z]\w{0,79}", core, re.ASCII):
        raise ConfigurationError(
            f"name {core!r}: must be up to 80 letters, digits and underscores, and begin with a letter"
        )
    grid = Grid(parameters, init_files, reset)
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
    if example is not None:
        files |= {f"{EXAMPLE_FOLDER}/{file}": text for file, text in example.files(parameters, reset).items()}
    files[f"{TOP_MODULE}.core"] = _core(core, parameters, list(sources.values()), example)
    files["manifest.json"] = json.dumps(manifest, indent=1) + "\n"
    files["README.md"] = _readme(parameters, init_files, reset, example)
    return GridPackage(parameters, manifest, files)


def core_name(parameters: GridParameters, init_files: str | None, reset: ResetPort) -> str:
    """A name for a core: the same for the same Verilog, and another for any other."""
    p = parameters
    digest = hashlib.sha256(json.dumps([p.to_dict(), init_files, reset.value], sort_keys=True).encode()).hexdigest()
    return f"{TOP_MODULE}_{p.rows}x{p.cols}x{p.lanes}_{digest[:8]}"


def _core(name: str, parameters: GridParameters, sources: list[str], example: Example | None) -> str:
    """FuseSoC core description (CAPI2)."""
    p = parameters
    listed = "".join(f"      - {source}\n" for source in sources)
    return f"""CAPI=2:
name: spatial-rnn:generated:{name}:{VERSION >> 16}.{VERSION & 0xFFFF}.0
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
{"" if example is None else _EXAMPLE_FILES}
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
  synth:
    filesets: [rtl]
    toplevel: {TOP_MODULE}
    flow: generic
    flow_options:
      tool: yosys
      arch: ecp5
      output_format: json
{"" if example is None else _EXAMPLE_TARGET}"""


_EXAMPLE_FILES = f"""  example:
    files:
      - {EXAMPLE_FOLDER}/testbench.sv
      - {EXAMPLE_FOLDER}/example.vh: {{is_include_file: true, include_path: {EXAMPLE_FOLDER}}}
      - {EXAMPLE_FOLDER}/load.hex: {{file_type: user, copyto: load.hex}}
      - {EXAMPLE_FOLDER}/inputs.hex: {{file_type: user, copyto: inputs.hex}}
      - {EXAMPLE_FOLDER}/outputs.hex: {{file_type: user, copyto: outputs.hex}}
    file_type: systemVerilogSource
"""

_EXAMPLE_TARGET = f"""  sim:
    filesets: [rtl, headers, example]
    toplevel: {TOP_MODULE}_tb
    flow: sim
    flow_options:
      tool: icarus
      iverilog_options: [-g2012]
      verilator_options: [--binary, --timing, -Wno-fatal]
"""


def _readme(
    parameters: GridParameters, init_files: str | None, reset: ResetPort, example: Example | None,
) -> str:
    p = parameters
    images = "Memories start from zero and are loaded over `s_axis` (`tdest` 1), or in a simulation from `+images=DIR`."
    if init_files is not None:
        images = f"Every memory is baked in from `{init_files}/<hierarchical name>.hex`."
    targets = "`lint` and `synth`" if example is None else "`lint`, `sim` and `synth`"
    example_row = example_text = ""
    if example is not None:
        example_row = (
            f"| `{EXAMPLE_FOLDER}/` | a testbench in SystemVerilog with a small model: what a host sends, and the "
            "outputs and cycles that it must see |\n"
        )
        example_text = f"""
## A first simulation

{example.title}. The testbench prints PASS or ends with FAIL. With Icarus, in this folder:

```sh
iverilog -g2012 -Iinclude -I{EXAMPLE_FOLDER} -s {TOP_MODULE}_tb -o example.vvp \\
    -f {TOP_MODULE}.f {EXAMPLE_FOLDER}/testbench.sv
(cd {EXAMPLE_FOLDER} && vvp -n ../example.vvp)
```

With FuseSoC: `fusesoc run --target=sim` and the name of the core, with `--tool verilator` for Verilator.
"""
    options = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in p.to_dict().items())
    options += f" --reset {reset.value}"
    return f"""# A generated grid of {p.rows} x {p.cols} sites, {p.lanes} lanes each

{p.multipliers} multipliers of 8 x {p.operand_bits} bits. The top module is `{TOP_MODULE}`, in Verilog-2005. {images}

| file | content |
|---|---|
| `rtl/` | one file for each module; replace `{MEMORY_MODULE}.v` by SRAM macros for an ASIC |
| `{TOP_MODULE}.f` | list of those files |
| `manifest.json` | parameters, ports, memories, latencies, registers and formats |
| `include/` | register addresses, bits, sizes and formats for C and for Verilog |
| `{TOP_MODULE}.core` | FuseSoC core with the targets {targets} |
{example_row}{example_text}
Written by `spatial-rnn generate {options}`; the same parameters give the same bytes.
"""
