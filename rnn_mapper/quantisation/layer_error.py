"""How far the integers are from floating point, per layer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rnn_mapper.network.float_reference import FloatState, run_float
from rnn_mapper.network.network import FloatArray, Network
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.quantisation.quantise import quantise_inputs
from rnn_mapper.quantisation.reference import run_reference
from rnn_mapper.quantisation.start_state import quantise_state

#: Fraction of the steps that the first and the last window of the drift ratio take.
DRIFT_WINDOW = 0.2


@dataclass(frozen=True)
class LayerError:
    """The error of one layer's outputs, integer minus float run through all layers so far, in real units."""

    #: ``layer 0``, ..., ``head``.
    name: str
    rms: float
    #: 99.9th percentile of the magnitude.
    p999: float
    max: float
    #: RMS error of the last window of steps over that of the first; 1 if both are without error.
    drift: float
    #: RMS of the float outputs, to judge the errors by.
    signal_rms: float


def compare_with_float(
    network: Network, quantised: QuantisedNetwork, inputs: FloatArray, state: Sequence[FloatState] | None = None
) -> list[LayerError]:
    """Run both on [steps, input_size] from `state` (cleared if None); a LayerError per recurrent layer, then the
    head's."""
    exact = run_float(network, inputs, state)
    start = None if state is None else quantise_state(quantised, state)
    trace = run_reference(quantised, quantise_inputs(quantised, inputs), start)
    errors = []
    outputs = exact.layer_outputs[: len(quantised.layers)]
    for index, (layer, wanted, codes) in enumerate(zip(quantised.layers, outputs, trace.layer_outputs, strict=True)):
        errors.append(measure_error(f"layer {index}", wanted, codes.astype(np.float64) * layer.output_scale))
    if quantised.head is not None:
        errors.append(
            measure_error("head", exact.outputs, trace.outputs.astype(np.float64) * quantised.head.output_scale)
        )
    return errors


def measure_error(name: str, wanted: FloatArray, got: FloatArray) -> LayerError:
    """The error between two arrays [steps, width] in real units."""
    error = np.abs(got - wanted)
    window = max(1, int(len(error) * DRIFT_WINDOW))
    first, last = _rms(error[:window]), _rms(error[-window:])
    drift = last / first if first else (np.inf if last else 1.0)
    return LayerError(name, _rms(error), float(np.quantile(error, 0.999)), float(error.max()), drift, _rms(wanted))


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
