"""The real models by name: all of them measured, and their networks as files for every other command."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from hdl.parameters import GridParameters
from rnn_mapper.errors import ConfigurationError
from rnn_mapper.importers.native import save_network
from rnn_mapper.pretrained.deepfilternet.task import DeepFilterNetTask
from rnn_mapper.pretrained.g2p import G2pTask
from rnn_mapper.pretrained.g2pm import G2pmTask
from rnn_mapper.pretrained.model import RealModel, measure
from rnn_mapper.pretrained.outcome import Outcome
from rnn_mapper.pretrained.progress import with_seconds
from rnn_mapper.pretrained.silero import SileroTask
from sim_tests.simulator.run import logs_kept

__all__ = ["MODELS", "export", "load", "measure_all"]

MODELS: dict[str, type[RealModel]] = {
    one.facts.key: one for one in (SileroTask, G2pTask, G2pmTask, DeepFilterNetTask)
}


def load(key: str) -> RealModel:
    """The model of that name from its package. Raises ConfigurationError, ToolError or ModelError."""
    if key not in MODELS:
        raise ConfigurationError(f"model '{key}' is not known: choose {', '.join(MODELS)}")
    return MODELS[key]()


def measure_all(
    models: Iterable[RealModel], progress: Callable[[str], None], grid: GridParameters | str | Path | None = None
) -> list[Outcome]:
    """`measure` of each model; `progress` gets a line for each stage of the work, with the seconds since the start."""
    tell = with_seconds(progress)

    def measured(model: RealModel, folder: Path) -> Outcome:
        return measure(model, folder, lambda text: tell(f"{model.facts.key}: {text}"), grid=grid)

    with tempfile.TemporaryDirectory(prefix="srnn_models_") as folder, logs_kept():
        return [measured(model, Path(folder) / model.facts.key) for model in models]


def export(model: RealModel, directory: Path) -> list[str]:
    """Write each network with a short real input and its calibration input; returns commands that simulate them.

    NAME.npz is the network, NAME.input.npy the input, NAME.calibration.npy the calibration input.
    """
    commands = []
    inputs, typical = model.example(), model.calibration()
    for name, network in model.networks.items():
        stem = directory / f"{model.facts.key}_{name}"
        save_network(stem.with_suffix(".npz"), network)
        np.save(stem.with_suffix(".input.npy"), inputs[name])
        np.save(stem.with_suffix(".calibration.npy"), typical[name])
        commands.append(
            f"spatial-rnn simulate --model {stem}.npz --input {stem}.input.npy --calibration {stem}.calibration.npy "
            f"--calibration-method {model.rule.method} --preset {model.facts.grid}"
        )
    return commands
