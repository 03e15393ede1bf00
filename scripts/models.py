"""Trained models of PyPI packages end to end: results/models.md, .json and .svg (`make models`)."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click
from rich.console import Console

from rnn_mapper.pretrained.catalogue import MODELS, load, measure_all
from rnn_mapper.pretrained.report import markdown, picture, to_json
from scripts.output import output_option, run_script, write_json
from scripts.provenance import commit


@click.command()
@output_option
def main(output: Path) -> None:
    """Measure all models and write the tables and the picture; the exit status is 1 when a bound does not hold."""
    started = time.perf_counter()
    console = Console(highlight=False)
    outcomes = measure_all(map(load, MODELS), lambda text: console.print(text, markup=False, soft_wrap=True))
    result = {
        "command": "make models", "commit": commit(), "seconds": round(time.perf_counter() - started, 1),
        **to_json(outcomes),
    }
    write_json(output / "models.json", result)
    text = markdown(outcomes, f"`{result['command']}`, commit {result['commit']}")
    (output / "models.md").write_text(text, encoding="utf-8")
    picture(outcomes, output / "models.svg")
    console.print(text, markup=False, soft_wrap=True)
    sys.exit(1 if any(one.broken for one in outcomes) else 0)


if __name__ == "__main__":
    run_script(main)
