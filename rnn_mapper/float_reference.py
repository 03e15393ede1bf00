"""Networks in float64, with the equations of torch.nn.LSTM, GRU and RNN: what quantisation is measured against."""

from dataclasses import dataclass

import numpy as np

from .model_files import check_inputs
from .network import Cell, FloatArray, Network, RecurrentLayer


@dataclass(frozen=True, eq=False)
class FloatState:
    """What one layer carries from step to step."""

    #: [H].
    h: FloatArray
    #: [H] for LSTM, else None.
    c: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class FloatTrace:
    """The result of a run over `steps` steps."""

    #: Per layer [steps, H].
    h: tuple[FloatArray, ...]
    #: Per layer [steps, H] for LSTM, else None.
    c: tuple[FloatArray | None, ...]
    #: [steps, O] of the head, else the last layer's h.
    outputs: FloatArray
    #: Per layer, after the last step; `run_float` continues from it.
    state: tuple[FloatState, ...]


def run_float(network: Network, inputs: FloatArray, state: tuple[FloatState, ...] | None = None) -> FloatTrace:
    """Run [steps, input_size] inputs from `state`, cleared if None. Raises ModelError if the inputs do not fit."""
    x = check_inputs(inputs, network.input_size)
    h_layers, c_layers, end = [], [], []
    for index, layer in enumerate(network.layers):
        h, c = _run_layer(layer, x, None if state is None else state[index])
        h_layers.append(h)
        c_layers.append(c)
        end.append(FloatState(h[-1], None if c is None else c[-1]))
        x = h
    outputs = x if network.head is None else x @ network.head.weight.T + network.head.bias
    return FloatTrace(tuple(h_layers), tuple(c_layers), outputs, tuple(end))


def _run_layer(layer: RecurrentLayer, x: FloatArray, state: FloatState | None) -> tuple[FloatArray, FloatArray | None]:
    hidden = layer.hidden_size
    h = np.zeros(hidden) if state is None else state.h
    c = np.zeros(hidden) if state is None or state.c is None else state.c
    x_part = x @ layer.weight_ih.T + layer.bias_ih
    h_trace, c_trace = np.empty((len(x), hidden)), np.empty((len(x), hidden))
    for step in range(len(x)):
        h_part = layer.weight_hh @ h + layer.bias_hh
        xs, hs = x_part[step].reshape(-1, hidden), h_part.reshape(-1, hidden)
        if layer.cell is Cell.LSTM:
            i, f, g, o = xs + hs
            c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
            h = _sigmoid(o) * np.tanh(c)
        elif layer.cell is Cell.GRU:
            r, z = _sigmoid(xs[:2] + hs[:2])
            h = (1 - z) * np.tanh(xs[2] + r * hs[2]) + z * h
        else:
            a = xs[0] + hs[0]
            h = np.tanh(a) if layer.cell is Cell.RNN_TANH else np.maximum(a, 0.0)
        h_trace[step], c_trace[step] = h, c
    return h_trace, c_trace if layer.cell is Cell.LSTM else None


def _sigmoid(x: FloatArray) -> FloatArray:
    return 0.5 * (1.0 + np.tanh(0.5 * x))  # does not overflow, unlike 1 / (1 + exp(-x))
