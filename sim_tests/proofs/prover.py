"""Decides promises with Yosys and ABC: property-directed reachability, which needs no bound and no helping invariants.

The component is the Verilog that users get. `mutation` is a pass that changes it first (Yosys' ``mutate``).
"""

from __future__ import annotations

import enum
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain

from hdl.errors import ToolError
from hdl.grid.sharing import ModuleCollector
from hdl.output.yosys_worker import run_yosys
from sim_tests.proofs.harness import HARNESS, Harness

__all__ = ["NO_MUTATION", "Result", "Verdict", "before_mutation", "components_outside", "decide", "mutations", "search"]

#: In the place of a mutation: everything else is as for a mutant.
NO_MUTATION = "opt_clean"
#: Seconds for one promise.
TIMEOUT = 600


class Verdict(enum.Enum):
    """What became of a promise."""

    #: It holds in every reachable state.
    PROVED = "proved"
    #: Some inputs break it.
    BROKEN = "broken"
    #: Neither was found in time.
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Result:
    """The outcome for one promise or situation."""

    verdict: Verdict
    #: Cycles from the first until the promise is broken.
    depth: int | None
    seconds: float


def decide(
    harness: Harness, promise: str | None = None, situation: str | None = None, mutation: str | None = None,
    timeout: float = TIMEOUT,
) -> Result:
    """Decide one promise, all of them (None), or whether a situation never comes (then `BROKEN` says that it can).

    Raises `ToolError` when a tool fails.
    """
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="srnn_proof_") as name:
        folder = Path(name)
        _write(harness, folder, promise, situation)
        verilog = [f"{module}.v" for module in harness.sources()]
        are_free = harness.free_registers ^ (promise in harness.other_registers)
        commands = [
            *(before_mutation(verilog) if mutation else [f"read_verilog -D SYNTHESIS {file}" for file in verilog]),
            *([mutation] if mutation else ["proc -norom"]),
            f"read_rtlil {HARNESS}.il", f"hierarchy -check -top {HARNESS}", "proc",
            "flatten", *(["setattr -unset init w:dut.*"] if are_free else []), "opt_clean",
            "formalff -clk2ff -ff2anyinit", "chformal -lower", "setundef -undriven -anyseq", "opt -fast", "wreduce",
            "opt_clean", "memory_nordff", "memory_map -formal", "formalff -clk2ff -ff2anyinit",
            "setundef -undriven -anyseq", "opt -fast", "techmap", "opt -fast", "simplemap", "dffunmap", "aigmap",
            "opt_clean", "write_aiger -I -B -zinit -no-startoffset proof.aig",
        ]
        run_yosys(commands, f"proof of {harness.component.module_name}", folder, timeout)
        verdict, depth = search(folder, timeout)
    return Result(verdict, depth, time.perf_counter() - started)


def mutations(harness: Harness, count: int, seed: int) -> list[str]:
    """Passes, each of which breaks the component's own module in another place (Yosys' ``mutate``)."""
    with tempfile.TemporaryDirectory(prefix="srnn_mutate_") as name:
        folder = Path(name)
        _write_verilog(harness, folder)
        run_yosys([
            *before_mutation([f"{module}.v" for module in harness.sources()]),
            f"select {harness.component.module_name}", f"mutate -list {count} -seed {seed} -o mutations.txt",
        ], "mutations", folder, TIMEOUT)
        # A register without a clock is no design with one clock, which the proof takes for granted.
        found = (folder / "mutations.txt").read_text().splitlines()
        return [line for line in found if line.startswith("mutate") and "-port CLK" not in line]


def before_mutation(files: Sequence[str], prepare: Sequence[str] = (), finish: Sequence[str] = ()) -> list[str]:
    """The passes before a mutation, which are the same everywhere: cells are named by numbers.

    What is below a module is read with it: a mutation must know which ports of a cell are inputs. A table of constants
    stays logic, since the initial words of a memory cannot be chosen by an input.
    """
    return [
        *(f"read_verilog -D SYNTHESIS {file}" for file in files), *prepare, "proc -norom", *finish, "setundef -zero",
        "opt_clean",
    ]


def components_outside(top: str, module: str) -> list[str]:
    """The passes that turn the components and memories of a module out: their ports become its own, by name."""
    return [f"hierarchy -top {top}", f"select {module}/t:*srnn_*", "expose -evert -sep __", "select -clear"]


def _write(harness: Harness, folder: Path, promise: str | None, situation: str | None) -> None:
    module = harness.module(promise, situation)
    module.domains.sync = domain = ClockDomain("sync")
    ports = {name: (value, None) for name, value in harness.free_ports()}
    ports |= {"clk": (domain.clk, None), "rst": (domain.rst, None)}
    text = rtlil.convert(module, name=HARNESS, platform=ModuleCollector(), ports=ports, emit_src=False)
    (folder / f"{HARNESS}.il").write_text(text, encoding="utf-8")
    _write_verilog(harness, folder)


def _write_verilog(harness: Harness, folder: Path) -> None:
    for name, verilog in harness.sources().items():
        (folder / f"{name}.v").write_text(verilog, encoding="utf-8")


def search(folder: Path, timeout: float) -> tuple[Verdict, int | None]:
    """Whether the bad state of proof.aig in a folder can be reached, and in which cycle."""
    import pyosys

    abc = Path(str(pyosys.__file__)).parent / "yosys-abc"
    # Registers that are always equal, such as a counter and its copy in a promise, are merged first.
    simplified = "read_aiger proof.aig; fold -s; strash; scorr; strash"

    def run(search: str) -> str:
        done = subprocess.run(
            [abc, "-c", f"{simplified}; {search}"], cwd=folder, capture_output=True, text=True, check=False,
            timeout=timeout + 60, env={**os.environ, "TMPDIR": "."},
        )
        if done.returncode != 0 or "rror" in done.stdout:
            raise ToolError(f"ABC ended with status {done.returncode}: {done.stdout[-300:]}{done.stderr[-300:]}")
        return done.stdout

    try:
        found = run(f"pdr -T {int(timeout)}")
        if "Property proved" in found:
            return Verdict.PROVED, None
        if frame := re.search(r"was asserted in frame (\d+)", found):
            return Verdict.BROKEN, int(frame[1])
        # What has become a constant needs no search, and `pdr` says nothing about it.
        if "All outputs solved" in found:
            constant = run("print_stats; sat")
            if re.search(r"lat = +0\b", constant):
                return (Verdict.PROVED, None) if "UNSATISFIABLE" in constant else (Verdict.BROKEN, 0)
    except subprocess.TimeoutExpired:
        pass
    return Verdict.UNDECIDED, None
