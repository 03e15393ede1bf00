"""The operator tests of the onnx package, and reversed layers, on a grid: every bit, and close to floats."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

import rnn_mapper as srnn
from rnn_mapper import cells
from rnn_mapper.importers.onnx.load import load_onnx
from rnn_mapper.mapping.deployment import deploy
from rnn_mapper.network.float_reference import run_float
from rnn_mapper.network.layers import Dense, Reversed
from rnn_mapper.network.network import Network
from rnn_mapper.network.random import LayerShape, random_layer
from rnn_mapper.quantisation.codes import segment_codes
from rnn_mapper.quantisation.quantise import quantise_model
from rnn_mapper.quantisation.reference import Reference
from sim_tests.bench.grids import RESIDENT_GRID
from tests.importers.test_keras import DATA
from tests.importers.test_onnx import OPERATOR_TESTS, bound, operator_tests
from tests.support.onnx_models import single


@pytest.mark.parametrize("part", range(4))
def test_operator_tests_of_onnx_on_a_grid(part: int, tmp_path: Path) -> None:
    """A few tests at a time share one grid; every stream of every batch runs."""
    made = []
    for name in OPERATOR_TESTS[part::4]:
        proto, x, _ = bound(operator_tests()[name])
        imported = load_onnx(proto)
        values = [x[:, stream].astype(np.float64) for stream in range(x.shape[1])]
        calibration = np.concatenate(values)
        quantised = quantise_model(imported.network, calibration, state=imported.state)
        assert len(quantised.segments) == 1
        made.append((name, imported, quantised.segments[0], values, proto))
    resident = deploy([segment.members for _, _, segment, _, _ in made], RESIDENT_GRID)
    runs = [
        (name, imported, segment, one, wanted, model)
        for model, (name, imported, segment, values, proto) in enumerate(made)
        for stream, one in enumerate(values)
        for wanted in [_wanted(name, stream)]
    ]
    sequences = [srnn.IntSequence(segment_codes(segment, one), model=model) for _, _, segment, one, _, model in runs]
    compared = srnn.verify(resident, sequences, "verilator", tmp_path)
    for (name, imported, segment, _, wanted, model), result in zip(runs, compared, strict=True):
        assert result.is_exact, name
        widths = [size for _, size in resident.models[model].output_slices]
        outputs = np.split(result.outputs, np.cumsum(widths)[:-1], axis=1)
        found = imported.finish(segment.merged(outputs).astype(np.float64) * segment.output_scale)
        error = np.abs(found.reshape(-1) - wanted.reshape(-1))
        assert np.sqrt((error**2).mean()) <= 0.020, (name, error)
        assert np.quantile(error, 0.999) <= 0.12, (name, error)


def _wanted(name: str, stream: int) -> np.ndarray:
    """The first output of an operator test that is not a cell state, of one stream."""
    case = operator_tests()[name]
    proto, _, batch_first = bound(case)
    value = case.data_sets[0][1][0]
    assert proto.graph.output[0].name != "Y_c"
    return np.asarray(value[stream] if batch_first else value.take(stream, axis=value.ndim - 2))


@pytest.mark.parametrize("name", ["keras3_gru_last", "keras3_lstm_relu_no_bias"])
def test_cells_with_other_functions(name: str, tmp_path: Path) -> None:
    """Built-in cells with relu in place of tanh: on a grid, in files, and sent to other processes."""
    imported = load_onnx(DATA / f"{name}.onnx")
    network = imported.network
    assert isinstance(network, srnn.Network)
    cell = network.single_layers[0].cell
    assert "relu" in cell.name
    assert pickle.loads(pickle.dumps(cell)) is cell
    srnn.save_network(tmp_path / "model.npz", network)
    loaded = srnn.load_network(tmp_path / "model.npz")
    assert loaded.layers[0].cell is cell  # type: ignore[union-attr]
    with np.load(DATA / f"{name}.npz") as stored:
        result = srnn.simulate(network, stored["inputs"].astype(np.float64), RESIDENT_GRID, simulator="verilator")
        assert isinstance(result, srnn.SimulationResult)
        assert result.is_exact
        found = imported.finish(result.outputs.astype(np.float64) * result.mapping.network.output_scale)
        np.testing.assert_allclose(found.reshape(-1), stored["outputs"].reshape(-1), atol=0.05)


def test_functions_that_the_grid_cannot_combine() -> None:
    """Imported, because the mathematics is known; rejected by the quantisation to integers, with the reason."""
    proto = single("GRU", activations=["Tanh", "Tanh"])
    network = load_onnx(proto).network
    assert isinstance(network, srnn.Network)
    with pytest.raises(srnn.SpatialRnnError, match=r"1 - v needs v within \[0, 1\], such as a sigmoid"):
        srnn.quantise(network, np.ones((3, 3)))


def reversed_network() -> Network:
    """Reversed layers at the bottom, between others and below a head."""
    rng = np.random.default_rng(1)

    def layer(cell: cells.Cell, inputs: int, hidden: int) -> srnn.Layer:
        return random_layer(rng, inputs, LayerShape(cell, hidden), 0.6)

    return Network(
        (Reversed(layer(cells.gru, 4, 5)), layer(cells.lstm, 5, 3), Reversed(layer(cells.rnn_tanh, 3, 4)),
         Reversed(layer(cells.lstm, 4, 3))),
        Dense(rng.normal(size=(2, 3))),
    )


def test_reversed_layers_by_hand() -> None:
    network = reversed_network()
    assert [segment.name for segment in network.segments] == ["layer 0", "layer 1", "layer 2", "layer 3", "head"]
    assert [segment.backward for segment in network.segments] == [(True,), (False,), (True,), (True,), (False,)]
    inputs = np.random.default_rng(2).normal(size=(8, 4))
    values = inputs
    for layer in network.layers:
        assert not isinstance(layer, srnn.Bidirectional)
        if isinstance(layer, Reversed):
            assert layer.kind == f"reversed {layer.layer.cell.name}"
            values = srnn.run_float(srnn.Network((layer.layer,)), values[::-1]).outputs[::-1]
        else:
            values = srnn.run_float(srnn.Network((layer,)), values).outputs
    assert network.head is not None
    values = values @ network.head.tensors["W"].T + network.head.tensors["b"]
    np.testing.assert_allclose(run_float(network, inputs).outputs, values, rtol=0, atol=1e-12)
    # A reversed layer gives the integers of the plain layer on reversed inputs.
    alone = Network((network.layers[0],))
    quantised = quantise_model(alone, inputs).segments[0]
    codes = srnn.quantise_inputs(quantised.members[0], inputs)
    (sent,) = segment_codes(quantised, inputs)
    np.testing.assert_array_equal(
        quantised.merged([Reference(quantised.members[0]).run(sent).outputs]),
        Reference(quantised.members[0]).run(codes[::-1]).outputs[::-1],
    )


def test_reversed_layers_in_verilog() -> None:
    network = reversed_network()
    inputs = np.random.default_rng(2).normal(size=(7, 4))
    result = srnn.simulate(network, inputs, RESIDENT_GRID, simulator="verilator")
    assert isinstance(result, srnn.SimulationResult)
    assert result.is_exact
    exact = run_float(network, inputs).outputs
    np.testing.assert_allclose(result.outputs_float, exact, atol=0.05 * np.abs(exact).max())
