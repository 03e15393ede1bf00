"""Verilog text of a grid: one file for each distinct module."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from amaranth.back import rtlil
from amaranth.lib import wiring

from hdl.grid.memory import MEMORY_MODULE, MEMORY_SOURCE
from hdl.grid.sharing import ModuleCollector
from hdl.grid.top import Grid
from hdl.output.verilog_text import tidy
from hdl.output.yosys_worker import run_yosys

__all__ = ["EmittedGrid", "emit", "emit_grid"]


@dataclass
class EmittedGrid:
    """Verilog text and number of instances of every module."""

    #: Module name to Verilog text, in order of first use from the top.
    sources: dict[str, str] = field(default_factory=dict)
    #: Module name to instances in the whole grid (memories apart).
    instances: Counter[str] = field(default_factory=Counter)


def emit_grid(grid: Grid, progress: Callable[[str], None] = lambda name: None) -> EmittedGrid:
    """Verilog of a grid; `progress` is called with the name of each module before it is converted."""
    return emit(grid, progress)


def emit(component: wiring.Component, progress: Callable[[str], None] = lambda name: None) -> EmittedGrid:
    """Verilog of one component and of all components below it, each distinct module once."""
    top: str = component.module_name
    result = EmittedGrid(instances=Counter({top: 1}))
    pending: list[tuple[wiring.Component, int]] = [(component, 1)]
    children: dict[str, ModuleCollector] = {}
    rtlil_texts: dict[str, str] = {}
    while pending:
        child, count = pending.pop(0)
        name: str = child.module_name
        if name not in children:
            progress(name)
            children[name] = ModuleCollector()
            rtlil_texts[name] = rtlil.convert(child, name=name, platform=children[name], emit_src=False)
        for placed, instances in children[name].instances.items():
            result.instances[placed] += count * instances
            pending.append((children[name].components[placed], count * instances))
    result.sources = _to_verilog(rtlil_texts)
    result.sources[MEMORY_MODULE] = MEMORY_SOURCE.read_text(encoding="utf-8")
    return result


def _to_verilog(rtlil_texts: dict[str, str]) -> dict[str, str]:
    """One run of Yosys for all modules: starting it costs more than converting a module."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "grid.il"
        source.write_text("".join(rtlil_texts.values()), encoding="utf-8")
        commands = [
            f"read_rtlil {source.name}", "proc -nomux -norom", "memory_collect",
            *(f"{command} -remove generator -remove top -remove src -remove amaranth.hierarchy "
              "-remove amaranth.decoding" for command in ("attrmap", "attrmap -modattr")),
            *(command for name in rtlil_texts
              for command in (f"select {name}", f"write_verilog -norename -selected {name}.v", "select -clear")),
        ]
        run_yosys(commands, "conversion to Verilog", Path(folder), timeout=600)
        return {name: tidy((Path(folder) / f"{name}.v").read_text(encoding="utf-8")) for name in rtlil_texts}
