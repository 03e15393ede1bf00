"""Networks from a state_dict: its modules, and the network of those that the user names."""

from __future__ import annotations

import re
from collections import abc
from collections.abc import Sequence
from dataclasses import dataclass, field

from rnn_mapper.cells.tracing import Cell
from rnn_mapper.errors import ModelError
from rnn_mapper.importers.imported import Imported
from rnn_mapper.importers.messages import printable
from rnn_mapper.importers.pipeline import Pipeline
from rnn_mapper.importers.recurrent import recurrent_layers, single_cell
from rnn_mapper.importers.tensor import FileTensor, shape_of

__all__ = ["ROOT", "Module", "modules_of", "read_state_dict", "split_part"]

#: Name of the module whose tensors have no prefix.
ROOT = "."
_RECURRENT = re.compile(r"(parametrizations\.)?(weight_ih|weight_hh)_l[0-9]+")
_CELL = re.compile(r"(parametrizations\.)?(weight_ih|weight_hh)(_g|_v|_orig|_mask|\..*)?")
_CLASS_OF_ROWS = {4: "LSTM", 3: "GRU", 1: "RNN"}
#: Modules that a message lists.
_LISTED = 12
_LONGEST_NAME = 60


@dataclass(frozen=True)
class Module:
    """The tensors of a module by their own names; `name` is their prefix, without a dot, `ROOT` for none."""

    name: str
    tensors: dict[str, FileTensor] = field(default_factory=dict)

    @property
    def role(self) -> str:
        """recurrent (stacked), cell, linear or other."""
        if any(_RECURRENT.match(name) for name in self.tensors):
            return "recurrent"
        if any(_CELL.fullmatch(name) for name in self.tensors):
            return "cell"
        weight = self.tensors.get("weight")
        if weight is not None and len(weight.shape) == 2 and set(self.tensors) <= {"weight", "bias"}:
            return "linear"
        return "other"

    @property
    def prefix(self) -> str:
        """For messages: the name, empty for the root."""
        return "" if self.name == ROOT else self.name

    def describe(self) -> str:
        """Name, class and sizes, such as ``lstm (LSTM 40 -> 64, 2 layers)``."""
        name = printable(self.name, _LONGEST_NAME)
        if self.role == "linear":
            weight = self.tensors["weight"]
            outputs, inputs = weight.shape
            if "bias" not in self.tensors:
                return f"{name} (linear {inputs} -> {outputs} without bias, or an embedding {outputs} x {inputs})"
            return f"{name} (linear {inputs} -> {outputs})"
        if self.role == "other":
            first = [f"{printable(key)} {shape_of(value)}" for key, value in list(self.tensors.items())[:2]]
            return f"{name} ({', '.join(first)}{', ...' if len(self.tensors) > 2 else ''})"
        suffix = "_l0" if self.role == "recurrent" else ""
        of_input, of_state = self.tensors.get(f"weight_ih{suffix}"), self.tensors.get(f"weight_hh{suffix}")
        if of_input is None or of_state is None or len(of_input.shape) != 2 or len(of_state.shape) != 2:
            return f"{name} (recurrent, incomplete)"
        projection = self.tensors.get(f"weight_hr{suffix}")
        columns = of_state.shape[1] if projection is None else (projection.shape or (0,))[-1]
        rows = of_state.shape[0] // columns if columns else 0
        layers = len({key for key in self.tensors if re.fullmatch(r"weight_hh_l[0-9]+", key)})
        made = _CLASS_OF_ROWS.get(rows, "recurrent") + (" cell" if self.role == "cell" else "")
        return f"{name} ({made} {of_input.shape[1]} -> {of_state.shape[1]}{f', {layers} layers' * (layers > 1)})"


def modules_of(tensors: abc.Mapping[str, FileTensor]) -> dict[str, Module]:
    """Modules by name, in the order of the file."""
    modules: dict[str, Module] = {}
    for name, tensor in tensors.items():
        owner, marker, rest = name.partition("parametrizations.")
        if marker and (not owner or owner.endswith(".")):
            prefix, own = owner[:-1], marker + rest
        else:
            prefix, _, own = name.rpartition(".")
        prefix = prefix or ROOT
        modules.setdefault(prefix, Module(prefix)).tensors[own] = tensor
    return modules


def read_state_dict(
    tensors: abc.Mapping[str, FileTensor], parts: Sequence[str] = (), cell: Cell | None = None,
    remarks: Sequence[str] = (),
) -> Imported:
    """The network of the modules that `parts` name in the order of the data, or of the only module there is.

    A part is ``NAME`` or ``NAME:FUNCTION``; NAME may be the end of a module's name if no other ends so. `cell` is that
    of the recurrent ones where their weights leave it open. `remarks` come first in the account.
    Raises ModelError, with what there is, if parts must be named or are not there.
    """
    modules = modules_of(tensors)
    if not modules:
        raise ModelError("holds no tensors, must hold a trained network")
    for name in tensors:
        if not name.isprintable():
            raise ModelError(f"tensor {printable(name)} has a name with control characters, must be a name of PyTorch")
    wanted: list[tuple[Module, str | None]]
    if not parts:
        chosen = list(modules.values())
        if len(chosen) != 1 or chosen[0].role not in ("recurrent", "cell"):
            raise ModelError(_must_name(modules))
        wanted = [(chosen[0], None)]
    else:
        wanted = [(_find(name, modules), function) for name, function in map(split_part, parts)]
    pipeline = Pipeline()
    for remark in remarks:
        pipeline.remark(remark)
    for module, function in wanted:
        _add(pipeline, module, function, cell)
    used = {module.name for module, _ in wanted}
    unused = [module.describe() for module in modules.values() if module.name not in used]
    if unused:
        pipeline.remark(f"not used: {_listed(unused)}")
    return pipeline.imported()


def split_part(part: str) -> tuple[str, str | None]:
    """Name and function of ``NAME[:FUNCTION]``."""
    name, colon, function = part.rpartition(":")
    if not colon:
        return part, None
    if not name or not function:
        raise ModelError(f"--part {part}: write NAME or NAME:FUNCTION, such as fc:sigmoid")
    return name, function


def _add(pipeline: Pipeline, module: Module, function: str | None, cell: Cell | None) -> None:
    match module.role:
        case "recurrent":
            layers = recurrent_layers(module.tensors, cell, module.prefix)
            pipeline.recurrent(_title(module), layers)
        case "cell":
            pipeline.recurrent(_title(module), [single_cell(module.tensors, cell, module.prefix)])
        case "linear":
            note = "" if function else f", no function after it (write {module.name}:sigmoid if there is one)"
            pipeline.linear(module.name, module.tensors["weight"], module.tensors.get("bias"), note)
        case _:
            raise ModelError(
                f"part {module.describe()} is neither recurrent nor linear: only LSTM, GRU, RNN, their cells and "
                "Linear have a place on the grid; compute it on the host and name the parts after it"
            )
    if function is not None:
        pipeline.function(function, f"'{module.name}:{function}'")


def _title(module: Module) -> str:
    known = len(module.name) <= _LONGEST_NAME
    layer_class = module.describe()[len(module.name) + 2 :].split(" ")[0] if known else "recurrent"
    return f"{layer_class} '{module.name}'" if module.prefix else layer_class


def _find(name: str, modules: abc.Mapping[str, Module]) -> Module:
    if name in modules:
        return modules[name]
    ending = [module for key, module in modules.items() if key.endswith(f".{name}")]
    if len(ending) == 1:
        return ending[0]
    if ending:
        raise ModelError(f"part {name} is ambiguous: {', '.join(module.name for module in ending[:_LISTED])} end so")
    raise ModelError(f"part {name} is not there; there are {_listed([one.describe() for one in modules.values()])}")


def _must_name(modules: abc.Mapping[str, Module]) -> str:
    listed = _listed([module.describe() for module in modules.values()])
    known = [module for module in modules.values() if module.role != "other"]
    if not known:
        return f"holds no LSTM, GRU, RNN or linear layer with PyTorch's names (weight_ih_l0, ...); there are {listed}"
    chosen = sorted(known, key=lambda module: module.role == "linear")[:2]
    example = " ".join(f"--part {module.name}" for module in chosen)
    linear = [module.name for module in chosen if module.role == "linear"]
    function = f" (with the function after a linear layer: {linear[0]}:sigmoid)" if linear else ""
    return (
        f"holds {listed}; their names do not show which of them are used, and in what order: name them in the order "
        f"of the data, such as {example}{function}"
    )


def _listed(texts: Sequence[str]) -> str:
    more = len(texts) - _LISTED
    return ", ".join(texts[:_LISTED]) + (f" and {more} more" if more > 0 else "")
