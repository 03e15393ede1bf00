"""What a simulation is given and what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from rnn_mapper.fixed_point import Codes
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.network.network import FloatArray
from rnn_mapper.quantisation.layer_error import LayerError
from rnn_mapper.quantisation.reference import LayerState
from rnn_mapper.run.prepare import Prepared
from rnn_mapper.schedule.prediction import Prediction

__all__ = ["Comparison", "IntSequence", "SimulationResult"]


@dataclass(frozen=True, eq=False)
class IntSequence:
    """Inputs of one sequence in integers."""

    #: Operand codes [steps, input_size]; for several networks that share a schedule one such array each.
    codes: Codes | tuple[Codes, ...]
    #: State of every layer that it starts from, loaded over the bus (for several networks one such state each); None
    #: starts from a cleared state.
    state: Sequence[LayerState] | Sequence[Sequence[LayerState]] | None = None
    #: Number of the model among those that are resident.
    model: int = 0

    @property
    def steps(self) -> int:
        """Steps of the sequence."""
        return len(self.member_codes[0])

    @property
    def member_codes(self) -> tuple[Codes, ...]:
        """The inputs of each network."""
        return self.codes if isinstance(self.codes, tuple) else (self.codes,)

    @property
    def member_states(self) -> tuple[Sequence[LayerState] | None, ...]:
        """The state that each network starts from."""
        if self.state is None:
            return (None,) * len(self.member_codes)
        states = tuple(self.state) if isinstance(self.codes, tuple) else (self.state,)
        return cast(tuple[Sequence[LayerState], ...], states)


@dataclass(frozen=True, eq=False)
class Comparison:
    """A simulated sequence against the numpy reference (bits) and the prediction (cycles)."""

    #: int16 [steps, width], as they came out of the Verilog; of several networks side by side.
    outputs: npt.NDArray[np.int16]
    #: The same by the reference.
    expected: npt.NDArray[np.int16]
    prediction: Prediction
    #: The grid's CYCLES register.
    cycles_simulated: int
    build_seconds: float
    run_seconds: float
    waves: Path | None

    @property
    def cycles_predicted(self) -> int:
        """Cycles by the mapper."""
        return self.prediction.cycles

    @property
    def mismatches(self) -> int:
        """Outputs that differ from the reference's."""
        return int(np.count_nonzero(self.outputs != self.expected))

    @property
    def is_exact(self) -> bool:
        """Every output and the cycle count are as expected."""
        return not self.mismatches and self.cycles_predicted == self.cycles_simulated


@dataclass(frozen=True, eq=False)
class SimulationResult(Comparison):
    """What `simulate` returns."""

    prepared: Prepared
    simulator: str
    #: Per layer, and last the head if there is one: integers against float64; of several streams the worst.
    layer_errors: list[LayerError]
    #: Wall time of the whole call.
    seconds: float

    @property
    def cycles(self) -> int:
        """Simulated cycles of the sequence."""
        return self.cycles_simulated

    @property
    def outputs_float(self) -> FloatArray:
        """`outputs` in real units."""
        return self.outputs.astype(np.float64) * self.mapping.network.output_scale

    @property
    def mapping(self) -> Mapping:
        """The network on the grid."""
        return self.prepared.mapping

    @property
    def streams(self) -> int:
        """Independent sequences that ran at once."""
        return len(self.mapping.members)

    @property
    def stream_outputs(self) -> npt.NDArray[np.int16]:
        """[streams, steps, width]: `outputs` taken apart."""
        return np.stack(np.split(self.outputs, self.streams, axis=1))

    @property
    def grid(self) -> str:
        """Name of the grid."""
        return self.prepared.grid_name

    @property
    def h_rms_error(self) -> float:
        """RMS error of the last recurrent layer's h against float64, run through all layers."""
        return self.layer_errors[len(self.mapping.network.layers) - 1].rms

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        p = self.mapping.parameters
        return {
            "grid": self.grid,
            "parameters": p.to_dict(),
            "simulator": self.simulator,
            "steps": len(self.outputs),
            "streams": self.streams,
            "cycles_predicted": self.cycles_predicted,
            "cycles_simulated": self.cycles_simulated,
            "cycles_per_step": self.cycles_simulated / len(self.outputs),
            "cycles_per_step_and_stream": self.cycles_simulated / len(self.outputs) / self.streams,
            "mismatches": self.mismatches,
            "outputs": int(self.outputs.size),
            "utilisation": self.prediction.utilisation,
            "account": dict(vars(self.prediction.account)),
            "h_rms_error": self.h_rms_error,
            "layers": [vars(error) for error in self.layer_errors],
            "calibration": [self.mapping.network.choice.to_json()],
            "seconds": self.seconds,
            "build_seconds": self.build_seconds,
            "run_seconds": self.run_seconds,
        }
