"""Mutants of components: all of one component in one netlist, and which of them do what the original does."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hdl.errors import ToolError
from hdl.output.emit import emit
from hdl.output.yosys_worker import run_yosys
from hdl.parameters import GridParameters
from sim_tests.bench.component_bench import COMPONENTS
from sim_tests.proofs.prover import Verdict, search
from sim_tests.simulator.run import Build, build

__all__ = ["Mutants", "build_mutants", "is_equivalent"]

#: Bits of the number of a mutant.
_BITS = 8
_TIMEOUT = 300.0
_SELECT = "mutant"


@dataclass(frozen=True)
class Mutants:
    """The mutants of one component."""

    component: str
    parameters: GridParameters
    #: Passes of Yosys by the number of the mutant, from 1 on.
    passes: dict[int, str]
    #: The simulation of all of them; the plusarg +mutant=N chooses one, 0 is the original.
    build: Build


def _sources(component: str, parameters: GridParameters, folder: Path) -> tuple[str, list[str]]:
    """Name of the component's own module, and the files of it and of what is below it, its own first."""
    top = COMPONENTS[component](parameters)
    files = []
    for name, text in emit(top).sources.items():
        (folder / f"{name}.v").write_text(text, encoding="utf-8")
        files.append(f"{name}.v")
    return top.module_name, files


def _read(file: str) -> list[str]:
    """The passes before a mutation: cells are named by numbers, which must be the same everywhere."""
    return [f"read_verilog {file}", "proc", "setundef -zero", "opt_clean"]


def build_mutants(component: str, parameters: GridParameters, count: int, seed: int) -> Mutants:
    """`count` mutants of the component's own module, chosen by Yosys' ``mutate`` with this seed."""
    with tempfile.TemporaryDirectory(prefix="srnn_mutants_") as name:
        folder = Path(name)
        module, files = _sources(component, parameters, folder)
        run_yosys([
            *_read(files[0]),
            f"mutate -list {count} -seed {seed} -ctrl {_SELECT} {_BITS} 1 -o mutations.ys", "script mutations.ys",
            "opt_clean", "write_verilog -noattr mutants.v",
        ], f"mutants of {component}", folder, _TIMEOUT)
        passes = {
            int(number[1]): line for line in (folder / "mutations.ys").read_text().splitlines()
            if (number := re.search(rf"-ctrl {_SELECT} {_BITS} (\d+)", line))
        }
        text = (folder / "mutants.v").read_text()
        (folder / files[0]).write_text(_chosen_by_plusarg(text), encoding="utf-8")
        made = build([folder / file for file in files], module, "verilator")
        return Mutants(component, parameters, passes, made)


def _chosen_by_plusarg(text: str) -> str:
    """The input that chooses the mutant becomes a register that a plusarg sets."""
    text, ports = re.subn(rf"(module \w+\([^)]*?),? *\b{_SELECT}\b *,? *", r"\1, ", text, count=1)
    text = re.sub(r",\s*\)", ")", text, count=1)
    text, declared = re.subn(
        rf"^ *input \[{_BITS - 1}:0\] {_SELECT} *;\n *wire \[{_BITS - 1}:0\] {_SELECT} *;\n",
        f"  reg [{_BITS - 1}:0] {_SELECT};\n"
        f'  initial if (!$value$plusargs("{_SELECT}=%d", {_SELECT})) {_SELECT} = 0;\n', text, flags=re.MULTILINE,
    )
    if not ports or not declared:
        raise ToolError("Yosys has written the input of the mutants in another way")
    return text


def is_equivalent(mutants: Mutants, number: int) -> bool:
    """Whether a mutant is proved to give the outputs of the original, for all inputs from the initial state on."""
    # The original itself, as number 0, for a test.
    mutation = re.sub(rf" -ctrl {_SELECT} {_BITS} \d+", "", mutants.passes[number]) if number else "opt_clean"
    with tempfile.TemporaryDirectory(prefix="srnn_miter_") as name:
        folder = Path(name)
        module, files = _sources(mutants.component, mutants.parameters, folder)
        below = [f"read_verilog -D SYNTHESIS {file}" for file in files[1:]]
        run_yosys([
            # The mutant first, for the names of its cells.
            *_read(files[0]), mutation, f"rename {module} gate", "design -stash gate",
            *_read(files[0]), f"rename {module} gold", "design -copy-from gate gate", *below, "proc",
            "miter -equiv -flatten gold gate miter", "hierarchy -top miter", "flatten", "opt_clean",
            "formalff -clk2ff -ff2anyinit", "setundef -undriven -anyseq", "opt -fast", "memory_nordff",
            "memory_map -formal", "formalff -clk2ff -ff2anyinit", "setundef -undriven -anyseq", "opt -fast",
            "techmap", "opt -fast", "simplemap", "dffunmap", "aigmap", "opt_clean",
            "write_aiger -I -O -zinit -no-startoffset proof.aig",
        ], f"miter of {mutants.component}", folder, _TIMEOUT)
        return search(folder, 60)[0] == Verdict.PROVED
