"""Prove all promises of the components, without a bound: `make formal`, minutes.

Writes formal.json and .md; with `--only`, what is recorded of the other components stays. The exit status is 1 when a
promise is not proved, a situation not reached, or no broken variant of a component found.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import click

from rnn_mapper.cli.tables import TableConsole
from scripts.output import markdown_table, output_option, run_script, write_json
from scripts.provenance import commit
from sim_tests.proofs.catalogue import PROOF_GRID, PROOFS, Claim, claims
from sim_tests.proofs.prover import NO_MUTATION, Result, Verdict, decide, mutations

#: Broken variants of each component, and the seed that chooses them.
VARIANTS, SEED = 12, 13
#: Seconds for all promises of a component at once, which help each other: one needs the others to be found inductive.
TOGETHER = 120.0
FORMAL = "formal.json"


def judge(claim: Claim) -> Result:
    """The outcome for one claim."""
    harness = PROOFS[claim.component](PROOF_GRID)
    if claim.is_promise:
        return decide(harness, promise=claim.text)
    return decide(harness, situation=claim.text)


def judge_together(component: str) -> Result:
    """Whether a component keeps all its promises: if so, each of them is proved."""
    return decide(PROOFS[component](PROOF_GRID), timeout=TOGETHER)


def judge_variant(component: str, mutation: str) -> Result:
    """Whether the promises of a component notice that it is broken."""
    return decide(PROOFS[component](PROOF_GRID), mutation=mutation, timeout=60)


def keeps_promises(component: str) -> bool:
    """Whether a component that is not broken keeps its promises by the same passes: else a variant says nothing."""
    return judge_variant(component, NO_MUTATION).verdict == Verdict.PROVED


@click.command()
@output_option
@click.option("--only", default="", metavar="COMPONENT", help=f"One of {', '.join(PROOFS)}; default: all.")
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True, help="Proofs at a time.")
def main(output: Path, only: str, jobs: int) -> None:
    """Prove, and write the tables."""
    console = TableConsole()
    started = time.perf_counter()
    components = [name for name in PROOFS if only in ("", name)]
    found: list[tuple[Claim, Result]] = []
    variants: dict[str, list[Result]] = {}
    with ProcessPoolExecutor(jobs) as pool:
        together = dict(zip(components, pool.map(judge_together, components), strict=True))
        running = {
            claim: pool.submit(judge, claim) for name in components for claim in claims(name)
            if not (claim.is_promise and together[name].verdict == Verdict.PROVED)
        }
        for claim in (claim for name in components for claim in claims(name)):
            result = running[claim].result() if claim in running else together[claim.component]
            found.append((claim, result))
            word = {True: result.verdict.value, False: "reached" if result.verdict == Verdict.BROKEN else "NOT REACHED"}
            console.print(f"[{time.perf_counter() - started:5.0f} s] {claim.component}: {claim.text}: "
                          f"{word[claim.is_promise]}", markup=False, soft_wrap=True)
        for name in components:
            passes = mutations(PROOFS[name](PROOF_GRID), VARIANTS, SEED)
            variants[name] = list(pool.map(judge_variant, [name] * len(passes), passes))
            broken = sum(one.verdict == Verdict.BROKEN for one in variants[name])
            console.print(f"[{time.perf_counter() - started:5.0f} s] {name}: {broken} of {len(passes)} broken variants "
                          "are found", markup=False, soft_wrap=True)
    missing = [claim for claim, result in found if result.verdict != claim.wanted]
    spoiled = [name for name in components if not keeps_promises(name)]
    blind = [name for name, results in variants.items() if all(one.verdict != Verdict.BROKEN for one in results)]
    earlier, earlier_variants = _recorded(output, only) if only else ([], {})
    everything = [*earlier, *found]
    _write(
        output, [pair for name in PROOFS for pair in everything if pair[0].component == name],
        {name: (earlier_variants | variants)[name] for name in PROOFS if name in earlier_variants | variants},
        time.perf_counter() - started,
    )
    for claim in missing:
        console.print(f"not confirmed: {claim.component}: {claim.text}", markup=False, soft_wrap=True)
    for name in spoiled:
        console.print(f"not proved by the passes of the variants: {name}", markup=False)
    for name in blind:
        console.print(f"no broken variant is found: {name}", markup=False)
    console.print(f"{len(found) - len(missing)} of {len(found)} claims confirmed in "
                  f"{time.perf_counter() - started:.0f} s", markup=False)
    sys.exit(1 if missing or blind or spoiled else 0)


def _recorded(output: Path, leave_out: str) -> tuple[list[tuple[Claim, Result]], dict[str, list[Result]]]:
    """What is on record of all components but one."""
    if not (output / FORMAL).exists():
        return [], {}
    values = json.loads((output / FORMAL).read_text(encoding="utf-8"))
    found = [
        (
            Claim(one["component"], one["text"], one["promise"]),
            Result(Verdict(one["verdict"]), one["depth"], one["seconds"]),
        )
        for one in values["claims"] if one["component"] != leave_out
    ]
    return found, {
        name: [Result(Verdict(verdict), None, 0.0) for verdict in verdicts]
        for name, verdicts in values["variants"].items() if name != leave_out
    }


def _write(
    output: Path, found: list[tuple[Claim, Result]], variants: dict[str, list[Result]], seconds: float
) -> None:
    rows = []
    for claim, result in found:
        reached = f"reached in cycle {result.depth}" if result.verdict == Verdict.BROKEN else "not reached"
        rows.append([claim.component, claim.text, result.verdict.value if claim.is_promise else reached])
    broken = [
        [name, str(sum(one.verdict == Verdict.BROKEN for one in results)),
         str(sum(one.verdict == Verdict.PROVED for one in results)), str(len(results))]
        for name, results in variants.items()
    ]
    text = [
        f"# Proofs (`make formal`, commit {commit()})", "",
        "Without a bound in time, for all inputs. [What is assumed, and what is not proved](../docs/proofs.md).", "",
        *markdown_table(["component", "promise or situation", "verdict"], rows), "",
        f"Broken variants (Yosys' `mutate`, seed {SEED}): those that no promise notices keep all promises.", "",
        *markdown_table(["component", "found", "keep all promises", "of"], broken), "",
    ]
    (output / "formal.md").write_text("\n".join(text), encoding="utf-8")
    values: dict[str, Any] = {
        "command": "make formal", "commit": commit(), "seconds": round(seconds, 1), "grid": PROOF_GRID.to_dict(),
        "claims": [
            {"component": claim.component, "text": claim.text, "promise": claim.is_promise,
             "verdict": result.verdict.value, "depth": result.depth, "seconds": round(result.seconds, 2)}
            for claim, result in found
        ],
        "variants": {name: [one.verdict.value for one in results] for name, results in variants.items()},
    }
    write_json(output / FORMAL, values)


if __name__ == "__main__":
    run_script(main)
