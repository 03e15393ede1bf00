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
from rnn_mapper.network.tensors import FloatArray
from rnn_mapper.quantisation.accuracy import LayerError
from rnn_mapper.quantisation.integer_network import LayerState
from rnn_mapper.run.prepare import Prepared
from rnn_mapper.schedule.prediction import CycleAccount, Prediction, sum_accounts

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
class SimulationResult:
    """What `simulate` returns."""

    #: [steps, width] as they came out of the Verilog, int16 (of a bidirectional last layer merged by the host), of
    #: several streams side by side; and the same by the reference.
    outputs: npt.NDArray[np.signedinteger[Any]]
    expected: npt.NDArray[np.signedinteger[Any]]
    #: The sequence of each segment, which ran one after the other.
    segments: tuple[Comparison, ...]
    prepared: Prepared
    simulator: str
    #: Per layer, and last the head if there is one: integers against float64; of several streams the worst.
    layer_errors: list[LayerError]
    #: Wall time of the whole call.
    seconds: float

    @property
    def cycles(self) -> int:
        """Simulated cycles of all segments; what the host does between them is not in them."""
        return sum(segment.cycles_simulated for segment in self.segments)

    @property
    def cycles_simulated(self) -> int:
        """The same as `cycles`."""
        return self.cycles

    @property
    def cycles_predicted(self) -> int:
        """Cycles by the mapper."""
        return sum(segment.cycles_predicted for segment in self.segments)

    @property
    def mismatches(self) -> int:
        """Values of all segments that differ from the reference's."""
        return sum(segment.mismatches for segment in self.segments)

    @property
    def is_exact(self) -> bool:
        """Every output and every cycle count are as expected."""
        return all(segment.is_exact for segment in self.segments)

    @property
    def prediction(self) -> Prediction:
        """That of the first segment: of the whole network, unless it has bidirectional layers."""
        return self.segments[0].prediction

    @property
    def account(self) -> CycleAccount:
        """Where the cycles of all segments go."""
        return sum_accounts([segment.prediction.account for segment in self.segments])

    @property
    def utilisation(self) -> float:
        """Share of all multiplier-cycles that are multiplications of the model."""
        busy = sum(segment.prediction.utilisation * segment.cycles_predicted for segment in self.segments)
        return busy / self.cycles_predicted

    @property
    def output_scale(self) -> float:
        """Real value of one output code."""
        return self.prepared.quantised.output_scale

    @property
    def outputs_float(self) -> FloatArray:
        """`outputs` in real units."""
        return self.outputs.astype(np.float64) * self.output_scale

    @property
    def mapping(self) -> Mapping:
        """The model of the first segment."""
        return self.prepared.mapping

    @property
    def streams(self) -> int:
        """Independent sequences that ran at once."""
        return self.prepared.streams

    @property
    def stream_outputs(self) -> npt.NDArray[np.signedinteger[Any]]:
        """[streams, steps, width]: `outputs` taken apart."""
        return np.stack(np.split(self.outputs, self.streams, axis=1))

    @property
    def grid(self) -> str:
        """Name of the grid."""
        return self.prepared.grid_name

    @property
    def build_seconds(self) -> float:
        """Time that the simulation took to build."""
        return self.segments[0].build_seconds

    @property
    def run_seconds(self) -> float:
        """Time of the run, which simulated all segments."""
        return self.segments[0].run_seconds

    @property
    def waves(self) -> Path | None:
        """Waves of all segments."""
        return self.segments[0].waves

    @property
    def h_rms_error(self) -> float:
        """RMS error of the last recurrent layer's h against float64, run through all layers."""
        return self.layer_errors[len(self.prepared.network.layers) - 1].rms

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        steps, quantised = len(self.outputs), self.prepared.quantised
        return {
            "grid": self.grid,
            "parameters": self.mapping.parameters.to_dict(),
            "simulator": self.simulator,
            "steps": steps,
            "streams": self.streams,
            "cycles_predicted": self.cycles_predicted,
            "cycles_simulated": self.cycles,
            "cycles_per_step": self.cycles / steps,
            "cycles_per_step_and_stream": self.cycles / steps / self.streams,
            "mismatches": self.mismatches,
            "outputs": int(self.outputs.size),
            "utilisation": self.utilisation,
            "account": dict(vars(self.account)),
            "h_rms_error": self.h_rms_error,
            "segments": [
                {
                    "name": segment.name, "model": self.prepared.first_model + number, "merge": segment.merge,
                    "cycles_predicted": one.cycles_predicted, "cycles_simulated": one.cycles_simulated,
                    "mismatches": one.mismatches, "utilisation": one.prediction.utilisation,
                }
                for number, (segment, one) in enumerate(zip(quantised.segments, self.segments, strict=True))
            ],
            "layers": [vars(error) for error in self.layer_errors],
            "calibration": [member.choice.to_json() for segment in quantised.segments for member in segment.members],
            "seconds": self.seconds,
            "build_seconds": self.build_seconds,
            "run_seconds": self.run_seconds,
        }
