#!/usr/bin/env python3
"""Real models of PyPI packages end to end: results/models.md, .json and .svg (`make models`)."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import rich_click as click
from rich.console import Console

from rnn_mapper.pretrained.catalogue import MODELS, load
from rnn_mapper.pretrained.model import measure
from rnn_mapper.pretrained.report import markdown, picture, to_json
from scripts.provenance import ROOT, commit


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), default=ROOT / "results", show_default=True)
def main(output: Path) -> None:
    """Measure all models and write the tables and the picture; the exit status is 1 when a bound does not hold."""
    started = time.perf_counter()
    console = Console(highlight=False)
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="srnn_models_") as folder:
        for key in MODELS:
            def tell(text: str, key: str = key) -> None:
                console.print(f"[{time.perf_counter() - started:5.0f} s]  {key}: {text}", markup=False, soft_wrap=True)

            outcomes.append(measure(load(key), Path(folder) / key, tell))
    output.mkdir(parents=True, exist_ok=True)
    result = {
        "command": "make models", "commit": commit(), "seconds": round(time.perf_counter() - started, 1),
        **to_json(outcomes),
    }
    (output / "models.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    text = markdown(outcomes, f"`{result['command']}`, commit {result['commit']}")
    (output / "models.md").write_text(text, encoding="utf-8")
    picture(outcomes, output / "models.svg")
    console.print(text, markup=False, soft_wrap=True)
    sys.exit(1 if any(one.broken for one in outcomes) else 0)


if __name__ == "__main__":
    main()
