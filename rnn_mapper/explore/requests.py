"""Requests of a user: models by file or shape, budgets, and the grid sizes to search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hdl.parameters import RANGES
from rnn_mapper.errors import ConfigurationError
from rnn_mapper.explore.devices import Device, device
from rnn_mapper.explore.shapes import CellsFile, Shape, known_cells, shape_of_model
from rnn_mapper.importers import Selection, load_model
from rnn_mapper.network.layers import parse_cell

__all__ = ["Budget", "Model", "parse_budget", "parse_model", "parse_sizes"]

#: Steps of the sequence whose cycles are compared, if a model gives no number.
STEPS = 16
_LARGEST = 1 << 16
#: Names with these endings are files, whether they exist or not.
SUFFIXES = (".npz", ".onnx", ".pt", ".pth", ".ckpt", ".bin", ".safetensors")
SHAPE_HELP = "CELL:HIDDEN or CELL:hidden=N[xM...],inputs=N,head=N,steps=N,weight=X"


@dataclass(frozen=True)
class Model:
    """A model to explore; `file` is None for a shape."""

    name: str
    shape: Shape
    steps: int
    #: Weight of its cycles in the objective.
    weight: float
    file: Path | None = None
    #: The selected part of the file, and lines that say how the file's content was imported.
    selection: Selection | None = None
    account: tuple[str, ...] = ()


def parse_model(
    text: str, steps: int | None = None, cells: CellsFile = ("", ""), selection: Selection | None = None
) -> Model:
    """A model from `lstm:256`, `gru:inputs=40,hidden=128x128,head=10,steps=100,weight=2` or the path of a model file
    (`selection` says which part of the file), which `,steps=N,weight=X` may follow. By default there are as many inputs
    as hidden units.

    Raises `ConfigurationError` or `ModelError`.
    """
    first, colon, rest = text.partition(":")
    known = known_cells(cells)
    is_file = Path(text.split(",")[0]).suffix in SUFFIXES or Path(text.split(",")[0]).exists()
    if is_file:
        path, *options = text.split(",")
    elif colon:
        path, options = "", rest.split(",")
    else:
        raise ConfigurationError(f"model {text!r}: neither a file nor a shape {SHAPE_HELP} of {', '.join(known)}")
    values: dict[str, str] = {}
    for place, option in enumerate(options):
        key, equals, value = option.partition("=")
        if not equals and place == 0 and not is_file:
            key, value = "hidden", option
        allowed = ("steps", "weight") if is_file else ("hidden", "inputs", "head", "steps", "weight")
        if key not in allowed or key in values or not value:
            raise ConfigurationError(f"model {text!r}: cannot read {option!r}; write {', '.join(allowed)} once each")
        values[key] = value

    def number(key: str, value: str) -> int:
        if not value.isdigit() or not 1 <= int(value) <= _LARGEST:
            raise ConfigurationError(f"model {text!r}: {key} = {value}: must be from 1 to {_LARGEST}")
        return int(value)

    try:
        weight = float(values.get("weight", "1"))
    except ValueError:
        weight = 0.0
    if not 0 < weight < float("inf"):
        raise ConfigurationError(f"model {text!r}: weight = {values['weight']}: must be a number above 0")
    count = number("steps", values["steps"]) if "steps" in values else steps or STEPS
    if is_file:
        chosen = selection or Selection()
        model = load_model(path, chosen, known)
        lines = (*model.account, *(f"left to the host: {step.name}" for step in model.host))
        shape = shape_of_model(Path(path), model, cells)
        return Model(Path(path).stem, shape, count, weight, Path(path), chosen, lines)
    if "hidden" not in values:
        raise ConfigurationError(f"model {text!r}: hidden is missing; write {SHAPE_HELP}")
    hidden = tuple(number("hidden", value) for value in values["hidden"].split("x"))
    inputs = number("inputs", values["inputs"]) if "inputs" in values else hidden[0]
    head = number("head", values["head"]) if "head" in values else None
    kinds = (parse_cell(first, known).name,) * len(hidden)
    return Model(text, Shape(kinds, inputs, hidden, head, *cells), count, weight)


@dataclass(frozen=True)
class Budget:
    """The limits of a grid by resource ("gates", "memory" in bits, "multipliers", "lut", "dsp", "bram")."""

    text: str
    limits: tuple[tuple[str, float], ...]
    device: Device | None = None

    @property
    def target(self) -> str:
        """Target of the area estimates."""
        return "generic" if self.device is None else self.device.target

    def placed(self, used: dict[str, float]) -> dict[str, float]:
        """Resources with the multipliers that the device has no blocks for in its logic, where that can be routed."""
        if self.device is None or not self.device.product_lut or used.get("dsp", 0) <= self.device.dsp:
            return used
        moved = used["dsp"] - self.device.dsp
        return {**used, "dsp": self.device.dsp, "lut": used["lut"] + moved * self.device.product_lut}

    def excess(self, used: dict[str, float]) -> dict[str, float]:
        """Use divided by limit for each exceeded limit. A limit of 0 counts as 1."""
        return {
            name: used[name] / max(limit, 1) for name, limit in self.limits if name in used and used[name] > limit
        }


def parse_budget(texts: Sequence[str]) -> Budget:
    """A budget from the name of a device, or from limits such as `gates=500k`, `memory=2M` (bits) and
    `multipliers=256`; several are separated by commas. Raises `ConfigurationError`."""
    limits: dict[str, float] = {}
    chosen: Device | None = None
    items = [item.strip() for text in texts for item in text.split(",")]
    for item in items:
        name, equals, value = item.partition("=")
        if name == "device" or not equals:
            if chosen is not None:
                raise ConfigurationError(f"budget {item!r}: name one device only")
            chosen = device(value if equals else item)
            limits |= chosen.limits
            continue
        if name not in ("gates", "memory", "multipliers"):
            raise ConfigurationError(
                f"budget {item!r}: write gates=N, memory=BITS, multipliers=N or the name of a device"
            )
        scale = {"k": 1e3, "M": 1e6, "G": 1e9}.get(value[-1:], 1.0)
        try:
            limit = float(value if scale == 1 else value[:-1]) * scale
        except ValueError:
            limit = -1.0
        if not 0 < limit < float("inf"):
            raise ConfigurationError(f"budget {item!r}: {value} is not a number above 0 (k, M and G may follow)")
        limits[name] = min(limit, limits.get(name, limit))
    if chosen is not None and "gates" in limits:
        raise ConfigurationError(f"budget {','.join(items)!r}: gates and a device do not go together")
    return Budget(",".join(items), tuple(sorted(limits.items())), chosen)


def parse_sizes(name: str, text: str) -> tuple[int, ...]:
    """Sizes from `1-4,8,16`, ascending; `name` is the field of `GridParameters`. Raises `ConfigurationError`."""
    low, high, power_of_two = RANGES[name]
    sizes: set[int] = set()
    for item in text.split(","):
        first, dash, last = item.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()) or len(first + last) > 8:
            raise ConfigurationError(f"--{name} {text!r}: write sizes such as 1-4,8,16")
        begin, end = int(first), int(last if dash else first)
        chosen = range(begin, end + 1)
        if not chosen or begin < low or end > high:
            raise ConfigurationError(f"--{name} {text!r}: {item} must be from {low} to {high}")
        sizes |= {size for size in chosen if not power_of_two or size & (size - 1) == 0}
        if power_of_two and not dash and begin & (begin - 1):
            raise ConfigurationError(f"--{name} {text!r}: {item} must be a power of two")
    return tuple(sorted(sizes))
