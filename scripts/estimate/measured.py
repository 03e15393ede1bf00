"""The measured half of the estimate: modules of the synthesised grid, and the counts of the DeepBench points."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from pathlib import Path
from typing import Any

from hdl.output.package import make_package
from hdl.parameters import GridParameters
from hdl.synthesis.area import synthesise
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.network.layers import parse_cell
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.report.activity import count_activity
from scripts.deepbench.points import random_model
from scripts.estimate.model import Module
from scripts.estimate.point import Point
from scripts.provenance import ROOT
from sim_tests.simulator.builds import default_cache

__all__ = ["modules_of", "run_point", "synthesised"]


def synthesised(parameters: GridParameters) -> dict[str, Any]:
    """The report of the synthesis of a grid, from the cache where the Verilog was synthesised before."""
    with tempfile.TemporaryDirectory(prefix="spatial-rnn-") as folder:
        directory = Path(folder)
        make_package(parameters).write(directory)
        recipe = sorted((ROOT / "hdl" / "synthesis").glob("*.py"))
        digest = hashlib.sha256()
        for file in [*sorted(directory.rglob("*.v")), *recipe]:
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
        kept = default_cache() / f"synthesis-{digest.hexdigest()[:24]}.json"
        if not kept.is_file():
            report = synthesise(directory)
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(report.to_json(), indent=1) + "\n", encoding="utf-8")
    result: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return result


def modules_of(report: dict[str, Any]) -> list[Module]:
    """Modules and memories of a synthesis report."""
    modules: list[Module] = []
    for name, found in report["modules"].items():
        if shape := re.fullmatch(r"srnn_memory_(\d+)x(\d+)", name):
            modules.append(Module(name, found["instances"], words=int(shape[1]), width=int(shape[2])))
        else:
            modules.append(Module(name, found["instances"], found["gate_equivalents"], found["flip_flops"]))
    return modules


def run_point(row: dict[str, str], parameters: GridParameters) -> Point:
    """Map one DeepBench point and count its operations."""
    cell, hidden, steps = parse_cell(row["cell"]), int(row["hidden"]), int(row["steps"])
    network, inputs = random_model(cell, hidden, steps)
    quantised = quantise(network, inputs[:8], parameters.arithmetic)
    mapping = map_network(quantised, parameters, steps=steps)
    latencies = {name.removesuffix("_ms"): float(text) for name, text in row.items() if name.endswith("_ms")}
    return Point(f"{cell.name.upper()} {hidden}", steps, count_activity(mapping, steps), latencies)
