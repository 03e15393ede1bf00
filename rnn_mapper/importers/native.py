"""The native model file: a NumPy ``.npz`` of tensors with PyTorch's names.

It is an ``.npz`` with PyTorch's ``state_dict`` names: ``weight_ih_l0``, ``weight_hh_l0``,
``bias_ih_l0``, ``bias_hh_l0``, ``..._l1`` for stacked layers, ``..._l0_reverse`` for the backward half of a
bidirectional layer, ``head.weight`` and ``head.bias`` for a dense head, and optionally ``cell``, the name of the cell,
``merge``, the merge mode of bidirectional layers (concat, as in PyTorch, or sum), and ``input.scale`` and
``input.offset``, a normalisation of the inputs by the host.
"""

import io
import re
from collections import abc
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rnn_mapper.cells.library import BUILT_IN
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.errors import ModelError, OutputError
from rnn_mapper.importers.arrays import load_arrays
from rnn_mapper.importers.imported import Imported
from rnn_mapper.importers.messages import with_source
from rnn_mapper.importers.pipeline import network_of
from rnn_mapper.importers.recurrent import LAYER_TENSOR, dense_layer, recurrent_layers
from rnn_mapper.importers.tensor import FileTensor
from rnn_mapper.importers.torch.state_dict import read_state_dict
from rnn_mapper.network.input_coding import InputCoding
from rnn_mapper.network.layers import Block, Dense, Layer, parse_cell
from rnn_mapper.network.network import Network
from rnn_mapper.network.tensors import FloatArray

_CELL_TENSOR = re.compile(r"layers\.(0|[1-9][0-9]{0,3})(_reverse)?\.(\w+)")
#: More than the name of a layer can express.
_MOST_LAYERS = 10_000
_HEAD_TENSORS = ("head.weight", "head.bias", "head.cell")
_CODING_TENSORS = ("input.scale", "input.offset")


def load_network(
    path: str | Path, cell: str | Cell | None = None, cells: abc.Mapping[str, Cell] = BUILT_IN
) -> Network:
    """Read a native model file.

    The cell comes from `cell`, else from the file, else from the rows of weight_hh per column (4: lstm, 3: gru).
    Raises ModelError with the path if the file is missing, damaged or not a supported model.
    `rnn_mapper.load_model` reads this and other formats.
    """
    arrays = load_arrays(path)
    return with_source(path, lambda: network_from_state_dict(arrays, cell, cells))


def save_network(path: str | Path, network: Network) -> None:
    """Write a native model file that load_network reads back exactly. Raises OutputError if it cannot be written."""
    tensors: dict[str, Any] = {}
    for index, block in enumerate(network.layers):
        if block.merge is not None:
            tensors[f"layers.{index}.merge"] = np.array(block.merge)
        for layer, backward in block.directions:
            place = f"layers.{index}{'_reverse' if backward else ''}"
            tensors[f"{place}.cell"] = np.array(layer.cell.name)
            tensors |= {f"{place}.{name}": value for name, value in layer.tensors.items()}
    if network.coding is not None:
        tensors |= {"input.scale": network.coding.scale, "input.offset": network.coding.offset}
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
    tensors: abc.Mapping[str, Any], cell: str | Cell | None = None, cells: abc.Mapping[str, Cell] = BUILT_IN
) -> Network:
    """The network of a mapping from state_dict names to arrays or torch tensors. Raises ModelError as load_network."""
    return import_arrays(tensors, cell, cells).network


def import_arrays(
    tensors: abc.Mapping[str, Any], cell: str | Cell | None = None, cells: abc.Mapping[str, Cell] = BUILT_IN,
    parts: Sequence[str] = (),
) -> Imported:
    """As network_from_state_dict, with an account.

    Names of the native file give the whole network; with any other name, or with `parts`, the rules of
    `rnn_mapper.importers.torch.state_dict` hold.
    """
    given = dict(tensors)
    stored, merge = given.pop("cell", None), given.pop("merge", None)
    name = cell if cell is not None else None if stored is None else str(stored)
    chosen = None if name is None else parse_cell(name, cells)
    # By layer and by half: "", or "_reverse" for the backward half of a bidirectional layer.
    packed: dict[str, FileTensor] = {}
    general: dict[tuple[int, str], dict[str, Any]] = {}
    merges: dict[int, str] = {}
    foreign = False
    for name, value in given.items():
        if LAYER_TENSOR.fullmatch(name):
            packed[name] = FileTensor.of(value)
        elif match := _CELL_TENSOR.fullmatch(name):
            if match[3] == "merge":
                merges[int(match[1])] = str(value)
            else:
                general.setdefault((int(match[1]), match[2] or ""), {})[match[3]] = value
        else:
            foreign = foreign or name not in (*_HEAD_TENSORS, *_CODING_TENSORS)
    if parts or foreign:
        return read_state_dict({name: FileTensor.of(value) for name, value in given.items()}, parts, chosen)
    if not packed and not general:
        raise ModelError("tensor weight_ih_l0 is missing, a model must have it")
    others = {
        place: partial(_general_layer, values, f"{place[0]}{place[1]}", chosen, cells)
        for place, values in general.items()
    }
    default = {} if merge is None else dict.fromkeys(range(_MOST_LAYERS), str(merge))
    layers = recurrent_layers(packed, chosen, merges={**default, **merges}, others=others)
    both = [index for index, layer in enumerate(layers) if layer.merge is not None]
    if set(merges) - set(both) or (merge is not None and not both):
        raise ModelError("merge is given, but no bidirectional layer (tensors such as weight_ih_l0_reverse) for it")
    head = _head(given)
    network, lines = network_of(layers, head), [_describe(layers, head)]
    if any(name in given for name in _CODING_TENSORS):
        network = replace(network, coding=InputCoding(*(_coding_tensor(given, name) for name in _CODING_TENSORS)))
        lines.insert(0, "input.scale and input.offset: part of the host's coding of the inputs")
    return Imported(network, tuple(lines))


def _coding_tensor(tensors: abc.Mapping[str, Any], name: str) -> FloatArray:
    if name not in tensors:
        raise ModelError(f"tensor {name} is missing, a model with one of {', '.join(_CODING_TENSORS)} must have both")
    return FileTensor.of(tensors[name]).numbers(name)


def _general_layer(
    tensors: abc.Mapping[str, Any], index: str, cell: Cell | None, cells: abc.Mapping[str, Cell]
) -> Layer:
    """A layer whose tensors are named after its cell's parameters."""
    tensors = dict(tensors)
    stored = tensors.pop("cell", None)
    if cell is None and stored is None:
        raise ModelError(f"layers.{index}.cell is missing, it must name the cell")
    own = parse_cell(str(stored), cells) if cell is None else cell

    def build() -> Layer:
        return Layer(own, {name: FileTensor.of(value).numbers(name) for name, value in tensors.items()})

    return with_source(f"layer {index}", build)


def _head(tensors: abc.Mapping[str, Any]) -> Dense | None:
    if "head.weight" not in tensors:
        if "head.bias" in tensors:
            raise ModelError("tensor head.weight is missing, head.bias must come with it")
        return None
    function = str(tensors.get("head.cell", "dense")).removeprefix("dense").removeprefix("_") or "identity"
    bias = tensors.get("head.bias")
    weight = FileTensor.of(tensors["head.weight"])
    return dense_layer(weight, None if bias is None else FileTensor.of(bias), function, "head")


def _describe(layers: Sequence[Block], head: Dense | None) -> str:
    """The line of the account."""
    names = [layer.kind for layer in layers]
    sizes = [layers[0].input_size, *(layer.output_size for layer in layers)]
    outputs = "" if head is None else f", {head.cell.name} head to {head.output_size}"
    return f"{' and '.join(dict.fromkeys(names))} {' -> '.join(map(str, sizes))}{outputs}"
