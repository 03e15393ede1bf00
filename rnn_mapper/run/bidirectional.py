"""Networks with bidirectional layers through the Verilog of a grid, compared with the reference bit by bit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hdl.parameters import GridParameters
from rnn_mapper.fixed_point import IntArray
from rnn_mapper.mapping.bidirectional import (
    QuantisedBidirectional,
    compare_bidirectional,
    map_bidirectional,
    quantise_bidirectional,
    run_bidirectional,
)
from rnn_mapper.mapping.deployment import Resident
from rnn_mapper.mapping.mapper import TYPICAL_STEPS
from rnn_mapper.network.bidirectional import BidirectionalNetwork
from rnn_mapper.network.network import FloatArray
from rnn_mapper.quantisation.calibration import DEFAULT_RULE, ScaleRule
from rnn_mapper.quantisation.layer_error import LayerError
from rnn_mapper.run.prepare import default_calibration, on_grid
from rnn_mapper.run.result import Comparison, IntSequence
from rnn_mapper.run.simulate import choose_simulator, verify_in
from rnn_mapper.schedule.phases import PhaseOrder

__all__ = ["BidirectionalResult", "PreparedBidirectional", "prepare_bidirectional", "simulate_bidirectional"]


@dataclass(frozen=True, eq=False)
class PreparedBidirectional:
    """A network with bidirectional layers on a grid."""

    network: BidirectionalNetwork
    quantised: QuantisedBidirectional
    #: Its segments; MODEL is the number of the segment.
    resident: Resident
    grid_name: str
    #: The grid was chosen as the smallest preset that fits.
    grid_chosen: bool
    #: The calibration input was `default_calibration`.
    calibration_is_default: bool


@dataclass(frozen=True, eq=False)
class BidirectionalResult:
    """What `rnn_mapper.simulate` returns for a network with bidirectional layers."""

    #: [steps, output_size], merged from what came out of the Verilog, and the same by the reference.
    outputs: IntArray
    expected: IntArray
    #: The sequence of each segment.
    segments: list[Comparison]
    prepared: PreparedBidirectional
    simulator: str
    #: Per segment: integers against float64.
    layer_errors: list[LayerError]
    #: Wall time of the whole call.
    seconds: float

    @property
    def cycles_simulated(self) -> int:
        """Cycles of all segments; what the host does between them is not in them."""
        return sum(segment.cycles_simulated for segment in self.segments)

    @property
    def cycles(self) -> int:
        """Simulated cycles of all segments."""
        return self.cycles_simulated

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
    def outputs_float(self) -> FloatArray:
        """`outputs` in real units."""
        return self.outputs.astype(np.float64) * self.prepared.quantised.output_scale

    @property
    def grid(self) -> str:
        """Name of the grid."""
        return self.prepared.grid_name

    @property
    def waves(self) -> Path | None:
        """Waves of all segments, which ran one after the other."""
        return self.segments[0].waves

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        steps = len(self.outputs)
        return {
            "grid": self.grid,
            "parameters": self.prepared.resident.parameters.to_dict(),
            "simulator": self.simulator,
            "steps": steps,
            "streams": 1,
            "cycles_predicted": self.cycles_predicted,
            "cycles_simulated": self.cycles_simulated,
            "cycles_per_step": self.cycles_simulated / steps,
            "mismatches": self.mismatches,
            "outputs": int(self.outputs.size),
            "segments": [
                {
                    "name": segment.name, "model": number, "merge": segment.merge,
                    "cycles_predicted": one.cycles_predicted, "cycles_simulated": one.cycles_simulated,
                    "mismatches": one.mismatches, "utilisation": one.prediction.utilisation,
                }
                for number, (segment, one) in enumerate(
                    zip(self.prepared.quantised.segments, self.segments, strict=True)
                )
            ],
            "layers": [vars(error) for error in self.layer_errors],
            "calibration": [
                member.choice.to_json() for segment in self.prepared.quantised.segments for member in segment.members
            ],
            "seconds": self.seconds,
            "build_seconds": self.segments[0].build_seconds,
            "run_seconds": self.segments[0].run_seconds,
        }


def prepare_bidirectional(
    network: BidirectionalNetwork,
    calibration: FloatArray | None = None,
    grid: GridParameters | str | Path | None = None,
    *,
    ru: int | None = None,
    hu: int | None = None,
    steps: int = TYPICAL_STEPS,
    schedule: PhaseOrder = PhaseOrder.FUSED,
    rule: ScaleRule = DEFAULT_RULE,
) -> PreparedBidirectional:
    """As `rnn_mapper.prepare`, of a network with bidirectional layers."""
    typical = default_calibration(network) if calibration is None else calibration

    def place(parameters: GridParameters) -> tuple[QuantisedBidirectional, Resident]:
        quantised = quantise_bidirectional(network, typical, parameters.arithmetic, rule)
        return quantised, map_bidirectional(quantised, parameters, ru, hu, steps, schedule)

    name, (quantised, resident) = on_grid(grid, place)
    return PreparedBidirectional(network, quantised, resident, name, grid is None, calibration is None)


def simulate_bidirectional(
    prepared: PreparedBidirectional,
    inputs: FloatArray,
    simulator: str | None = None,
    waves: bool = False,
    results_dir: str | Path | None = None,
    progress: Callable[[str], None] = lambda text: None,
    started: float | None = None,
) -> BidirectionalResult:
    """As `rnn_mapper.simulate_prepared`, of a network with bidirectional layers.

    Every segment is sent what the reference makes of the segment before. As every value of that is compared, it is
    what the grid gave, unless the result says that something differs.
    """
    begun = time.perf_counter() if started is None else started
    quantised, resident = prepared.quantised, prepared.resident
    chosen = simulator or choose_simulator(resident, len(inputs))
    trace = run_bidirectional(quantised, inputs)
    sequences = [IntSequence(codes, model=number) for number, codes in enumerate(trace.codes)]
    compared = verify_in(resident, sequences, chosen, results_dir, waves, progress)
    outputs = np.split(compared[-1].outputs, np.cumsum([size for _, size in resident.models[-1].output_slices])[:-1], 1)
    return BidirectionalResult(
        quantised.segments[-1].merged(outputs), trace.outputs, compared, prepared, chosen,
        compare_bidirectional(prepared.network, quantised, inputs), time.perf_counter() - begun,
    )
