"""Keras models through ONNX, against the outputs of Keras (scripts/keras_fixtures.py made the files)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.imported import Imported
from rnn_mapper.importers.onnx.load import load_onnx
from rnn_mapper.network.layers import Bidirectional, Reversed
from tests.support.onnx_models import run_imported

DATA = Path(__file__).parent.parent / "data"

#: The layers of each fixture, and the operations left to the host.
FIXTURES = {
    "keras2_gru_reset_after": ("gru, dense", 0),
    "keras2_gru_reset_before": ("gru_reset_before", 0),
    "keras2_simple_rnn": ("rnn_tanh, rnn_relu", 0),
    "keras2_time_distributed": ("lstm, dense_sigmoid", 0),
    "keras3_batch_normalisation": ("dense_relu, lstm, dense, dense", 0),
    "keras3_bidirectional_gru_sum": ("bidirectional gru", 0),
    "keras3_bidirectional_last": ("bidirectional lstm", 3),
    "keras3_bidirectional_lstm": ("bidirectional lstm, dense_tanh", 0),
    "keras3_go_backwards": ("reversed lstm", 1),
    "keras3_gru_last": ("gru_sigmoid_relu, dense", 1),
    "keras3_gru_reset_after": ("gru, dense", 0),
    "keras3_gru_reset_before": ("gru_reset_before", 0),
    "keras3_lstm_last_dense": ("lstm, lstm, dense", 2),
    "keras3_lstm_relu_no_bias": ("lstm_sigmoid_relu_relu", 0),
    "keras3_simple_rnn": ("rnn_tanh, rnn_relu", 0),
}
REFUSED = {
    "keras2_hard_sigmoid": "activation hardsigmoid is not supported: the grid has sigmoid, tanh, relu",
    "keras3_hard_sigmoid": "carries 2 states, must carry one, the state of a GRU or of a simple RNN",
}


def kinds(imported: Imported) -> str:
    network = imported.network
    layers = [*network.layers, *([] if network.head is None else [network.head])]
    return ", ".join(one.kind if isinstance(one, Bidirectional | Reversed) else one.cell.name for one in layers)


def test_all_fixtures_are_known() -> None:
    assert sorted(path.stem for path in DATA.glob("keras*.onnx")) == sorted((*FIXTURES, *REFUSED))


@pytest.mark.parametrize("name", FIXTURES)
def test_keras(name: str) -> None:
    imported = load_onnx(DATA / f"{name}.onnx")
    assert (kinds(imported), len(imported.host)) == FIXTURES[name]
    with np.load(DATA / f"{name}.npz") as stored:
        found = run_imported(imported, stored["inputs"].astype(np.float64))
        np.testing.assert_allclose(found.reshape(-1), stored["outputs"].reshape(-1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", REFUSED)
def test_keras_that_is_refused(name: str) -> None:
    with pytest.raises(ModelError) as error:
        load_onnx(DATA / f"{name}.onnx")
    assert REFUSED[name] in str(error.value)
    assert str(error.value).isprintable()
