"""Every built-in cell computes the same as its framework or defining paper; quantised, nearly the same."""

from __future__ import annotations

import pickle
from collections import abc
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from rnn_mapper.cells import BUILT_IN, Cell
from rnn_mapper.cells.library import variant, variant_named
from rnn_mapper.importers.torch.modules import network_from_torch
from rnn_mapper.network.float_reference import run_float
from rnn_mapper.network.layers import Dense, Layer
from rnn_mapper.network.network import Network
from rnn_mapper.quantisation.codes import quantise_inputs
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.quantisation.reference import Reference
from tests.support.random_networks import one_layer

Array = npt.NDArray[np.float64]

#: Inputs, units and steps.
SIZES = [(1, 1, 3), (3, 5, 20), (17, 8, 40), (6, 33, 25)]
#: Tolerances for results of PyTorch and numpy in float64, and of onnxruntime, whose operators exist only in float32.
DOUBLE, SINGLE = 1e-12, 1e-6

sizes = pytest.mark.parametrize(("inputs", "units", "steps"), SIZES)


def _sigmoid(x: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def _generator(*numbers: int) -> np.random.Generator:
    return np.random.default_rng(numbers)


# PyTorch


@sizes
@pytest.mark.parametrize("name", ["LSTM", "projection", "GRU", "RNN", "relu"])
def test_torch(name: str, inputs: int, units: int, steps: int) -> None:
    torch.manual_seed(inputs)
    modules: dict[str, Callable[[], Any]] = {
        "LSTM": lambda: torch.nn.LSTM(inputs, units),
        # PyTorch rejects a projection that is not smaller.
        "projection": lambda: torch.nn.LSTM(inputs, units + 1, proj_size=max(1, units // 2)),
        "GRU": lambda: torch.nn.GRU(inputs, units),
        "RNN": lambda: torch.nn.RNN(inputs, units),
        "relu": lambda: torch.nn.RNN(inputs, units, nonlinearity="relu"),
    }
    cells = {"LSTM": "lstm", "projection": "lstm_projection", "GRU": "gru", "RNN": "rnn_tanh", "relu": "rnn_relu"}
    module = modules[name]().double()
    x = torch.randn(steps, inputs, dtype=torch.float64)
    network = network_from_torch(module)
    assert network.single_layers[0].cell is BUILT_IN[cells[name]]
    # Also from a state that is not zero.
    state = _states(network, _generator(inputs, units))
    order = [torch.tensor(state[one])[None] for one in network.single_layers[0].cell.state_names]
    with torch.no_grad():
        cleared, _ = module(x)
        kept, last = module(x, tuple(order) if len(order) > 1 else order[0])
    assert _error(run_float(network, x.numpy()).outputs, cleared.numpy()) < DOUBLE
    trace = run_float(network, x.numpy(), [state])
    assert _error(trace.outputs, kept.numpy()) < DOUBLE
    ends = last if isinstance(last, tuple) else (last,)
    for one, end in zip(network.single_layers[0].cell.state_names, ends, strict=True):
        assert _error(trace.state[0][one], end[0].numpy()) < DOUBLE


@sizes
@pytest.mark.parametrize(("function", "name"), [
    (None, "dense"), (torch.sigmoid, "dense_sigmoid"), (torch.tanh, "dense_tanh"), (torch.relu, "dense_relu"),
])
def test_dense(function: Any, name: str, inputs: int, units: int, steps: int) -> None:
    torch.manual_seed(units)
    module = torch.nn.Linear(inputs, units).double()
    x = torch.randn(steps, inputs, dtype=torch.float64)
    with torch.no_grad():
        wanted = module(x) if function is None else function(module(x))
    layer = Dense(module.weight.detach().numpy(), module.bias.detach().numpy(), name[6:] or "identity")
    assert layer.cell is BUILT_IN[name]
    assert _error(run_float(Network((layer,)), x.numpy()).outputs, wanted.numpy()) < DOUBLE


# ONNX


def _onnx(
    operator: str, x: Array, gates: str, tensors: abc.Mapping[str, Array], peepholes: Array | None = None,
    **attributes: int
) -> Array:
    """Outputs of onnxruntime; `gates` in ONNX's order, tensors W_g, U_g and b_g (and c_g) for each gate g."""
    units = len(tensors[f"W_{gates[0]}"])
    zero = np.zeros(units)
    values = {
        "X": x[:, None, :],
        "W": np.concatenate([tensors[f"W_{gate}"] for gate in gates])[None],
        "R": np.concatenate([tensors[f"U_{gate}"] for gate in gates])[None],
        "B": np.concatenate([*(tensors[f"b_{gate}"] for gate in gates),
                             *(tensors.get(f"c_{gate}", zero) for gate in gates)])[None],
    }
    names = ["X", "W", "R", "B"]
    if peepholes is not None:
        values["P"] = peepholes[None]
        names += ["", "", "", "P"]
    node = helper.make_node(operator, names, ["Y"], hidden_size=units, **attributes)
    graph = helper.make_graph(
        [node], "cell",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in values.items()],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [len(x), 1, 1, units])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {name: value.astype(np.float32) for name, value in values.items()})
    return np.asarray(result[:, 0, 0], dtype=np.float64)


def _single_precision(cell: Cell, rng: np.random.Generator, inputs: int, units: int) -> Network:
    """Tensors passed to onnxruntime unchanged."""
    (layer,) = one_layer(rng, cell, inputs, units).single_layers
    return Network((Layer(cell, {name: _single(value) for name, value in layer.tensors.items()}),))


def _single(values: Array) -> Array:
    return values.astype(np.float32).astype(np.float64)


@sizes
def test_peepholes(inputs: int, units: int, steps: int) -> None:
    rng = _generator(1, inputs, units)
    network = _single_precision(BUILT_IN["lstm_peephole"], rng, inputs, units)
    tensors = dict(network.single_layers[0].tensors)
    x = _single(rng.normal(size=(steps, inputs)))
    for letter in "WUb":
        tensors[f"{letter}_c"] = tensors[f"{letter}_g"]
    # Gates are input, output, forget, cell; peepholes input, output, forget.
    peepholes = np.concatenate([tensors[name] for name in ("p_i", "p_o", "p_f")])
    wanted = _onnx("LSTM", x, "iofc", tensors, peepholes)
    assert _error(run_float(network, x).outputs, wanted) < SINGLE
    without = _onnx("LSTM", x, "iofc", tensors)
    assert _error(run_float(network, x).outputs, without) > 100 * SINGLE, "the peepholes do nothing"


@sizes
def test_coupled_gates(inputs: int, units: int, steps: int) -> None:
    """onnxruntime couples the gates with f = 1 - i, so i has the weights of -f."""
    rng = _generator(2, inputs, units)
    network = _single_precision(BUILT_IN["cifg"], rng, inputs, units)
    tensors = dict(network.single_layers[0].tensors)
    for letter in "WUb":
        tensors[f"{letter}_c"] = tensors[f"{letter}_g"]
        tensors[f"{letter}_i"] = -tensors[f"{letter}_f"]
        # Values that onnxruntime must not read.
        tensors[f"{letter}_f"] = np.ones_like(tensors[f"{letter}_f"])
    x = _single(rng.normal(size=(steps, inputs)))
    wanted = _onnx("LSTM", x, "iofc", tensors, input_forget=1)
    assert _error(run_float(network, x).outputs, wanted) < SINGLE
    assert _error(run_float(network, x).outputs, _onnx("LSTM", x, "iofc", tensors)) > 100 * SINGLE


@sizes
@pytest.mark.parametrize(("name", "linear_before_reset"), [("gru_reset_before", 0), ("gru", 1)])
def test_gru_of_onnx(name: str, linear_before_reset: int, inputs: int, units: int, steps: int) -> None:
    rng = _generator(3, inputs, units)
    network = _single_precision(BUILT_IN[name], rng, inputs, units)
    tensors = dict(network.single_layers[0].tensors)
    for letter in "WUbc":
        if f"{letter}_n" in tensors:
            tensors[f"{letter}_h"] = tensors[f"{letter}_n"]
    x = _single(rng.normal(size=(steps, inputs)))
    wanted = _onnx("GRU", x, "zrh", tensors, linear_before_reset=linear_before_reset)
    assert _error(run_float(network, x).outputs, wanted) < SINGLE


# Papers


def _mgu(x: Array, p: abc.Mapping[str, Array]) -> Array:
    """Zhou, Wu, Zhang and Zhou, "Minimal gated unit for recurrent neural networks" (2016), equations 8a to 8c."""
    h, outputs = np.zeros(len(p["b_f"])), []
    for row in x:
        f = _sigmoid(p["W_f"] @ row + p["U_f"] @ h + p["b_f"])
        candidate = np.tanh(p["W_n"] @ row + p["U_n"] @ (f * h) + p["b_n"])
        h = (1 - f) * h + f * candidate
        outputs.append(h)
    return np.array(outputs)


def _sru(x: Array, p: abc.Mapping[str, Array]) -> Array:
    """Lei, Zhang and Artzi, "Training RNNs as fast as CNNs" (2017, first version), equations 3 to 7, g = tanh.

    The highway connection takes the input through a matrix, as required if the sizes of both differ.
    """
    c, outputs = np.zeros(len(p["b_f"])), []
    for row in x:
        transformed = p["W"] @ row
        f = _sigmoid(p["W_f"] @ row + p["b_f"])
        r = _sigmoid(p["W_r"] @ row + p["b_r"])
        c = f * c + (1 - f) * transformed
        outputs.append(r * np.tanh(c) + (1 - r) * (p["W_skip"] @ row))
    return np.array(outputs)


def _qrnn(x: Array, p: abc.Mapping[str, Array]) -> Array:
    """Bradbury, Merity, Xiong and Socher, "Quasi-recurrent neural networks" (2016), equations 1 and 4."""
    c, outputs = np.zeros(len(p["b_f"])), []
    for row in x:
        z = np.tanh(p["W_z"] @ row + p["b_z"])
        f = _sigmoid(p["W_f"] @ row + p["b_f"])
        o = _sigmoid(p["W_o"] @ row + p["b_o"])
        c = f * c + (1 - f) * z
        outputs.append(o * c)
    return np.array(outputs)


def _cifg(x: Array, p: abc.Mapping[str, Array]) -> Array:
    """Greff et al., "LSTM: a search space odyssey" (2015), without peepholes: i = 1 - f."""
    h = c = np.zeros(len(p["b_f"]))
    outputs = []
    for row in x:
        f = _sigmoid(p["W_f"] @ row + p["U_f"] @ h + p["b_f"])
        z = np.tanh(p["W_g"] @ row + p["U_g"] @ h + p["b_g"])
        o = _sigmoid(p["W_o"] @ row + p["U_o"] @ h + p["b_o"])
        c = z * (1 - f) + c * f
        h = np.tanh(c) * o
        outputs.append(h)
    return np.array(outputs)


@sizes
@pytest.mark.parametrize(("name", "definition"), [("mgu", _mgu), ("sru", _sru), ("qrnn", _qrnn), ("cifg", _cifg)])
def test_papers(
    name: str, definition: Callable[[Array, abc.Mapping[str, Array]], Array], inputs: int, units: int, steps: int
) -> None:
    rng = _generator(4, inputs, units)
    network = one_layer(rng, BUILT_IN[name], inputs, units)
    x = rng.normal(size=(steps, inputs))
    assert _error(run_float(network, x).outputs, definition(x, network.single_layers[0].tensors)) < DOUBLE


# Variants


def test_variants() -> None:
    """Other activations make another cell, made once; the activations of a built-in cell give that cell."""
    assert variant("lstm", ("sigmoid", "tanh", "tanh")) is BUILT_IN["lstm"]
    assert variant("rnn", ("relu",)) is BUILT_IN["rnn_relu"]
    made = variant("gru", ("sigmoid", "relu"))
    assert made is variant_named("gru_sigmoid_relu")
    assert made is pickle.loads(pickle.dumps(made))
    assert made.activations == ("sigmoid", "relu")
    assert variant_named("gru_sigmoid") is None
    network = one_layer(_generator(6), made, 3, 4)
    p, x, h = network.single_layers[0].tensors, _generator(7).normal(size=(6, 3)), np.zeros(4)
    for row, found in zip(x, run_float(network, x).outputs, strict=True):
        r, z = (_sigmoid(p[f"W_{g}"] @ row + p[f"U_{g}"] @ h + p[f"b_{g}"]) for g in "rz")
        n = np.maximum(p["W_n"] @ row + p["b_n"] + r * (p["U_n"] @ h + p["c_n"]), 0.0)
        h = z * h + (1 - z) * n
        np.testing.assert_allclose(found, h, atol=DOUBLE)


# Integers

#: RMS of the error divided by the RMS of the signal: at most 1.5 times the worst of three random networks.
#: A value read in the wrong format is off by a half or more.
BOUNDS = dict.fromkeys(BUILT_IN, 0.016) | {"lstm_projection": 0.024, "rnn_relu": 0.024, "dense_sigmoid": 0.006}


@pytest.mark.parametrize("name", BUILT_IN)
def test_integers_are_close(name: str) -> None:
    errors = []
    for seed in range(3):
        rng = _generator(5, seed)
        network = one_layer(rng, BUILT_IN[name], 24, 32)
        x = rng.normal(size=(200, 24))
        quantised = quantise(network, x)
        trace = Reference(quantised).run(quantise_inputs(quantised, x))
        wanted = run_float(network, x).outputs
        difference = trace.outputs * quantised.output_scale - wanted
        errors.append(float(np.sqrt((difference**2).mean() / (wanted**2).mean())))
        # A tanh of nearly 1 as an operand is limited to 127.
        assert {place for counts in trace.saturations for place in counts} <= {"feedback"}, trace.saturations
    assert max(errors) < BOUNDS[name], errors


def _states(network: Network, rng: np.random.Generator) -> dict[str, Array]:
    return {name: rng.uniform(-1, 1, size) for name, size in network.single_layers[0].state_sizes.items()}


def _error(found: Array, wanted: Array) -> float:
    assert found.shape == wanted.shape
    return float(np.abs(found - wanted).max())
