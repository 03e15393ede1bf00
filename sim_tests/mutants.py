"""Mutants of modules: all of one module in one netlist, and which of them do what the original does."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from amaranth.lib import wiring

from hdl.errors import ToolError
from hdl.grid.memory import MEMORY_MODULE, MEMORY_SOURCE
from hdl.grid.site import Site
from hdl.grid.top import Grid
from hdl.output.emit import emit
from hdl.output.yosys_worker import run_yosys
from hdl.parameters import GridParameters
from sim_tests.bench.component_bench import COMPONENTS, MEMORY_PARAMETERS
from sim_tests.proofs.catalogue import PROOFS
from sim_tests.proofs.prover import NO_MUTATION, Verdict, before_mutation, components_outside, decide, search
from sim_tests.regression import bench_of
from sim_tests.simulator.run import Build, build

__all__ = ["SUBJECTS", "Bench", "Mutants", "breaks_a_promise", "build_mutants", "is_equivalent", "promises_hold"]

#: Bits of the number of a mutant.
_BITS = 8
#: Mutations that are listed beyond those that are wanted, since some are left out.
_SPARE = 30
_TIMEOUT = 300.0
#: Seconds for a proof about a mutant.
_PROOF_SECONDS = 20.0
_SELECT = "mutant"


@dataclass(frozen=True)
class Bench:
    """One run that a mutant must pass to survive."""

    #: Module in `sim_tests.checks`.
    name: str
    testcase: str | None = None
    #: Variables of the bench besides SRNN_GRID.
    environment: dict[str, str] = field(default_factory=dict)


#: Benches of modules that are simulated in a whole grid: those that notice most come first.
_GRID_BENCHES = (
    Bench("check_random", environment={"SRNN_COUNT": "4"}), Bench("check_host"), Bench("check_host_errors"),
    Bench("check_abort"), Bench("check_collisions"), Bench("check_operations", environment={"SRNN_COUNT": "8"}),
    Bench("check_soak", environment={"SRNN_SEED": "1", "SRNN_COUNT": "8"}),
)
#: Modules of which mutants are made, with their benches.
SUBJECTS: dict[str, tuple[Bench, ...]] = {
    **{name: (Bench(bench_of(name), name),) for name in (*COMPONENTS, "memory")},
    "site": _GRID_BENCHES, "top": _GRID_BENCHES,
}


@dataclass(frozen=True)
class Mutants:
    """The mutants of one module."""

    subject: str
    parameters: GridParameters
    #: Passes of Yosys by the number of the mutant, from 1 on.
    passes: dict[int, str]
    #: The simulation of all of them; the plusarg +mutant=N chooses one, 0 is the original.
    build: Build


@dataclass(frozen=True)
class _Sources:
    """The Verilog files of a simulation in which one module is changed."""

    #: The module that is changed; its file has its name.
    module: str
    top: str
    files: tuple[str, ...]
    #: Passes between reading and `proc`, and after it.
    prepare: tuple[str, ...] = ()
    finish: tuple[str, ...] = ()
    #: Whether the modules below it are compared with it; otherwise they are outside, and their ports count as its own.
    flat: bool = True

    def read(self) -> list[str]:
        """The passes before a mutation."""
        return before_mutation(self.files, self.prepare, self.finish)


def _sources(subject: str, parameters: GridParameters, folder: Path) -> _Sources:
    if subject == "memory":
        (folder / f"{MEMORY_MODULE}.v").write_bytes(MEMORY_SOURCE.read_bytes())
        values = " ".join(f"-set {name} {value}" for name, value in MEMORY_PARAMETERS.items())
        return _Sources(
            MEMORY_MODULE, MEMORY_MODULE, (f"{MEMORY_MODULE}.v",), (f"chparam {values} {MEMORY_MODULE}",),
            # As registers and multiplexers: a port of a memory cannot be changed everywhere.
            ("memory_map", "setundef -undriven -zero", "setundef -zero -init"),
        )
    whole = subject in ("site", "top")
    top: wiring.Component = Grid(parameters) if whole else COMPONENTS[subject](parameters)
    module = Site(parameters).module_name if subject == "site" else top.module_name
    sources = emit(top).sources
    for name, text in sources.items():
        (folder / f"{name}.v").write_text(text, encoding="utf-8")
    return _Sources(
        str(module), top.module_name, tuple(f"{name}.v" for name in sources), flat=MEMORY_MODULE not in sources
    )


def build_mutants(subject: str, parameters: GridParameters, count: int, seed: int) -> Mutants:
    """`count` mutants of one module, chosen by Yosys' ``mutate`` with this seed."""
    with tempfile.TemporaryDirectory(prefix="srnn_mutants_") as name:
        folder = Path(name)
        sources = _sources(subject, parameters, folder)
        run_yosys([
            *sources.read(), f"select {sources.module}",
            f"mutate -list {count + _SPARE} -seed {seed} -ctrl {_SELECT} {_BITS} 1 -o listed.ys",
        ], f"mutants of {subject}", folder, _TIMEOUT)
        # A register without a clock cannot be compared with the original.
        listed = {
            int(number[1]): line for line in (folder / "listed.ys").read_text().splitlines()
            if (number := re.search(rf"-ctrl {_SELECT} {_BITS} (\d+)", line)) and "CLK" not in line
        }
        passes = dict(list(listed.items())[:count])
        (folder / "chosen.ys").write_text("".join(f"{line}\n" for line in passes.values()), encoding="utf-8")
        run_yosys([
            *sources.read(), "script chosen.ys", "opt_clean", f"select {sources.module}",
            "write_verilog -noattr -selected mutants.v",
        ], f"mutants of {subject}", folder, _TIMEOUT)
        text = (folder / "mutants.v").read_text()
        (folder / f"{sources.module}.v").write_text(_chosen_by_plusarg(text), encoding="utf-8")
        made = build([folder / file for file in sources.files], sources.top, "verilator")
        return Mutants(subject, parameters, passes, made)


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


def _alone(mutants: Mutants, number: int) -> str:
    """The pass that makes one mutant without an input that chooses it."""
    return re.sub(rf" -ctrl {_SELECT} {_BITS} \d+", "", mutants.passes[number])


def promises_hold(subject: str, parameters: GridParameters) -> bool:
    """Whether the promises of a component are about this module as it is, and proved for this grid in short time."""
    if subject not in PROOFS or subject not in COMPONENTS:
        return False
    harness, component = PROOFS[subject](parameters), COMPONENTS[subject](parameters)
    same = emit(harness.component).sources == emit(component).sources
    # By the same passes as for a mutant, so that only the mutation can make a difference.
    return same and decide(harness, mutation=NO_MUTATION, timeout=_PROOF_SECONDS).verdict == Verdict.PROVED


def breaks_a_promise(mutants: Mutants, number: int) -> bool:
    """Whether a mutant breaks a promise of its component, for which `promises_hold`."""
    harness = PROOFS[mutants.subject](mutants.parameters)
    return decide(harness, mutation=_alone(mutants, number), timeout=_PROOF_SECONDS).verdict == Verdict.BROKEN


def is_equivalent(mutants: Mutants, number: int) -> bool:
    """Whether a mutant is proved to give the outputs of the original, for all inputs from the initial state on.

    A module that holds others with large memories is compared with those outside: the same inputs reach them. A mutant
    with which Yosys cannot deal (the enable of a memory) is not proved.
    """
    # The original itself, as number 0, for a test.
    mutation = _alone(mutants, number) if number else NO_MUTATION
    with tempfile.TemporaryDirectory(prefix="srnn_miter_") as name:
        folder = Path(name)
        sources = _sources(mutants.subject, mutants.parameters, folder)
        module = sources.module
        alone = [] if sources.flat else components_outside(sources.top, module)
        miter = [
            # The mutant first, for the names of its cells.
            *sources.read(), mutation, *alone, f"rename {module} gate", "design -stash gate",
            *sources.read(), *alone, f"rename {module} gold", "design -copy-from gate gate",
            "miter -equiv -flatten gold gate miter", "hierarchy -top miter", "flatten", "opt_clean",
            "formalff -clk2ff -ff2anyinit", "setundef -undriven -anyseq", "opt -fast", "memory_nordff",
            "memory_map -formal", "formalff -clk2ff -ff2anyinit", "setundef -undriven -anyseq", "opt -fast",
            "techmap", "opt -fast", "simplemap", "dffunmap", "aigmap", "opt_clean",
            "write_aiger -I -O -zinit -no-startoffset proof.aig",
        ]
        try:
            run_yosys(miter, f"miter of {mutants.subject}", folder, _TIMEOUT)
        except ToolError:
            if not number:
                raise
            return False
        return search(folder, _PROOF_SECONDS)[0] == Verdict.PROVED
