from typing import Any

import numpy as np
import pytest
import torch

from rnn_mapper import cells
from rnn_mapper.errors import ModelError
from rnn_mapper.importers.torch.modules import network_from_torch
from rnn_mapper.network.float_reference import run_float
from tests.support.random_networks import ALL_CELLS, random_network

MODULES = {
    cells.lstm: torch.nn.LSTM,
    cells.gru: torch.nn.GRU,
    cells.rnn_tanh: torch.nn.RNN,
    cells.rnn_relu: lambda *sizes, **options: torch.nn.RNN(*sizes, nonlinearity="relu", **options),
}


@pytest.mark.parametrize("cell", MODULES)
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"batch_first": True}, {"dropout": 0.3}])
@pytest.mark.filterwarnings("ignore:dropout option adds dropout")
def test_equals_torch(cell: cells.Cell, layers: int, options: dict[str, Any]) -> None:
    torch.manual_seed(layers)
    module = MODULES[cell](5, 7, num_layers=layers, **options).double().eval()
    head = torch.nn.Linear(7, 3).double()
    inputs = np.random.default_rng(layers).normal(size=(20, 5))
    with torch.no_grad():
        wanted, end = module(torch.from_numpy(inputs))
        wanted_head = head(wanted).numpy()
    network = network_from_torch(module, head)
    assert all(layer.cell is cell for layer in network.single_layers)
    trace = run_float(network, inputs)
    np.testing.assert_allclose(trace.layer_outputs[-2], wanted.numpy(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(trace.outputs, wanted_head, rtol=0, atol=1e-12)
    end_h, end_c = end if cell is cells.lstm else (end, None)
    for index, state in enumerate(trace.state):
        np.testing.assert_allclose(state["h"], end_h[index].numpy(), rtol=0, atol=1e-12)
        assert set(state) == ({"h"} if end_c is None else {"h", "c"})
        if end_c is not None:
            np.testing.assert_allclose(state["c"], end_c[index].numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_projection_equals_torch(layers: int) -> None:
    torch.manual_seed(layers)
    module = torch.nn.LSTM(5, 7, num_layers=layers, proj_size=3).double()
    inputs = np.random.default_rng(layers).normal(size=(20, 5))
    with torch.no_grad():
        wanted, (end_h, end_c) = module(torch.from_numpy(inputs))
    network = network_from_torch(module)
    assert all(layer.cell is cells.lstm_projection for layer in network.single_layers)
    trace = run_float(network, inputs)
    np.testing.assert_allclose(trace.outputs, wanted.numpy(), rtol=0, atol=1e-12)
    for index, state in enumerate(trace.state):
        np.testing.assert_allclose(state["h"], end_h[index].numpy(), rtol=0, atol=1e-12)
        np.testing.assert_allclose(state["c"], end_c[index].numpy(), rtol=0, atol=1e-12)


def test_equals_torch_in_single_precision() -> None:
    module = torch.nn.GRU(4, 6)
    inputs = np.random.default_rng(1).normal(size=(10, 4))
    with torch.no_grad():
        wanted = module(torch.from_numpy(inputs).float())[0].numpy()
    network = network_from_torch(module)
    np.testing.assert_allclose(run_float(network, inputs).outputs, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("cell", ALL_CELLS)
def test_continues_from_a_state(cell: cells.Cell) -> None:
    network = random_network(3, cell, hidden=(4, 6), outputs=2)
    inputs = np.random.default_rng(3).normal(size=(9, 5))
    whole = run_float(network, inputs)
    first = run_float(network, inputs[:4])
    second = run_float(network, inputs[4:], first.state)
    np.testing.assert_allclose(np.concatenate([first.outputs, second.outputs]), whole.outputs, atol=1e-12)


def test_refuses_inputs_of_another_width() -> None:
    with pytest.raises(ModelError, match=r"^inputs has shape 3 x 4, must have 5 features per step$"):
        run_float(random_network(0, cells.gru), np.zeros((3, 4)))
