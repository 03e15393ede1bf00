"""Bidirectional layers: floats against PyTorch, files, and the Verilog against the reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rnn_mapper as srnn
from hdl.parameters import GridParameters
from rnn_mapper import cells
from rnn_mapper.errors import MappingError, ModelError
from rnn_mapper.importers.native import network_from_state_dict
from rnn_mapper.network.float_reference import run_float
from rnn_mapper.network.layers import Dense
from rnn_mapper.network.random import LayerShape, random_layer
from rnn_mapper.quantisation.quantise import quantise_model
from rnn_mapper.quantisation.reference import Reference, run_model
from sim_tests.bench.grids import RESIDENT_GRID, RESIDENT_GRID_16


def layer(cell: cells.Cell, inputs: int, hidden: int, seed: int) -> srnn.Layer:
    return random_layer(np.random.default_rng(seed), inputs, LayerShape(cell, hidden), 0.6)


def mixed(merge: str) -> srnn.Network:
    """Plain and bidirectional layers of several kinds and sizes, and a head."""
    backward = 4 if merge == "sum" else 3
    width = 4 if merge == "sum" else 4 + backward
    return srnn.Network(
        (
            layer(cells.gru, 5, 6, 1),
            srnn.Bidirectional(layer(cells.lstm, 6, 4, 2), layer(cells.gru_reset_before, 6, backward, 3), merge),
            layer(cells.rnn_relu, width, 5, 4),
            layer(cells.lstm, 5, 4, 5),
            srnn.Bidirectional(layer(cells.rnn_relu, 4, 3, 6), layer(cells.lstm, 4, 3, 7), merge),
        ),
        Dense(np.random.default_rng(8).normal(size=(2, 3 if merge == "sum" else 6))),
    )


@pytest.mark.parametrize("module", [
    torch.nn.LSTM(4, 5, num_layers=2, bidirectional=True), torch.nn.GRU(4, 3, num_layers=2, bidirectional=True),
    torch.nn.RNN(4, 3, bidirectional=True, bias=False), torch.nn.LSTM(4, 5, 2, bidirectional=True, proj_size=3),
], ids=["lstm", "gru", "rnn", "lstm_projection"])  # fmt: skip
def test_float_reference_is_pytorch(module: Any, tmp_path: Path) -> None:
    inputs = np.random.default_rng(1).normal(size=(11, 4))
    network = srnn.network_from_torch(module)
    with torch.no_grad():
        wanted = module.double()(torch.tensor(inputs))[0].numpy()
    np.testing.assert_allclose(run_float(network, inputs).outputs, wanted, rtol=0, atol=1e-6)
    # The native file keeps the layer, and so does a file with PyTorch's names.
    srnn.save_network(tmp_path / "model.npz", network)
    np.savez(tmp_path / "torch.npz", **{name: value.numpy() for name, value in module.state_dict().items()})
    for name in ("model.npz", "torch.npz"):
        kind = "rnn_tanh" if isinstance(module, torch.nn.RNN) and name == "torch.npz" else None
        loaded = srnn.load_network(tmp_path / name, kind)
        np.testing.assert_array_equal(run_float(loaded, inputs).outputs, wanted_of(network, inputs))


def wanted_of(network: srnn.Network, inputs: np.ndarray) -> np.ndarray:
    return run_float(network, inputs).outputs


def test_simulate_takes_a_pytorch_module() -> None:
    module = torch.nn.LSTM(4, 5, num_layers=2, bidirectional=True)
    inputs = torch.randn(7, 4)
    result = srnn.simulate(module, inputs, RESIDENT_GRID, simulator="verilator")
    assert result.is_exact
    assert result.mismatches == 0
    assert result.cycles == result.cycles_predicted
    assert len(result.segments) == 2
    np.testing.assert_array_equal(result.outputs, result.expected)
    with torch.no_grad():
        np.testing.assert_allclose(result.outputs_float, module(inputs)[0].numpy(), atol=0.02)


@pytest.mark.parametrize(
    ("merge", "grid", "error"),
    [("concat", RESIDENT_GRID, 0.05), ("sum", RESIDENT_GRID, 0.05), ("sum", RESIDENT_GRID_16, 0.02)],
    ids=["concat", "sum", "sum 16"],
)
def test_rtl_is_the_reference(merge: str, grid: GridParameters, error: float) -> None:
    network = mixed(merge)
    assert [segment.name for segment in network.segments] == [
        "layer 0", "layer 1", "layers 2 to 3", "layer 4", "head",
    ]
    inputs = np.random.default_rng(2).normal(size=(9, 5))
    result = srnn.simulate(network, inputs, grid, simulator="verilator")
    assert result.is_exact
    np.testing.assert_array_equal(result.outputs, result.expected)
    exact = run_float(network, inputs).outputs
    assert result.outputs_float.shape == exact.shape == (9, 2)
    np.testing.assert_allclose(result.outputs_float, exact, atol=error * np.abs(exact).max())
    figures = result.to_json()
    assert [one["model"] for one in figures["segments"]] == [0, 1, 2, 3, 4]
    assert sum(one["cycles_simulated"] for one in figures["segments"]) == figures["cycles_simulated"]


def test_each_half_is_calibrated_in_its_own_order() -> None:
    # Unit 1 is large only in the step after one in which unit 0 is: forwards, not backwards.
    tensors = {
        "W": np.eye(2), "U": np.array([[0.0, 0.0], [5.0, 0.0]]), "b": np.array([0.0, -9.0]),
    }
    layer = srnn.Layer(cells.rnn_relu, tensors)
    typical = np.array([[2.0, 0.0], [0.0, 3.0]])
    network = srnn.Network((srnn.Bidirectional(layer, layer),))
    forward, backward = quantise_model(network, typical).segments[0].members
    # Peaks of 4 and 2: the smallest shift that fits 4096 and 2048 codes into int8.
    assert (forward.layers[0].state_format("h").shift, backward.layers[0].state_format("h").shift) == (6, 5)


def test_merged_outputs_by_hand() -> None:
    """Halves with different formats: the backward half is reversed, scaled to the finer format, and added."""
    network = srnn.Network(
        (srnn.Bidirectional(layer(cells.rnn_relu, 4, 3, 6), layer(cells.lstm, 4, 3, 7), "sum"),)
    )
    inputs = 3 * np.random.default_rng(2).normal(size=(6, 4))
    quantised = quantise_model(network, inputs)
    forward, backward = quantised.segments[0].members
    assert forward.output_scale > backward.output_scale, "the formats must differ for this test"
    codes = np.clip(np.rint(inputs / forward.input_scale), -127, 127).astype(np.int8)
    one = Reference(forward).run(codes).outputs.astype(int)
    other = Reference(backward).run(codes[::-1]).outputs.astype(int)[::-1]
    wanted = one * round(forward.output_scale / backward.output_scale) + other
    np.testing.assert_array_equal(run_model(quantised, inputs).outputs, wanted)


@pytest.mark.parametrize(("build", "message"), [
    (lambda: srnn.Bidirectional(layer(cells.lstm, 3, 4, 1), layer(cells.lstm, 3, 4, 2), "mul"),
     "merge 'mul' is not supported: choose concat, sum"),
    (lambda: srnn.Bidirectional(layer(cells.lstm, 3, 4, 1), layer(cells.lstm, 2, 4, 2)),
     "the backward layer takes 2 values, must take 3 like the forward layer"),
    (lambda: srnn.Bidirectional(layer(cells.lstm, 3, 4, 1), layer(cells.lstm, 3, 5, 2), "sum"),
     "the backward layer gives 5 values, must give 4 like the forward layer: the two are added"),
    (lambda: srnn.Network(
        (srnn.Bidirectional(layer(cells.lstm, 3, 4, 1), layer(cells.lstm, 3, 4, 2)), layer(cells.lstm, 4, 4, 1))),
     "layer 1 (lstm) takes 4 values, must take 8, the output of layer 0"),
    (lambda: srnn.Network(
        (srnn.Bidirectional(layer(cells.lstm, 3, 4, 1), layer(cells.lstm, 3, 4, 2)),), Dense(np.ones((2, 4)))),
     "head.weight has 4 columns, must have 8, the last hidden size"),
    (lambda: network_from_state_dict(
        {"weight_ih_l0": np.ones((4, 2)), "weight_hh_l0": np.ones((4, 1)), "merge": "sum"}),
     "merge is given, but no bidirectional layer (tensors such as weight_ih_l0_reverse) for it"),
    (lambda: srnn.quantise(mixed("sum"), np.ones((3, 5))),
     "bidirectional layers are not supported by quantise: `map` and `simulate` take them"),
])  # fmt: skip
def test_refusals(build: Any, message: str) -> None:
    with pytest.raises(ModelError) as error:
        build()
    assert str(error.value) == message


def test_streams_run_side_by_side_in_every_segment() -> None:
    inputs = np.random.default_rng(3).normal(size=(2, 6, 5))
    network = srnn.Network(mixed("concat").layers[:2], Dense(np.random.default_rng(8).normal(size=(2, 7))))
    together = srnn.simulate(network, inputs, RESIDENT_GRID, simulator="verilator")
    assert together.is_exact
    assert (together.streams, together.outputs.shape) == (2, (2, 6, 2))
    quantised = together.prepared.quantised
    for outputs, one in zip(together.outputs, inputs, strict=True):
        np.testing.assert_array_equal(outputs, srnn.run_model(quantised, one).outputs)


def test_each_direction_starts_from_a_state_of_its_own() -> None:
    module = torch.nn.LSTM(4, 5, num_layers=2, bidirectional=True)
    inputs = np.random.default_rng(4).normal(size=(7, 4))
    network = srnn.network_from_torch(module)
    rng = np.random.default_rng(5)
    # In PyTorch's order: layer 0 forward and backward, layer 1 forward and backward.
    h, c = rng.uniform(-0.9, 0.9, size=(2, 4, 5))
    state = tuple({"h": h[index], "c": c[index]} for index in range(4))
    with torch.no_grad():
        wanted = module.double()(torch.tensor(inputs), (torch.tensor(h), torch.tensor(c)))[0].numpy()
    np.testing.assert_allclose(run_float(network, inputs, state).outputs, wanted, rtol=0, atol=1e-6)
    result = srnn.simulate(srnn.Imported(network, state=state), inputs, RESIDENT_GRID, simulator="verilator")
    assert result.is_exact
    np.testing.assert_allclose(result.outputs_float, wanted, atol=0.03)
    cleared = srnn.simulate(network, inputs, RESIDENT_GRID, simulator="verilator")
    assert np.abs(cleared.outputs_float - wanted).max() > 0.1
    assert len(list(result.prepared.start_packets())) > len(list(cleared.prepared.start_packets())) == 0


def test_streams_start_from_the_states_of_all_layers() -> None:
    """A segment of two layers below one of two directions: each layer of each stream gets its own state."""
    network = srnn.Network((
        layer(cells.gru, 5, 6, 1), layer(cells.rnn_tanh, 6, 4, 2),
        srnn.Bidirectional(layer(cells.lstm, 4, 3, 3), layer(cells.gru, 4, 2, 4)),
    ))
    rng = np.random.default_rng(6)
    state = tuple(
        {name: rng.uniform(-0.9, 0.9, size) for name, size in one.state_sizes.items()} for one in network.single_layers
    )
    inputs = rng.normal(size=(2, 5, 5))
    result = srnn.simulate(srnn.Imported(network, state=state), inputs, RESIDENT_GRID, simulator="verilator")
    assert result.is_exact
    for outputs, one in zip(result.outputs_float, inputs, strict=True):
        np.testing.assert_allclose(outputs, run_float(network, one, state).outputs, atol=0.03)
        assert np.abs(outputs - run_float(network, one).outputs).max() > 0.1, "the states must be felt"
    assert result.account.total == pytest.approx(result.cycles)
    assert result.utilisation == pytest.approx(result.account.multiplying / result.account.total)
    assert min(one.prediction.utilisation for one in result.segments) < result.utilisation < 1


def test_calibration_starts_from_the_state() -> None:
    """Each unit keeps its value, so the state decides the range of h, and of the input of the segment above."""
    tensors = {"W": np.eye(2), "U": np.eye(2), "b": np.zeros(2)}
    keeps = srnn.Layer(cells.rnn_relu, tensors)
    network = srnn.Network((keeps, srnn.Bidirectional(keeps, keeps)))
    typical, state = np.full((3, 2), 0.1), [{"h": np.array([9.0, 9.0])}]
    cleared, started = (quantise_model(network, typical, state=one).segments for one in (None, state))
    shifts = [one[0].members[0].layers[0].state_format("h").shift for one in (cleared, started)]
    assert shifts[0] is not None
    assert shifts[1] is not None
    assert shifts[0] < shifts[1]
    # h ends at 0.3, or at 9.3.
    for segments, peak in ((cleared, 0.3), (started, 9.3)):
        assert [one.input_scale for one in segments[1].members] == pytest.approx([peak / 127] * 2)


def test_what_cannot_be_simulated() -> None:
    inputs = np.ones((2, 3, 5))
    with pytest.raises(MappingError, match=r"^the model does not fit the grid: .*models"):
        srnn.simulate(mixed("sum"), inputs[0], "small")
    blown_up = srnn.Network(
        (srnn.Bidirectional(layer(cells.rnn_relu, 3, 4, 1), layer(cells.rnn_relu, 3, 4, 2)),)
    )
    with pytest.raises(ModelError, match=r"^layer 0 (forward|backward): "):
        srnn.simulate(blown_up, np.full((3, 3), 1e300), RESIDENT_GRID)
