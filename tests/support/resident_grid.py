"""A grid that answers one sequence at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from rnn_mapper.bus import BusSequence
from rnn_mapper.mapping.deployment import Deployment
from rnn_mapper.mapping.packets import image_files
from sim_tests.host.grid_build import build_grid
from sim_tests.host.run import run_sequences

__all__ = ["ReplayedGrid"]


class ReplayedGrid:
    """A transport that simulates all sequences so far, from the reset on, to answer the last one."""

    def __init__(self, resident: Deployment, folder: Path) -> None:
        self.resident, self.folder = resident, folder
        self.build = build_grid(resident.parameters, "verilator")
        self.sequences: list[BusSequence] = []

    def __call__(self, sequence: BusSequence) -> npt.NDArray[np.int16]:
        self.sequences.append(sequence)
        images, parameters = image_files(self.resident), self.resident.parameters
        last = run_sequences(images, parameters, self.sequences, self.build, self.folder).results[-1]
        model = self.resident.models[sequence.model]
        assert last.cycles == model.predict(sequence.steps, cleared=not sequence.keep_state).cycles
        return last.outputs
