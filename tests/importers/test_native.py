import inspect
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnn_mapper import cells
from rnn_mapper.cells import library
from rnn_mapper.errors import ModelError, OutputError
from rnn_mapper.importers.arrays import load_inputs
from rnn_mapper.importers.native import load_network, network_from_state_dict, save_network
from rnn_mapper.importers.torch.modules import network_from_torch
from rnn_mapper.network.layers import Dense, RecurrentLayer
from rnn_mapper.network.network import Network
from tests.support.random_networks import ALL_CELLS, random_network


def tensors(gates: int = 4, inputs: int = 3, hidden: int = 2) -> dict[str, Any]:
    rows = gates * hidden
    return {
        "weight_ih_l0": np.ones((rows, inputs)),
        "weight_hh_l0": np.ones((rows, hidden)),
        "bias_ih_l0": np.ones(rows),
        "bias_hh_l0": np.ones(rows),
    }


@pytest.mark.parametrize("cell", ALL_CELLS)
def test_save_and_load_keep_everything(tmp_path: Path, cell: cells.Cell) -> None:
    network = random_network(1, cell, hidden=(7, 4), outputs=3)
    save_network(tmp_path / "model.npz", network)
    loaded = load_network(tmp_path / "model.npz")
    assert loaded.head is not None
    assert network.head is not None
    for got, wanted in zip(loaded.stack, network.stack, strict=True):
        assert got.cell is wanted.cell
        assert set(got.tensors) == set(wanted.tensors)
        for name, value in wanted.tensors.items():
            assert (got.tensors[name] == value).all()


def test_saved_bytes_are_reproducible(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_network(tmp_path / name, random_network(1, cells.gru))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(("gates", "cell"), [(4, cells.lstm), (3, cells.gru)])
def test_cell_follows_from_the_rows(tmp_path: Path, gates: int, cell: cells.Cell) -> None:
    np.savez(tmp_path / "model.npz", **tensors(gates))
    assert load_network(tmp_path / "model.npz").single_layers[0].cell is cell


def test_the_function_of_an_rnn_must_be_named() -> None:
    with pytest.raises(ModelError, match=r"^weight_hh_l0 has shape 2 x 2, .* --cell rnn_tanh or --cell rnn_relu$"):
        network_from_state_dict(tensors(1))
    for cell in (cells.rnn_relu, cells.rnn_tanh):
        assert network_from_state_dict(tensors(1), cell.name).single_layers[0].cell is cell


def test_missing_biases_are_zeros_and_sizes_are_reported() -> None:
    given = tensors()
    del given["bias_ih_l0"], given["bias_hh_l0"]
    network = network_from_state_dict(given | {"head.weight": np.ones((5, 2))})
    for gate in "ifgo":
        assert not network.single_layers[0].tensors[f"b_{gate}"].any()
    assert (network.input_size, network.hidden_size, network.output_size) == (3, 2, 5)


#: Line of the equation that makes the projected output.
PROJECTION = next(
    place for place, line in enumerate(inspect.getsource(library).splitlines(), start=1) if "h = p.W_hr" in line
)
MALFORMED: list[tuple[dict[str, Any], str | None, str]] = [
    ({"weight_ih_l0": None}, None, "tensor weight_ih_l0 is missing, every layer must have it"),
    ({"weight_ih_l2": np.ones((8, 2))}, None, "tensor weight_ih_l1 is missing, every layer must have it"),
    (
        {"weight_hh_l0_reverse": np.ones((8, 2))},
        None,
        "tensor weight_ih_l0_reverse is missing, every layer must have it",
    ),
    (
        {"weight_hr_l0": np.ones((1, 2))},
        None,
        f"layer 0: library.py:{PROJECTION}: vectors of 2 values (p.U_o [2, 2]) and of 1 (p.W_hr [1, 2]) meet",
    ),
    ({"weight_hr_l0": np.ones((1, 2))}, "gru",
     "layer 0: weight_hr is required by a cell with a projection (lstm_projection), and allowed in no other"),
    (
        {"conv.weight": np.ones(3)},
        None,
        "holds . (LSTM 3 -> 2), conv (weight 3); their names do not show which of them are used, and in what order: "
        "name them in the order of the data, such as --part .",
    ),
    (
        {"weight_hh_l0": np.ones((10, 2))},
        None,
        "weight_hh_l0 has shape 10 x 2, must have 4 (lstm), 3 (gru) or 1 (rnn) rows per column",
    ),
    ({}, "gru", "layer 0: weight_hh has shape 8 x 2, must have 3 rows per column (gru)"),
    ({}, "peephole", "cell 'peephole' is not supported: choose " + ", ".join(cells.BUILT_IN)
     + ", or name a file that defines it with --cells FILE.py; did you mean 'lstm_peephole'?"),
    ({"weight_ih_l0": np.ones((7, 3))}, None, "layer 0: weight_ih has shape 7 x 3, must have 8 rows like weight_hh"),
    ({"weight_ih_l0": np.ones(8)}, None, "layer 0: weight_ih has shape 8, must have 2 dimensions"),
    ({"weight_ih_l0": np.ones((8, 0))}, None, "layer 0: weight_ih has shape 8 x 0, must not be empty"),
    ({"weight_ih_l0": np.full((8, 3), np.nan)}, None, "layer 0: weight_ih[0, 0] is nan, must be finite"),
    ({"bias_hh_l0": np.array([0.0] * 7 + [-np.inf])}, None, "layer 0: bias_hh[7] is -inf, must be finite"),
    ({"bias_hh_l0": np.ones(7)}, None, "layer 0: bias_hh has 7 values, must have 8, one per weight row"),
    (
        {"weight_hh_l0": np.full((8, 2), 1j)},
        None,
        "layer 0: weight_hh holds complex128 values, must be float64, float32, float16, bfloat16",
    ),
    ({"head.bias": np.ones(2)}, None, "tensor head.weight is missing, head.bias must come with it"),
    ({"head.weight": np.ones((4, 3))}, None, "head.weight has 3 columns, must have 2, the last hidden size"),
    (
        {"weight_ih_l1": np.ones((12, 5)), "weight_hh_l1": np.ones((12, 3))},
        None,
        "layer 1 (lstm) takes 5 values, must take 2, the output of layer 0",
    ),
]


@pytest.mark.parametrize(("change", "cell", "message"), MALFORMED)
def test_malformed_models_are_refused(change: dict[str, Any], cell: str | None, message: str) -> None:
    given = {name: value for name, value in (tensors() | change).items() if value is not None}
    with pytest.raises(ModelError) as error:
        network_from_state_dict(given, cell)
    assert str(error.value) == message


def test_a_model_without_layers_is_refused() -> None:
    with pytest.raises(ModelError, match=r"^tensor weight_ih_l0 is missing, a model must have it$"):
        network_from_state_dict({})
    with pytest.raises(ModelError, match=r"^the network has no layer, must have at least one$"):
        Network(())


def test_tensors_are_read_only_copies() -> None:
    given = np.ones((4, 1))
    layer = RecurrentLayer(cells.lstm, given, np.ones((4, 1)))
    given[:] = 2
    assert (layer.tensors["W_i"] == 1).all()
    with pytest.raises(ValueError, match="read-only"):
        layer.tensors["W_i"][0, 0] = 3
    assert Dense(np.ones((2, 3))).tensors["b"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (torch.nn.Conv1d(2, 3, 1),
         "torch.nn.modules.conv.Conv1d is not supported: must be one of torch.nn: LSTM, GRU, RNN, LSTMCell, GRUCell, "
         "RNNCell, Linear, Sequential, Sigmoid, Tanh, ReLU, Softmax, LogSoftmax, Dropout, Identity; what comes "
         "before or after these, such as an Embedding or a SiLU, is left to the host: name the others with "
         "Selection(parts=...)"),
    ],
)
def test_unsupported_torch_modules_are_named(module: Any, message: str) -> None:
    with pytest.raises(ModelError) as error:
        network_from_torch(module)
    assert str(error.value) == message


def test_torch_tensors_of_any_kind_are_taken() -> None:
    module = torch.nn.GRU(2, 3).bfloat16()
    layer = network_from_torch(module).single_layers[0]
    rows = np.concatenate([layer.tensors[f"W_{gate}"] for gate in "rzn"])
    assert (rows == module.weight_ih_l0.detach().float().numpy()).all()


def damaged_files(directory: Path) -> dict[str, tuple[Path, str]]:
    buffer = io.BytesIO()
    np.savez(buffer, **tensors())
    whole = buffer.getvalue()
    contents = {
        "empty": b"",
        "text": b"this is not a model\n",
        "truncated": whole[: len(whole) // 2],
        "damaged": whole[:300] + bytes(200) + whole[500:],
    }
    files = {}
    for name, content in contents.items():
        files[name] = (directory / name, "damaged, or not a NumPy file")
        files[name][0].write_bytes(content)
    with zipfile.ZipFile(directory / "other.zip", "w") as archive:
        archive.writestr("weight_ih_l0.npy", b"not an array")
    files["other zip"] = (directory / "other.zip", "damaged, or not a NumPy file")
    np.savez(directory / "object.npz", weight_ih_l0=np.array([{}], dtype=object))
    files["object"] = (directory / "object.npz", "pickled objects are not accepted")
    files["missing"] = (directory / "missing.npz", "no such file")
    files["directory"] = (directory, "is a directory, must be an .npz or .npy file")
    np.save(directory / "single.npy", np.ones(3))
    files["array"] = (directory / "single.npy", "holds a single array, a model must be an .npz of named tensors")
    return files


@pytest.mark.parametrize(
    "name", ["empty", "text", "truncated", "damaged", "other zip", "object", "missing", "directory", "array"]
)
def test_files_that_are_no_models_are_refused(tmp_path: Path, name: str) -> None:
    path, message = damaged_files(tmp_path)[name]
    with pytest.raises(ModelError) as error:
        load_network(path)
    assert str(error.value) == f"{path}: {message}"


def test_unwritable_output(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot be written: No such file or directory$"):
        save_network(tmp_path / "missing" / "model.npz", random_network(0, cells.gru))


def test_inputs_from_every_kind_of_file(tmp_path: Path) -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.save(tmp_path / "a.npy", x)
    np.savez(tmp_path / "b.npz", anything=x)
    np.savez(tmp_path / "c.npz", inputs=x, other=np.ones(4))
    for name in ("a.npy", "b.npz", "c.npz"):
        loaded = load_inputs(tmp_path / name, 3)
        assert loaded.dtype == np.float64
        assert (loaded == x).all()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"inputs": np.ones((2, 4))}, "inputs has shape 2 x 4, must have 3 features per step"),
        ({"inputs": np.ones((0, 3))}, "inputs has shape 0 x 3, must not be empty"),
        ({"inputs": np.ones(3)}, "inputs has shape 3, must have 2 dimensions"),
        ({"inputs": np.full((2, 3), np.inf)}, "inputs[0, 0] is inf, must be finite"),
        ({"inputs": np.array([["a"]])}, "inputs holds <U1 values, must be real numbers"),
        ({"a": np.ones(1), "b": np.ones(1)}, "holds 2 arrays, must hold a single one or one named 'inputs'"),
    ],
)
def test_bad_inputs_are_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    path = tmp_path / "inputs.npz"
    np.savez(path, **arrays)
    with pytest.raises(ModelError) as error:
        load_inputs(path, 3)
    assert str(error.value) == f"{path}: {message}"
