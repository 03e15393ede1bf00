"""Networks from modules of torch.nn itself; subclasses and lookalikes are rejected."""

from __future__ import annotations

import sys
from collections import abc
from typing import Any

from rnn_mapper.cells.library import BUILT_IN, gru, lstm, lstm_projection, rnn_relu, rnn_tanh
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.errors import ModelError
from rnn_mapper.importers.imported import Imported, Selection
from rnn_mapper.importers.layout import BATCH_FIRST, STEPS_FIRST
from rnn_mapper.importers.messages import QUANTISED
from rnn_mapper.importers.pipeline import Pipeline
from rnn_mapper.importers.recurrent import recurrent_layers, single_cell
from rnn_mapper.importers.tensor import FileTensor
from rnn_mapper.importers.torch.state_dict import ROOT, split_part
from rnn_mapper.network.layers import parse_cell
from rnn_mapper.network.network import Network

__all__ = ["import_module", "network_from_torch"]

_MODES = {"LSTM": lstm, "GRU": gru, "RNN_TANH": rnn_tanh, "RNN_RELU": rnn_relu}
_CELLS = {"LSTMCell": lstm, "GRUCell": gru, "tanh": rnn_tanh, "relu": rnn_relu}
_FUNCTIONS = {"Sigmoid": "sigmoid", "Tanh": "tanh", "ReLU": "relu"}
_HOST_FUNCTIONS = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}
_RECURRENT = ("LSTM", "GRU", "RNN")
_SINGLE = ("LSTMCell", "GRUCell", "RNNCell")
_NOTHING = ("Dropout", "Identity")
#: All classes of torch.nn that are accepted, themselves and not as the base of another class.
KNOWN = (*_RECURRENT, *_SINGLE, "Linear", "Sequential", *_FUNCTIONS, *_HOST_FUNCTIONS, *_NOTHING)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
#: Wrappers of modules, and the attribute that holds the module.
_WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}


def import_module(module: Any, selection: Selection | None = None) -> Imported:
    """The network of a module of torch.nn: nn.LSTM, GRU, RNN, their Cells, Linear, and nn.Sequential of these with
    Sigmoid, Tanh, ReLU, Dropout, Identity and, last, Softmax.

    Of a module of another class `selection.parts` names the children in the order of the data (``fc:sigmoid`` for a
    function after a Linear); its `forward` is ignored. Raises ModelError, by name, for every class and attribute
    that has no place on a grid.
    """
    chosen = selection or Selection()
    if chosen.start is not None or chosen.stop is not None:
        raise ModelError("--from and --to name tensors of an ONNX graph; of a PyTorch module name --part")
    parts = [split_part(part) for part in chosen.parts]
    if parts:
        children = dict(_nn_module(module).named_modules())
        found = [(name, _child(children, name), function) for name, function in parts]
    elif _class_of(module) in KNOWN:
        found = [("", module, None)]
    else:
        raise ModelError(_unread(module))
    pipeline = Pipeline()
    cell = None if chosen.cell is None else parse_cell(chosen.cell, BUILT_IN)
    for name, child, function in found:
        _add(pipeline, child, name, cell)
        if function is not None:
            pipeline.function(function, f"'{name}:{function}'")
    if found[0][1] is not module:
        pipeline.remark(f"forward() of {_full_name(module)} is ignored: the parts are taken in this order")
    return pipeline.imported()


def network_from_torch(module: Any, head: Any = None) -> Network:
    """The network of a ``torch.nn.LSTM``, ``GRU``, ``RNN`` or another module that `import_module` takes, and of an
    optional ``torch.nn.Linear`` head.

    ``dropout`` has no effect in inference; ``batch_first`` is lost, as a Network has no layout. Raises ModelError for
    anything else.
    """
    pipeline = Pipeline()
    if head is None:
        _add(pipeline, module, "", None)
    else:
        _add(pipeline, module, "0", None)
        _add(pipeline, head, "1", None)
    return pipeline.imported().network


def _nn_module(module: Any) -> Any:
    """The module; raises ModelError for anything else, such as TorchScript or a wrapper."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(module, torch.nn.Module):
        raise ModelError(
            f"a {type(module).__name__} is not a model: give a PyTorch module, the path of a model file or a Network"
        )
    if isinstance(module, torch.jit.ScriptModule):
        raise ModelError(
            f"{_full_name(module)} is TorchScript, which is not supported: export the module to ONNX, or give the "
            "module that was scripted"
        )
    if (inner := _WRAPPERS.get(type(module).__name__)) is not None:
        raise ModelError(f"{_full_name(module)} wraps a module: give its .{inner}")
    return module


def _class_of(module: Any) -> str:
    """Name of the class if it is one of `KNOWN` itself, else ""."""
    name = type(_nn_module(module)).__name__
    import torch

    return name if name in KNOWN and type(module) is getattr(torch.nn, name) else ""


def _full_name(module: Any) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"


def _child(children: abc.Mapping[str, Any], name: str) -> Any:
    if name == ROOT:
        return children[""]
    if name not in children:
        known = ", ".join(f"{key} ({type(child).__name__})" for key, child in list(children.items())[1:13])
        raise ModelError(f"part {name} is not there; there are {known or 'none'}")
    return children[name]


def _unread(module: Any) -> str:
    """The message for a module with a forward() of its own."""
    import torch

    if isinstance(module, tuple(getattr(torch.nn, name) for name in KNOWN)) or not len(list(module.children())):
        return _unsupported(module, "")
    owners = [
        (name, child) for name, child in module.named_modules()
        if any(True for _ in child.parameters(recurse=False)) or any(True for _ in child.buffers(recurse=False))
    ]
    quantised = [name for name, child in module.named_modules() if ".quantized." in f"{type(child).__module__}."]
    if quantised:
        raise ModelError(f"{_full_name(module)}, {quantised[0]}: {QUANTISED}")
    known = ", ".join(f"{name or ROOT} ({type(child).__name__})" for name, child in owners[:12]) or "none"
    text = f"{_full_name(module)} has a forward() of its own, which is not read, and these modules with parameters: "
    layers = [name for name, child in owners if _class_of(child) in (*_RECURRENT, *_SINGLE)]
    linear = [name for name, child in owners if _class_of(child) == "Linear"]
    if not layers:
        return f"{text}{known}; none of them is one that a grid can run: {', '.join((*_RECURRENT, *_SINGLE))}"
    example = tuple(name or ROOT for name in (layers[0], *linear[-1:]))
    function = f" (with the function after a Linear: '{example[-1]}:sigmoid')" if linear else ""
    return f"{text}{known}; name them in the order of the data, such as Selection(parts={example!r}){function}"


def _unsupported(module: Any, name: str) -> str:
    import torch

    where = f" '{name}'" if name else ""
    for known in KNOWN:
        if isinstance(module, getattr(torch.nn, known)):
            if hasattr(module, "parametrizations"):
                weights = ", ".join(module.parametrizations)
                return (
                    f"{known}{where} has parametrised weights ({weights}): put the effective ones in place first, with "
                    "torch.nn.utils.parametrize.remove_parametrizations(module, name)"
                )
            return (
                f"{_full_name(module)}{where} is a subclass of torch.nn.{known} and may compute something else: give "
                f"a torch.nn.{known} with its weights"
            )
    return (
        f"{_full_name(module)}{where} is not supported: must be one of torch.nn: {', '.join(KNOWN)}; what comes before "
        "or after these, such as an Embedding or a SiLU, is left to the host: name the others with Selection(parts=...)"
    )


def _add(pipeline: Pipeline, module: Any, name: str, cell: Cell | None) -> None:
    class_name = _class_of(module)
    title = f"{class_name} '{name}'" if name else class_name
    if not class_name:
        raise ModelError(_unsupported(module, name))
    for hooks in _HOOKS:
        if getattr(module, hooks, None):
            raise ModelError(
                f"{title} has {hooks.strip('_').replace('_', ' ')}, which may change what it computes (weight_norm and "
                "pruning do so): remove them, such as with torch.nn.utils.remove_weight_norm or prune.remove"
            )
    if class_name == "Sequential":
        for key, child in module.named_children():
            _add(pipeline, child, f"{name}.{key}" if name else key, cell)
    elif class_name in _RECURRENT:
        own = _agreed(title, _MODES[module.mode], cell)
        layout = BATCH_FIRST if module.batch_first else STEPS_FIRST
        layers = recurrent_layers(_tensors(module, title), own, name)
        pipeline.recurrent(f"{title}{_options(module)}", layers, layout)
    elif class_name in _SINGLE:
        own = _agreed(title, _CELLS[module.nonlinearity if class_name == "RNNCell" else class_name], cell)
        pipeline.recurrent(title, [single_cell(_tensors(module, title), own, name)])
    elif class_name == "Linear":
        tensors = _tensors(module, title)
        pipeline.linear(name or "linear", tensors["weight"], tensors.get("bias"))
    elif class_name in _FUNCTIONS:
        pipeline.function(_FUNCTIONS[class_name], title)
    elif class_name in _HOST_FUNCTIONS:
        if module.dim not in (-1, 2):
            raise ModelError(f"{title} has dim = {module.dim}, must be -1: over the features, whatever the batch")
        pipeline.function(_HOST_FUNCTIONS[class_name], title)
    else:
        pipeline.remark(f"{title}: no effect in inference")


def _agreed(title: str, own: Cell, wanted: Cell | None) -> Cell:
    if wanted is not None and wanted is not own and not (own is lstm and wanted is lstm_projection):
        raise ModelError(f"{title} is {own.name}, but the given cell is {wanted.name}")
    return own


def _options(module: Any) -> str:
    """Attributes that do not change the layers, for the account."""
    texts = []
    if not module.bias:
        texts.append("without biases")
    if module.batch_first:
        texts.append(f"batch_first: a batch is {BATCH_FIRST}")
    if module.dropout and module.num_layers > 1:
        texts.append(f"dropout {module.dropout:g}, no effect in inference")
    return f" ({'; '.join(texts)})" if texts else ""


def _tensors(module: Any, title: str) -> dict[str, FileTensor]:
    """The module's own parameters as it uses them."""
    flat = getattr(module, "_flat_weights", None)
    names = getattr(module, "_flat_weights_names", ())
    for name, value in zip(names, flat or (), strict=False):
        if module._parameters.get(name) is not value:
            raise ModelError(f"{title} computes with another tensor than its parameter {name}: put it there")
    tensors = {}
    for name, value in module._parameters.items():
        if value is None:
            continue
        if value.is_meta or not hasattr(value, "detach"):
            raise ModelError(f"{title}: {name} has no values (device {value.device}): load the weights first")
        tensors[name] = FileTensor.of(value)
    return tensors
