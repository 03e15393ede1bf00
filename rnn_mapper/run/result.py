"""The inputs and the results of a simulation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from rnn_mapper.fixed_point import Codes
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.quantisation.accuracy import LayerError
from rnn_mapper.quantisation.integer_network import LayerState
from rnn_mapper.report.clock import Clock, clock_json
from rnn_mapper.run.prepare import Prepared
from rnn_mapper.run.sequences import Sequences
from rnn_mapper.schedule.prediction import CycleAccount, Prediction, sum_accounts
from rnn_mapper.summary import Summarised, counted

__all__ = ["Comparison", "IntSequence", "SimulationResult"]


@dataclass(frozen=True, eq=False)
class IntSequence:
    """Inputs of one sequence in integers."""

    #: Operand codes [steps, input_size]; for several networks that share a schedule, one such array for each.
    codes: Codes | tuple[Codes, ...]
    #: Start state of every layer, loaded over the bus (for several networks, one such state for each); None is the
    #: cleared state.
    state: Sequence[LayerState] | Sequence[Sequence[LayerState]] | None = None
    #: Number of the model among the resident models (MODEL).
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
        """The start state of each network."""
        if self.state is None:
            return (None,) * len(self.member_codes)
        states = tuple(self.state) if isinstance(self.codes, tuple) else (self.state,)
        return cast(tuple[Sequence[LayerState], ...], states)


@dataclass(frozen=True, eq=False)
class Comparison:
    """A simulated sequence, compared with the numpy reference (bits) and with the prediction (cycles)."""

    #: Outputs of the Verilog, int16 [steps, width]; the outputs of several networks are side by side.
    outputs: npt.NDArray[np.int16]
    #: Outputs of the reference, in the same form.
    expected: npt.NDArray[np.int16]
    prediction: Prediction
    #: The grid's CYCLES register.
    cycles_simulated: int
    build_seconds: float
    run_seconds: float
    waves: Path | None

    @property
    def cycles_predicted(self) -> int:
        """Cycles that the mapper predicts."""
        return self.prediction.cycles

    @property
    def mismatches(self) -> int:
        """Outputs that differ from the reference's."""
        return int(np.count_nonzero(self.outputs != self.expected))

    @property
    def is_exact(self) -> bool:
        """Whether every output and the cycle count are as expected."""
        return not self.mismatches and self.cycles_predicted == self.cycles_simulated


@dataclass(frozen=True, eq=False, repr=False)
class SimulationResult(Summarised):
    """The result of `simulate`."""

    #: Outputs of the Verilog for each sequence, int16 [steps, width] (the host merges the outputs of a bidirectional
    #: last layer; its other steps are not applied); and the outputs of the reference, in the same form.
    sequence_outputs: tuple[npt.NDArray[np.signedinteger[Any]], ...]
    sequence_expected: tuple[npt.NDArray[np.signedinteger[Any]], ...]
    inputs: Sequences
    #: The runs on the grid, one after the other, each of as many sequences as `streams`; and in each of them the
    #: comparison of each segment.
    runs: tuple[tuple[Comparison, ...], ...]
    prepared: Prepared
    simulator: str
    #: Error of the integers against float64, per layer and last for the head if there is one; of several sequences
    #: the worst.
    layer_errors: list[LayerError]
    #: Wall time of the whole call.
    seconds: float
    #: The clock that the caller has named, from which times follow; None if there are only cycles.
    clock: Clock | None = None

    @property
    def outputs(self) -> Any:
        """Outputs of the Verilog in the form of the inputs: int16 [steps, width], a batch in its layout, or a list.

        The steps left to the host (`host`) are not applied.
        """
        return self.inputs.restore(self.sequence_outputs)

    @property
    def expected(self) -> Any:
        """Outputs of the reference, in the same form."""
        return self.inputs.restore(self.sequence_expected)

    @property
    def outputs_float(self) -> Any:
        """Outputs of the model in real units, after the steps left to the host, in the form of the inputs."""
        finish, scale = self.prepared.imported.finish, self.output_scale
        return self.inputs.restore([finish(one.astype(np.float64) * scale) for one in self.sequence_outputs])

    @property
    def host(self) -> tuple[str, ...]:
        """Steps left to the host, such as a softmax: applied to `outputs_float`, not to `outputs`."""
        return tuple(step.name for step in self.prepared.imported.host)

    @property
    def segments(self) -> tuple[Comparison, ...]:
        """The comparisons of all segments of all runs, in the order in which they ran."""
        return tuple(itertools.chain.from_iterable(self.runs))

    @property
    def steps(self) -> int:
        """Steps that the grid ran, of all runs."""
        return sum(self.inputs.steps) // self.streams

    @property
    def cycles(self) -> int:
        """Simulated cycles of all segments, without the host's work between them."""
        return sum(segment.cycles_simulated for segment in self.segments)

    @property
    def cycles_simulated(self) -> int:
        """The same as `cycles`."""
        return self.cycles

    @property
    def cycles_predicted(self) -> int:
        """Cycles that the mapper predicts."""
        return sum(segment.cycles_predicted for segment in self.segments)

    @property
    def microseconds(self) -> float | None:
        """Time of the cycles at the clock that the caller has named; None without one."""
        return None if self.clock is None else self.clock.microseconds(self.cycles)

    @property
    def mismatches(self) -> int:
        """Values of all segments that differ from the reference's."""
        return sum(segment.mismatches for segment in self.segments)

    @property
    def is_exact(self) -> bool:
        """Whether every output and every cycle count is as expected."""
        return all(segment.is_exact for segment in self.segments)

    @property
    def prediction(self) -> Prediction:
        """Prediction of the first segment: the whole network, unless it has bidirectional layers."""
        return self.segments[0].prediction

    @property
    def account(self) -> CycleAccount:
        """Where the cycles of all segments go."""
        return sum_accounts([segment.prediction.account for segment in self.segments])

    @property
    def utilisation(self) -> float:
        """Share of all multiplier-cycles that are multiplications of the model."""
        return _utilisation(self.segments)

    @property
    def output_scale(self) -> float:
        """Real value of one output code."""
        return self.prepared.quantised.output_scale

    @property
    def mapping(self) -> Mapping:
        """The model of the first segment."""
        return self.prepared.mapping

    @property
    def streams(self) -> int:
        """Sequences that ran at once."""
        return self.prepared.streams

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

    @property
    def summary(self) -> dict[str, str]:
        """The object in a few lines, by heading."""
        lines = {
            "inputs": self.inputs.text,
            "grid": self.grid,
            "cycles": f"{self.cycles:,}, {self.cycles / self.steps:,.1f} a step, "
                      + ("as predicted" if self.cycles == self.cycles_predicted
                         else f"{self.cycles_predicted:,} predicted"),
            "outputs": f"{counted(sum(one.size for one in self.sequence_outputs), 'value')}, {self.mismatches} "
                       "differ from the "
                       "reference",
        }
        if self.clock is not None:
            lines["time"] = self.clock.text(self.cycles)
        if self.host:
            lines["host"] = f"{', '.join(self.host)} (applied to outputs_float, not to outputs)"
        return lines

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        steps, quantised = self.steps, self.prepared.quantised
        return {
            "grid": self.grid,
            "parameters": self.mapping.parameters.to_dict(),
            "simulator": self.simulator,
            "steps": steps,
            "streams": self.streams,
            "sequences": list(self.inputs.steps),
            "inputs": self.inputs.text,
            "cycles_predicted": self.cycles_predicted,
            "cycles_simulated": self.cycles,
            "cycles_per_step": self.cycles / steps,
            "cycles_per_step_and_stream": self.cycles / steps / self.streams,
            **clock_json(self.clock, self.cycles, steps),
            "mismatches": self.mismatches,
            "outputs": sum(one.size for one in self.sequence_outputs),
            "host": list(self.host),
            "utilisation": self.utilisation,
            "account": dict(vars(self.account)),
            "h_rms_error": self.h_rms_error,
            "segments": [
                {
                    "name": segment.name, "model": self.prepared.first_model + number, "merge": segment.merge,
                    "cycles_predicted": sum(one.cycles_predicted for one in compared),
                    "cycles_simulated": sum(one.cycles_simulated for one in compared),
                    "mismatches": sum(one.mismatches for one in compared),
                    "utilisation": _utilisation(compared),
                }
                for number, (segment, compared) in enumerate(
                    zip(quantised.segments, zip(*self.runs, strict=True), strict=True)
                )
            ],
            "layers": [vars(error) for error in self.layer_errors],
            "calibration": [member.choice.to_json() for segment in quantised.segments for member in segment.members],
            "seconds": self.seconds,
            "build_seconds": self.build_seconds,
            "run_seconds": self.run_seconds,
        }


def _utilisation(compared: Sequence[Comparison]) -> float:
    """Share of the multiplier-cycles of several runs that are multiplications of the model."""
    busy = sum(one.prediction.utilisation * one.cycles_predicted for one in compared)
    return busy / sum(one.cycles_predicted for one in compared)
