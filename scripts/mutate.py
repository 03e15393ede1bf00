"""Mutants of every module against its bench, and against its promises: `make mutate`, hours.

Each module gets so many mutants (Yosys' ``mutate``, fixed seed). A mutant is killed when a bench fails or never ends.
One that survives is either proved equivalent to the original, or found by a promise, or named with the verdict that
mutant_verdicts.toml has on it. Writes mutation.json and .md; with `--only`, the entries of the other modules stay. The
exit status is 1 when fewer than 95 % of those not proved equivalent are killed, or one has no verdict.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click

from rnn_mapper.cli.tables import TableConsole
from scripts.output import markdown_table, output_option, run_script, write_json
from scripts.provenance import ROOT, commit
from sim_tests.bench.grids import GRIDS
from sim_tests.mutants import SUBJECTS, Bench, Mutants, breaks_a_promise, build_mutants, is_equivalent, promises_hold
from sim_tests.proofs.catalogue import PROOF_GRID, PROOFS
from sim_tests.proofs.prover import Verdict, decide, mutations
from sim_tests.simulator.run import SimulationError, run

GRID, SEED = "2x2x8", 13
#: A bench may take so many times as long as with the original, and at least so many seconds.
PATIENCE, LEAST_SECONDS = 4.0, 30.0
GOAL = 0.95
#: What survivors change, and why no bench notices; by module and by the pass without the place in the Verilog.
VERDICTS: dict[str, dict[str, str]] = tomllib.loads(
    (ROOT / "scripts" / "mutant_verdicts.toml").read_text(encoding="utf-8")
)
FATES = ("killed", "promise", "equivalent", "survived")
MUTATION = "mutation.json"


@dataclass(frozen=True)
class Fate:
    """What became of a mutant."""

    subject: str
    number: int
    #: "killed" (by a bench), "promise" (a promise is broken), "equivalent" or "survived".
    fate: str
    #: The pass that makes it.
    mutation: str
    #: Benches that it passed.
    passed: int


@cache
def mutants_of(subject: str, count: int) -> Mutants:
    """Built once in each process, and kept in the cache of builds."""
    return build_mutants(subject, GRIDS[GRID], count, SEED)


def survives(mutants: Mutants, bench: Bench, number: int, timeout: float | None) -> bool:
    """Whether a bench passes with a mutant (0 is the original)."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            run(
                mutants.build, f"sim_tests.checks.{bench.name}", results_dir=Path(folder), seed=1,
                testcase=bench.testcase, env={"SRNN_GRID": GRID, **bench.environment},
                plusargs=[f"+mutant={number}"], timeout=timeout,
            )
        except SimulationError:
            return False
    return True


def baseline(subject: str, count: int) -> list[float]:
    """Seconds that each bench may take: all must pass with the original."""
    limits, mutants = [], mutants_of(subject, count)
    for bench in SUBJECTS[subject]:
        started = time.perf_counter()
        if not survives(mutants, bench, 0, None):
            raise click.ClickException(f"{subject}: {bench.name} fails without a mutant")
        limits.append(max(PATIENCE * (time.perf_counter() - started), LEAST_SECONDS))
    return limits


def judge(subject: str, count: int, number: int, limits: list[float], promised: bool) -> Fate:
    """The fate of one mutant."""
    mutants, passed = mutants_of(subject, count), 0
    for bench, limit in zip(SUBJECTS[subject], limits, strict=True):
        if not survives(mutants, bench, number, limit):
            return Fate(subject, number, "killed", mutants.passes[number], passed)
        passed += 1
    fate = "survived"
    if is_equivalent(mutants, number):
        fate = "equivalent"
    elif promised and breaks_a_promise(mutants, number):
        fate = "promise"
    return Fate(subject, number, fate, mutants.passes[number], passed)


def place_of(mutation: str) -> str:
    """What a pass changes, without the number of the mutant and the place in the Verilog."""
    found = re.search(r"-mode (\S+) .*-cell (\S+) -port (\S+) -portbit (\d+)", mutation)
    assert found, mutation
    wire = re.search(r"-wire (\S+) -wirebit (\d+)", mutation)
    return f"{found[1]} {found[2]} {found[3]}[{found[4]}]" + (f" {wire[1]}[{wire[2]}]" if wire else "")


def promises_notice(component: str, mutation: str) -> bool:
    """Whether a mutant of the proof's grid breaks a promise."""
    return decide(PROOFS[component](PROOF_GRID), mutation=mutation, timeout=15).verdict == Verdict.BROKEN


@click.command()
@output_option
@click.option("--only", default="", metavar="MODULES", help=f"Of {', '.join(SUBJECTS)}, with commas; default: all.")
@click.option("--count", type=click.IntRange(min=1, max=225), default=60, show_default=True, help="Mutants of each.")
@click.option("--survivors", is_flag=True, help="Judge only those again that survived, after work on the benches.")
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True, help="Simulations at a time.")
def main(output: Path, only: str, count: int, survivors: bool, jobs: int) -> None:
    """Simulate all mutants, and write the tables."""
    console = TableConsole()
    chosen = only.split(",") if only else list(SUBJECTS)
    if unknown := [name for name in chosen if name not in SUBJECTS]:
        raise click.BadParameter(f"{unknown[0]} is none of {', '.join(SUBJECTS)}", param_hint="--only")
    done = _recorded(output, count) if only or survivors else {}
    if survivors:
        chosen = [name for name in chosen if any(one["fate"] == "survived" for one in done[name]["mutants"])]
    with ProcessPoolExecutor(jobs) as pool:
        for subject in chosen:
            started = time.perf_counter()
            limits = pool.submit(baseline, subject, count).result()
            numbers = list(mutants_of(subject, count).passes)
            kept = [Fate(**one) for one in done[subject]["mutants"] if one["fate"] != "survived"] if survivors else []
            numbers = [number for number in numbers if number not in {one.number for one in kept}]
            promised = pool.submit(promises_hold, subject, GRIDS[GRID]).result()
            futures = [pool.submit(judge, subject, count, number, limits, promised) for number in numbers]
            found = sorted([*kept, *(future.result() for future in futures)], key=lambda one: one.number)
            noticed = done[subject]["by_promises"] if survivors else None
            if subject in PROOFS and not survivors:
                changes = mutations(PROOFS[subject](PROOF_GRID), count, SEED)
                noticed = sum(pool.map(promises_notice, [subject] * len(changes), changes)), len(changes)
            done[subject] = {
                "commit": commit(), "seconds": round(time.perf_counter() - started), "by_promises": noticed,
                "mutants": [asdict(one) for one in found],
            }
            console.print(f"[{done[subject]['seconds']:5.0f} s] {_line(subject, found)}", markup=False, soft_wrap=True)
            _write(output, {name: done[name] for name in SUBJECTS if name in done}, count)
    fates = [Fate(**one) for entry in done.values() for one in entry["mutants"]]
    different = [one for one in fates if one.fate != "equivalent"]
    killed = sum(one.fate != "survived" for one in different) / max(len(different), 1)
    console.print(f"{killed:.1%} of {len(different)} mutants that are not proved equivalent are killed", markup=False)
    unjudged = [
        one for one in fates
        if one.fate == "survived" and place_of(one.mutation) not in VERDICTS.get(one.subject, {})
    ]
    for one in unjudged:
        console.print(f"no verdict in mutant_verdicts.toml: {one.subject}: {place_of(one.mutation)}", markup=False,
                      soft_wrap=True)
    sys.exit(0 if killed >= GOAL and not unjudged else 1)


def _recorded(output: Path, count: int) -> dict[str, Any]:
    """What earlier runs with as many mutants found."""
    if not (output / MUTATION).exists():
        return {}
    recorded = json.loads((output / MUTATION).read_text(encoding="utf-8"))
    subjects: dict[str, Any] = recorded["subjects"] if recorded["count"] == count else {}
    return subjects


def _line(subject: str, found: list[Fate]) -> str:
    counts = {fate: sum(one.fate == fate for one in found) for fate in FATES}
    lines = [f"\n          {one.number}: {place_of(one.mutation)}" for one in found if one.fate == "survived"]
    return f"{subject}: {', '.join(f'{number} {fate}' for fate, number in counts.items())}{''.join(lines)}"


def _write(output: Path, done: dict[str, Any], count: int) -> None:
    rows, total = [], [0] * len(FATES)
    for subject, entry in done.items():
        found = [one["fate"] for one in entry["mutants"]]
        counts = [found.count(fate) for fate in FATES]
        total = [a + b for a, b in zip(total, counts, strict=True)]
        noticed = entry["by_promises"]
        rows.append([
            subject, ", ".join(bench.name.removeprefix("check_") for bench in SUBJECTS[subject]), str(len(found)),
            *map(str, counts), f"{noticed[0]} of {noticed[1]}" if noticed else "", entry["commit"],
        ])
    text = [
        "# Mutation (`make mutate`)", "",
        f"Mutants of each module (Yosys' `mutate`, seed {SEED}) against its benches on {GRID}. *Equivalent* is proved. "
        "*Promise*: a bench passes, but a promise is broken. *By promises*: of mutants of the proofs' grid, those that "
        "break one.", "",
        f"**{1 - total[3] / max(sum(total) - total[2], 1):.1%}** of {sum(total) - total[2]} mutants that are not "
        "proved equivalent are killed.", "",
        *markdown_table(["module", "benches", "mutants", *FATES, "by promises", "commit"], rows), "",
        "## Survivors", "",
        *(
            f"- {subject} {one['number']}, `{place_of(one['mutation'])}`: "
            + VERDICTS.get(subject, {}).get(place_of(one["mutation"]), "no verdict yet")
            for subject, entry in done.items() for one in entry["mutants"] if one["fate"] == "survived"
        ), "",
    ]
    (output / "mutation.md").write_text("\n".join(text), encoding="utf-8")
    write_json(output / MUTATION, {
        "command": "make mutate", "count": count, "seed": SEED, "grid": GRID, "subjects": done,
    })


if __name__ == "__main__":
    run_script(main)
