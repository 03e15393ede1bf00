"""docs/regression.md: the jobs of the regression and their cases, from the list of jobs and the benches themselves."""

from __future__ import annotations

import ast
from pathlib import Path

import sim_tests.checks
from scripts.output import markdown_table
from sim_tests.bench.grids import GRIDS, ICARUS_GRIDS, TINY_GRIDS
from sim_tests.regression import Job, all_jobs

__all__ = ["cases_of", "regression_markdown"]


def cases_of(bench: str) -> dict[str, str]:
    """The tests of a bench and what each does, by its docstring's first line."""
    path = Path(str(sim_tests.checks.__file__)).parent / f"{bench}.py"
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.AsyncFunctionDef) and "cocotb.test" in "".join(map(ast.unparse, node.decorator_list)):
            found[node.name] = (ast.get_docstring(node) or "").splitlines()[0]
    return found


def _grids(jobs: list[Job]) -> str:
    names = [job.grid for job in jobs]
    for grids, text in ((list(GRIDS), "all"), (list(ICARUS_GRIDS), "small"), (list(TINY_GRIDS), "tiny")):
        if sorted(names) == sorted(grids):
            return text
    return " ".join(names)


def regression_markdown() -> str:
    """The page as Markdown."""
    jobs = all_jobs()
    rows = []
    for subject in dict.fromkeys(job.subject for job in jobs):
        mine = [job for job in jobs if job.subject == subject]
        kinds = {
            "Icarus": [job for job in mine if job.simulator == "icarus"],
            "Verilator": [job for job in mine if job.simulator == "verilator" and not job.scramble],
            "scrambled": [job for job in mine if job.scramble],
        }
        rows.append([subject, f"`{mine[0].bench}.py`", *(_grids(found) for found in kinds.values()), str(len(mine))])
    cases = [
        [f"`{bench}.py`", f"`{name}`", text]
        for bench in dict.fromkeys(job.bench for job in jobs) for name, text in cases_of(bench).items()
    ]
    return "\n".join([
        "# Regression", "",
        "Made by `python -m scripts.make_reference` from `sim_tests/regression.py` and the benches; do not edit.", "",
        f"`make regress` runs {len(jobs)} jobs: benches of single components with the parameters of a grid, and "
        "benches of whole grids. [Verification](verification.md) says what they are for.", "",
        f"Grids: {', '.join(GRIDS)} (rows, columns, lanes; \"-16\": 16-bit operands; `sim_tests/bench/grids.py`). "
        f"*Small*: {', '.join(ICARUS_GRIDS)}; *tiny*: {', '.join(TINY_GRIDS)}. *Scrambled*: under Verilator, with "
        "memories that start from random words. A component whose Verilog is the same for several grids is simulated "
        "for one of them. A test of what a grid cannot do (rows that differ, with one row) is reported as skipped.", "",
        "## Jobs", "",
        *markdown_table(["subject", "bench", "Icarus", "Verilator", "scrambled", "jobs"], rows), "",
        "## Cases", "",
        *markdown_table(["bench", "test", "what it does"], cases), "",
    ])
