"""A grid that answers one sequence at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from rnn_mapper.mapping.deployment import Deployment
from rnn_mapper.mapping.sessions import BusSequence
from sim_tests.host.grid_runs import GridRun, Sequence, build_grid, run_sequences

__all__ = ["ReplayedGrid"]


class ReplayedGrid:
    """A transport that simulates all sequences so far, from the reset on, to answer the last one."""

    def __init__(self, resident: Deployment, folder: Path) -> None:
        self.resident, self.folder = resident, folder
        self.build = build_grid(resident.parameters, "verilator")
        self.sequences: list[Sequence] = []
        self.last: GridRun

    def __call__(self, sequence: BusSequence) -> npt.NDArray[np.int16]:
        job = Sequence(sequence.inputs, sequence.packets, sequence.keep_state, sequence.model)
        self.sequences.append(job)
        self.last = run_sequences(self.resident, self.sequences, self.build, self.folder)[-1]
        model = self.resident.models[job.model]
        assert self.last.cycles == model.predict(len(job.inputs), cleared=not job.keep_state).cycles
        return self.last.outputs
