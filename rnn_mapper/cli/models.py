"""`spatial-rnn models`: trained models of PyPI packages end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from rnn_mapper.cli.common import (
    Output,
    force_option,
    grid_from_options,
    grid_is_named,
    grid_options,
    json_option,
)
from rnn_mapper.cli.mapped import PATH, print_line
from rnn_mapper.cli.output_files import output_directory

#: Exit status when a bound does not hold, or bits or cycles are not as expected.
DIFFERENT = 1


@click.command("models")
@click.option("--model", "keys", metavar="NAME", multiple=True,
              help="silero, g2p_en, g2pm or deepfilternet; may be given several times. Default: all of them.")
@click.option("--export", "directory", type=PATH, metavar="DIR",
              help="Run nothing, but write the networks into DIR, each with a short real input and its calibration "
                   "input, for `simulate`, `map` and all other commands.")
@grid_options
@force_option
@json_option
def command(
    keys: tuple[str, ...], directory: Path | None, force: bool, json_file: str | None, **options: Any
) -> int:
    """Run trained models of PyPI packages on real input: error, end task, and a part of it in the grid's Verilog.

    The end task is measured with the original float model and with its recurrent layers in the grid's integers. The
    exit status is 1 when a bound of docs/models.md does not hold, or an output or a cycle is not as expected. Without a
    grid option each model takes the preset of docs/models.md.

    Example: spatial-rnn models --model deepfilternet
    """
    # Imported here to keep the start of the other commands and of --help quick.
    from rich.markdown import Markdown

    from rnn_mapper.pretrained.catalogue import MODELS, export, load, measure_all
    from rnn_mapper.pretrained.report import markdown, to_json

    output = Output(json_file)
    grid = grid_from_options(options) if grid_is_named(options) else None
    models = [load(key) for key in dict.fromkeys(keys or MODELS)]
    if directory is not None:
        with output_directory(directory, force) as folder:
            commands = [line for model in models for line in export(model, folder)]
        commands = [line.replace(str(folder), str(directory)) for line in commands]
        print_line(output.console, "\n".join(commands))
        output.write_json({"commands": commands})
        return 0
    outcomes = measure_all(models, lambda text: print_line(output.console, text), grid)
    output.console.print()
    output.console.print(Markdown(markdown(outcomes, "spatial-rnn models")))
    output.write_json(to_json(outcomes))
    broken = [f"{one.facts.key}: {text}" for one in outcomes for text in one.broken]
    if broken:
        print_line(output.errors, f"different: {'; '.join(broken)}")
        return DIFFERENT
    return 0
