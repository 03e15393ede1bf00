"""Mutants of components against their benches, and against their promises: `make mutate`, hours.

Each component's own module gets so many mutants (Yosys' ``mutate``, fixed seed). A mutant is
killed when the bench fails or does not end. One that survives is either proved equivalent to the original, or named
with what it changes. Writes mutation.json and .md; the exit status is 1 when fewer than 95 % of those not proved
equivalent are killed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import click

from rnn_mapper.cli.tables import TableConsole
from scripts.output import markdown_table, output_option, run_script, write_json
from scripts.provenance import commit
from sim_tests.bench.component_bench import COMPONENTS
from sim_tests.bench.grids import GRIDS
from sim_tests.mutants import Mutants, build_mutants, is_equivalent
from sim_tests.proofs.catalogue import PROOF_GRID, PROOFS
from sim_tests.proofs.prover import Verdict, decide, mutations
from sim_tests.regression import bench_of
from sim_tests.simulator.run import SimulationError, run

GRID, SEED = "2x2x8", 13
#: A bench may take so many times as long as with the original, and at least so many seconds.
PATIENCE, LEAST_SECONDS = 4.0, 30.0
GOAL = 0.95


@dataclass(frozen=True)
class Fate:
    """What became of a mutant."""

    component: str
    number: int
    #: "killed", "equivalent" or "survived".
    fate: str
    #: The pass that makes it.
    mutation: str


@cache
def mutants_of(component: str, count: int) -> Mutants:
    """Built once in each process, and kept in the cache of builds."""
    return build_mutants(component, GRIDS[GRID], count, SEED)


def survives(mutants: Mutants, number: int, timeout: float | None) -> bool:
    """Whether the bench of a component passes with a mutant (0 is the original)."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            run(
                mutants.build, f"sim_tests.checks.{bench_of(mutants.component)}", results_dir=Path(folder), seed=1,
                testcase=mutants.component, env={"SRNN_GRID": GRID}, plusargs=[f"+mutant={number}"], timeout=timeout,
            )
        except SimulationError:
            return False
    return True


def baseline(component: str, count: int) -> float:
    """Seconds of the bench with the original, which must pass."""
    mutants = mutants_of(component, count)
    started = time.perf_counter()
    if not survives(mutants, 0, None):
        raise click.ClickException(f"{component}: the bench fails without a mutant")
    return time.perf_counter() - started


def judge(component: str, count: int, number: int, timeout: float) -> Fate:
    """The fate of one mutant."""
    mutants = mutants_of(component, count)
    fate = "killed"
    if survives(mutants, number, timeout):
        fate = "equivalent" if is_equivalent(mutants, number) else "survived"
    return Fate(component, number, fate, mutants.passes[number])


def promises_notice(component: str, mutation: str) -> bool:
    """Whether a mutant of the proof's grid breaks a promise."""
    return decide(PROOFS[component](PROOF_GRID), mutation=mutation, timeout=30).verdict == Verdict.BROKEN


@click.command()
@output_option
@click.option("--only", default="", metavar="COMPONENT", help=f"One of {', '.join(COMPONENTS)}; default: all.")
@click.option("--count", type=click.IntRange(min=1, max=255), default=60, show_default=True, help="Mutants of each.")
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True, help="Simulations at a time.")
def main(output: Path, only: str, count: int, jobs: int) -> None:
    """Simulate all mutants, and write the tables."""
    console = TableConsole()
    started = time.perf_counter()
    fates: list[Fate] = []
    noticed: dict[str, int] = {}
    with ProcessPoolExecutor(jobs) as pool:
        for component in (name for name in COMPONENTS if only in ("", name)):
            limit = max(PATIENCE * pool.submit(baseline, component, count).result(), LEAST_SECONDS)
            numbers = list(mutants_of(component, count).passes)
            futures = [pool.submit(judge, component, count, number, limit) for number in numbers]
            found = [future.result() for future in futures]
            fates += found
            if component in PROOFS:
                passes = mutations(PROOFS[component](PROOF_GRID).component, count, SEED)
                noticed[component] = sum(pool.map(promises_notice, [component] * len(passes), passes))
            console.print(f"[{time.perf_counter() - started:5.0f} s] {_line(component, found)}", markup=False,
                          soft_wrap=True)
    wrong = [one for one in fates if one.fate == "survived"]
    different = [one for one in fates if one.fate != "equivalent"]
    killed = sum(one.fate == "killed" for one in different) / max(len(different), 1)
    if not only:
        _write(output, fates, noticed, count, time.perf_counter() - started)
    for one in wrong:
        console.print(f"survived: {one.component} {one.number}: {one.mutation}", markup=False, soft_wrap=True)
    console.print(f"{killed:.1%} of {len(different)} mutants that are not proved equivalent are killed", markup=False)
    sys.exit(0 if killed >= GOAL else 1)


def _line(component: str, found: list[Fate]) -> str:
    counts = {fate: sum(one.fate == fate for one in found) for fate in ("killed", "equivalent", "survived")}
    return f"{component}: {', '.join(f'{number} {fate}' for fate, number in counts.items())}"


def _write(output: Path, fates: list[Fate], noticed: dict[str, int], count: int, seconds: float) -> None:
    rows = []
    for component in dict.fromkeys(one.component for one in fates):
        found = [one.fate for one in fates if one.component == component]
        rows.append([
            component, str(len(found)), *(str(found.count(fate)) for fate in ("killed", "equivalent", "survived")),
            str(noticed.get(component, "")),
        ])
    text = [
        f"# Mutation (`make mutate`, commit {commit()})", "",
        f"Mutants of each component's module (Yosys' `mutate`, seed {SEED}) against its bench on {GRID}. *Equivalent* "
        f"is proved. *By promises*: of {count} mutants of the proofs' grid, those that break one.", "",
        *markdown_table(["component", "mutants", "killed", "equivalent", "survived", "by promises"], rows), "",
        *(f"- {one.component} {one.number}: `{one.mutation}`" for one in fates if one.fate == "survived"), "",
    ]
    (output / "mutation.md").write_text("\n".join(text), encoding="utf-8")
    write_json(output / "mutation.json", {
        "command": "make mutate", "commit": commit(), "seconds": round(seconds), "seed": SEED, "grid": GRID,
        "by_promises": noticed, "mutants": [asdict(one) for one in fates],
    })


if __name__ == "__main__":
    run_script(main)
