"""Options that select a model and a part of it, and the description of the model that a command prints."""

from __future__ import annotations

from collections import abc
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click
from rich.console import Console

if TYPE_CHECKING:
    from rnn_mapper.importers import Imported, Selection

__all__ = [
    "MODEL_HELP", "cells_option", "describe_model", "model_json", "model_option", "model_options",
    "models_from_options", "selection_from_options",
]

Command = TypeVar("Command", bound=Callable[..., object])
PATH = click.Path(path_type=Path)

MODEL_HELP = (
    "Trained network: ONNX, a PyTorch state_dict (.pt), safetensors, or .npz with PyTorch's names (weight_ih_l0, ...)."
)
cells_option = click.option(
    "--cells", "cells_file", type=PATH, metavar="FILE.py",
    help="Python file that defines cells with @cell, which models may then name. The file is run.",
)
model_option = click.option("--model", type=PATH, metavar="FILE", required=True, help=MODEL_HELP)


def model_options(function: Command) -> Command:
    """`--cell`, `--cells`, `--from`, `--to` and `--part`, which the command passes on to `models_from_options`.

    The command takes them as `cell`, `cells_file`, `start`, `stop` and `parts`.
    """
    options = (
        click.option("--cell", metavar="KIND",
                     help="Kind of cell, such as lstm ('spatial-rnn cell' lists all), if the file does not name it. "
                          "Required for nn.RNN: rnn_tanh or rnn_relu. Default: as in the file, else from the rows of "
                          "the weights (4 per unit: lstm, 3: gru)."),
        cells_option,
        click.option("--part", "parts", multiple=True, metavar="NAME[:FUNCTION]",
                     help="Module of a PyTorch file, in the order of the data, with the function that follows a "
                          "linear one (sigmoid, tanh, relu; softmax for the host): --part lstm --part fc:sigmoid. "
                          "Default: the only module."),
        click.option("--from", "start", metavar="TENSOR",
                     help="Tensor of an ONNX graph that the network begins with. Default: the graph's input."),
        click.option("--to", "stop", metavar="TENSOR",
                     help="Tensor of an ONNX graph that the network ends with. Default: the graph's output."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def models_from_options(files: tuple[Path, ...], options: abc.Mapping[str, Any]) -> list[Imported]:
    """The models of these files; `options` holds the values of `model_options`. Raises `ModelError`."""
    from rnn_mapper.cells.user_files import with_cells
    from rnn_mapper.importers import load_model

    cells = with_cells(options["cells_file"])
    chosen = selection_from_options(options)
    return [load_model(file, chosen, cells) for file in files]


def selection_from_options(options: abc.Mapping[str, Any]) -> Selection:
    """The selected part of a model, from the values of `model_options`."""
    from rnn_mapper.importers import Selection

    return Selection(options["cell"], options["start"], options["stop"], tuple(options["parts"]))


def describe_model(file: Path, model: Imported, console: Console) -> None:
    """Print how the content of the file was imported, a line for each of its parts, and the steps left to the host."""
    lines = [f"Model      {file.name}: {line}" for line in model.account]
    if model.host:
        lines.append(f"Host       left to the host: {', '.join(step.name for step in model.host)}")
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def model_json(file: Path, model: Imported) -> dict[str, Any]:
    """The description of the model as JSON values."""
    return {"file": file.name, "account": list(model.account), "host": [step.name for step in model.host],
            "start_state": model.state is not None}
