"""Networks and inputs from and to files, and networks from PyTorch modules.

The native model file is an ``.npz`` with PyTorch's ``state_dict`` names: ``weight_ih_l0``, ``weight_hh_l0``,
``bias_ih_l0``, ``bias_hh_l0``, ``..._l1`` for stacked layers, ``..._l0_reverse`` for the backward half of a
bidirectional layer, ``head.weight`` and ``head.bias`` for a dense head, and optionally ``cell``, the name of the cell
kind, and ``merge``, that of the merge mode of bidirectional layers (concat, as in PyTorch, or sum).
"""

import io
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_mapper.bidirectional_network import Bidirectional, BidirectionalNetwork
from rnn_mapper.cells.library import BOX, gru, lstm, lstm_projection, rnn_relu, rnn_tanh
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.errors import ModelError, OutputError
from rnn_mapper.network import (
    Dense,
    FloatArray,
    Layer,
    Network,
    RecurrentLayer,
    check_inputs,
    check_tensor,
    parse_cell,
    shape_text,
)

_LAYER_TENSOR = re.compile(r"(weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)_l(0|[1-9][0-9]{0,3})(_reverse)?")
_CELL_TENSOR = re.compile(r"layers\.(0|[1-9][0-9]{0,3})(_reverse)?\.(\w+)")
_CELL_OF_ROWS = {4: lstm, 3: gru, 1: rnn_tanh}
_CELL_OF_TORCH_MODE = {"LSTM": lstm, "GRU": gru, "RNN_TANH": rnn_tanh, "RNN_RELU": rnn_relu}


def load_network(
    path: str | Path, cell: str | Cell | None = None, cells: Mapping[str, Cell] = BOX
) -> Network | BidirectionalNetwork:
    """Read a native model file.

    The cell kind comes from `cell`, else from the file, else from the rows of weight_hh per column (4: lstm, 3: gru,
    1: rnn_tanh). Raises ModelError with the path if the file is missing, damaged or not a supported model.
    """
    arrays = load_arrays(path)
    network: Network | BidirectionalNetwork = _with_source(
        path, lambda: network_from_state_dict(arrays, cell, cells)
    )
    return network


def plain_network(network: Network | BidirectionalNetwork) -> Network:
    """The network; raises ModelError if it has bidirectional layers, for what cannot do with them."""
    if isinstance(network, BidirectionalNetwork):
        raise ModelError("bidirectional layers are not supported here: `map` and `simulate` take them")
    return network


def save_network(path: str | Path, network: Network | BidirectionalNetwork) -> None:
    """Write a native model file that load_network reads back exactly. Raises OutputError if it cannot be written."""
    tensors: dict[str, Any] = {}
    for index, layer in enumerate(network.layers):
        halves = {"_reverse": layer.backward, "": layer.forward} if isinstance(layer, Bidirectional) else {"": layer}
        if isinstance(layer, Bidirectional):
            tensors[f"layers.{index}.merge"] = np.array(layer.merge)
        for half, one in halves.items():
            tensors[f"layers.{index}{half}.cell"] = np.array(one.cell.name)
            tensors |= {f"layers.{index}{half}.{name}": value for name, value in one.tensors.items()}
    if network.head is not None:
        tensors |= {"head.weight": network.head.tensors["W"], "head.bias": network.head.tensors["b"]}
        tensors |= {"head.cell": np.array(network.head.cell.name)}
    buffer = io.BytesIO()  # complete before the file is touched
    np.savez(buffer, **tensors)
    try:
        Path(path).write_bytes(buffer.getvalue())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None


def network_from_state_dict(
    tensors: Mapping[str, Any], cell: str | Cell | None = None, cells: Mapping[str, Cell] = BOX
) -> Network | BidirectionalNetwork:
    """The network of a mapping from state_dict names to arrays or torch tensors. Raises ModelError as load_network."""
    tensors = dict(tensors)
    stored = tensors.pop("cell", None)
    if cell is not None:
        cell = parse_cell(cell, cells)
    elif stored is not None:
        cell = parse_cell(str(stored), cells)
    merge = tensors.pop("merge", None)
    # By layer and by half: "", or "_reverse" for the backward half of a bidirectional layer.
    names: dict[tuple[int, str], set[str]] = {}
    general: dict[tuple[int, str], dict[str, Any]] = {}
    merges: dict[int, str] = {}
    for name in tensors:
        if match := _LAYER_TENSOR.fullmatch(name):
            names.setdefault((int(match[2]), match[3] or ""), set()).add(match[1])
        elif match := _CELL_TENSOR.fullmatch(name):
            if match[3] == "merge":
                merges[int(match[1])] = str(tensors[name])
            else:
                general.setdefault((int(match[1]), match[2] or ""), {})[match[3]] = tensors[name]
        elif name not in ("head.weight", "head.bias", "head.cell"):
            raise ModelError(
                f"tensor {name} is unknown, names must be those of a PyTorch state_dict such as weight_ih_l0, or of a "
                "cell's parameters such as layers.0.W"
            )
    if not names and not general:
        raise ModelError("tensor weight_ih_l0 is missing, a model must have it")

    def half(index: int, suffix: str) -> Layer:
        if (index, suffix) in general:
            return _general_layer(general[index, suffix], f"{index}{suffix}", cell, cells)
        for kind in ("weight_ih", "weight_hh"):
            if kind not in names.get((index, suffix), ()):
                raise ModelError(f"tensor {kind}_l{index}{suffix} is missing, every layer must have it")
        return _layer(tensors, f"{index}{suffix}", cell)

    layers: list[Layer | Bidirectional] = []
    for index in range(max(index for index, _ in (*names, *general)) + 1):
        layer = half(index, "")
        if (index, "_reverse") in names or (index, "_reverse") in general:
            mode = merges.pop(index, "concat" if merge is None else str(merge))
            pair = partial(Bidirectional, layer, half(index, "_reverse"), mode)
            layers.append(_with_source(f"layer {index}", pair))
        else:
            layers.append(layer)
    plain = tuple(layer for layer in layers if isinstance(layer, Layer))
    if merges or (merge is not None and len(plain) == len(layers)):
        raise ModelError("merge is given, but no bidirectional layer (tensors such as weight_ih_l0_reverse) for it")
    if len(plain) == len(layers):
        return Network(plain, _head(tensors))
    return BidirectionalNetwork(tuple(layers), _head(tensors))


def network_from_torch(module: Any, head: Any = None) -> Network | BidirectionalNetwork:
    """The network of a ``torch.nn.LSTM``, ``GRU`` or ``RNN`` and an optional ``torch.nn.Linear`` head.

    ``batch_first`` and ``dropout`` do not matter at batch 1 in inference. With ``bidirectional`` it is a
    `BidirectionalNetwork`. Raises ModelError for anything else.
    """
    cell = _CELL_OF_TORCH_MODE.get(getattr(module, "mode", ""))
    if cell is None:
        raise ModelError(
            f"{type(module).__name__} is not supported: must be torch.nn.LSTM, torch.nn.GRU or torch.nn.RNN"
        )
    if getattr(module, "proj_size", 0):
        cell = lstm_projection
    tensors = dict(module.state_dict())
    if head is not None:
        tensors |= {f"head.{name}": value for name, value in head.state_dict().items()}
    return network_from_state_dict(tensors, cell)


def load_arrays(path: str | Path) -> dict[str, npt.NDArray[Any]]:
    """All arrays of an ``.npz`` by name; raises ModelError with the path if it is not an intact one."""
    arrays = _read(Path(path))
    if isinstance(arrays, np.ndarray):
        raise ModelError(f"{path}: holds a single array, a model must be an .npz of named tensors")
    return arrays


def load_inputs(path: str | Path, input_size: int) -> FloatArray:
    """Read inputs [steps, input_size] from an ``.npy``, or an ``.npz`` of one array or of one named ``inputs``.

    Raises ModelError with the path if there is no such array, it is not finite, empty or of another width.
    """
    array = load_array(path)
    inputs: FloatArray = _with_source(path, lambda: check_inputs(array, input_size))
    return inputs


def load_array(path: str | Path) -> npt.NDArray[Any]:
    """The array of an ``.npy``, or of an ``.npz`` of one array or of one named ``inputs``, of any shape."""
    arrays = _read(Path(path))
    if not isinstance(arrays, np.ndarray):
        if "inputs" not in arrays and len(arrays) != 1:
            raise ModelError(f"{path}: holds {len(arrays)} arrays, must hold a single one or one named 'inputs'")
        arrays = arrays["inputs"] if "inputs" in arrays else next(iter(arrays.values()))
    return arrays


def _layer(tensors: Mapping[str, Any], index: str, cell: Cell | None) -> RecurrentLayer:
    weight_hh = check_tensor(f"weight_hh_l{index}", _to_numpy(tensors[f"weight_hh_l{index}"]), 2)
    if cell is None and f"weight_hr_l{index}" in tensors:
        cell = lstm_projection
    if cell is None:
        rows, columns = weight_hh.shape
        if rows % columns or rows // columns not in _CELL_OF_ROWS:
            raise ModelError(
                f"weight_hh_l{index} has shape {shape_text(weight_hh)}, "
                "must have 4 (lstm), 3 (gru) or 1 (rnn) rows per column"
            )
        cell = _CELL_OF_ROWS[rows // columns]
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    parts = [_to_numpy(tensors.get(f"{name}_l{index}")) for name in names]
    if parts[-1] is not None and cell is lstm:
        cell = lstm_projection
    layer: RecurrentLayer = _with_source(f"layer {index}", lambda: RecurrentLayer(cell, *parts))
    return layer


def _general_layer(
    tensors: Mapping[str, Any], index: str, cell: Cell | None, cells: Mapping[str, Cell]
) -> Layer:
    """A layer whose tensors are named after its cell's parameters."""
    tensors = dict(tensors)
    stored = tensors.pop("cell", None)
    if cell is None and stored is None:
        raise ModelError(f"layers.{index}.cell is missing, it must name the kind of cell")
    kind = parse_cell(str(stored), cells) if cell is None else cell
    arrays = {name: _to_numpy(value) for name, value in tensors.items()}
    layer: Layer = _with_source(f"layer {index}", lambda: Layer(kind, arrays))
    return layer


def _head(tensors: Mapping[str, Any]) -> Dense | None:
    if "head.weight" not in tensors:
        if "head.bias" in tensors:
            raise ModelError("tensor head.weight is missing, head.bias must come with it")
        return None
    kind = str(tensors.get("head.cell", "dense")).removeprefix("dense").removeprefix("_") or "identity"
    weight, bias = _to_numpy(tensors["head.weight"]), _to_numpy(tensors.get("head.bias"))
    head: Dense = _with_source("head", lambda: Dense(weight, bias, kind))
    return head


def _to_numpy(value: Any) -> Any:
    # A tensor may be on another device, need a gradient, or be bfloat16, which numpy lacks.
    return value.detach().cpu().double().numpy() if hasattr(value, "detach") else value


def _read(path: Path) -> npt.NDArray[Any] | dict[str, npt.NDArray[Any]]:
    if not path.exists():
        raise ModelError(f"{path}: no such file")
    if path.is_dir():
        raise ModelError(f"{path}: is a directory, must be an .npz or .npy file")
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            arrays = {name: loaded[name] for name in loaded.files}
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or 'damaged file'}") from None
    except Exception as error:  # numpy, zipfile and zlib raise many kinds on damaged files, none of them documented
        kind = "pickled objects are not accepted" if "Object arrays" in str(error) else "damaged, or not a NumPy file"
        raise ModelError(f"{path}: {kind}") from None
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):  # other members of a zip come as bytes
        raise ModelError(f"{path}: damaged, or not a NumPy file")
    return arrays


def _with_source(source: object, build: Any) -> Any:
    try:
        return build()
    except ModelError as error:
        raise ModelError(f"{source}: {error}") from None
