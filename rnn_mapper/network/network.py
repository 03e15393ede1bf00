"""Networks in floating point, as trained: layers of any cell, and the checks every model passes on its way in."""

from __future__ import annotations

import itertools
from collections import abc
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rnn_mapper.cells.binding import bind_sizes
from rnn_mapper.cells.library import BUILT_IN, dense, dense_relu, dense_sigmoid, dense_tanh, variant_named
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.errors import ModelError
from rnn_mapper.network.packed import TORCH_GATES, unpack

__all__ = [
    "Dense", "FloatArray", "Layer", "Network", "RecurrentLayer", "check_inputs", "check_tensor", "parse_cell",
    "shape_text",
]

FloatArray = npt.NDArray[np.float64]

_DENSE_CELLS = {"identity": dense, "sigmoid": dense_sigmoid, "tanh": dense_tanh, "relu": dense_relu}


def parse_cell(name: str | Cell, cells: abc.Mapping[str, Cell] = BUILT_IN) -> Cell:
    """The cell of that name among `cells`; raises ModelError naming the choices."""
    if isinstance(name, Cell):
        return name
    found = cells.get(name) or variant_named(name)
    if found is not None:
        return found
    raise ModelError(f"cell '{name}' is not supported: choose {', '.join(cells)}")


def check_tensor(name: str, value: object, ndim: int) -> FloatArray:
    """`value` as a float64 array of `ndim` non-empty dimensions; raises ModelError if it is not one, or not finite."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise ModelError(f"{name} holds {array.dtype} values, must be real numbers")
    if array.ndim != ndim:
        raise ModelError(f"{name} has shape {shape_text(array)}, must have {ndim} dimension{'s' if ndim > 1 else ''}")
    if array.size == 0:
        raise ModelError(f"{name} has shape {shape_text(array)}, must not be empty")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ModelError(f"{name}{list(index)} is {array[index]}, must be finite")
    array.setflags(write=False)
    return array


def check_inputs(value: object, input_size: int, name: str = "inputs") -> FloatArray:
    """`value` as finite float64 [steps, input_size] with at least one step; raises ModelError otherwise."""
    inputs = check_tensor(name, value, 2)
    if inputs.shape[1] != input_size:
        raise ModelError(f"{name} has shape {shape_text(inputs)}, must have {input_size} features per step")
    return inputs


def shape_text(array: npt.NDArray[np.generic]) -> str:
    """The shape for a message, such as ``512 x 128``."""
    return " x ".join(map(str, array.shape)) or "scalar"


@dataclass(frozen=True, eq=False)
class Layer:
    """A cell with its trained tensors: a matrix [units, operands] or a vector [units] for each parameter of the cell.

    Raises ModelError (CellError for a shape that does not fit an equation, with the line) if a tensor is missing,
    unknown, not finite or of the wrong shape.
    """

    cell: Cell
    tensors: abc.Mapping[str, FloatArray]
    #: Values of the input, of the output and of each state.
    input_size: int = field(init=False)
    output_size: int = field(init=False)
    state_sizes: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        trace = self.cell.trace
        checked: dict[str, FloatArray] = {}
        for name, ndim in (*((name, 2) for name in trace.matrices), *((name, 1) for name in trace.vectors)):
            if self.tensors.get(name) is None:
                given = ", ".join(self.tensors) or "none"
                raise ModelError(
                    f"{trace.line_of(name)}: cell {self.cell.name}: tensor {name} is missing; given are {given}"
                )
            checked[name] = check_tensor(name, self.tensors[name], ndim)
        for name in self.tensors:
            if name not in checked:
                wanted = ", ".join(checked)
                raise ModelError(f"cell {self.cell.name}: unknown tensor {name}; its tensors are {wanted}")
        sizes = bind_sizes(self.cell, checked)
        for name, value in (
            ("tensors", checked), ("input_size", sizes.input), ("output_size", sizes.output),
            ("state_sizes", sizes.states),
        ):
            object.__setattr__(self, name, value)

    @property
    def hidden_size(self) -> int:
        """Values of the output."""
        return self.output_size


@dataclass(frozen=True, eq=False, init=False)
class RecurrentLayer(Layer):
    """A layer from tensors that are packed gate by gate as PyTorch packs them (nn.LSTM, nn.GRU, nn.RNN).

    `weight_ih` [G * H, I], `weight_hh` [G * H, H] (with a projection [G * H, P]), `bias_ih` and `bias_hh` [G * H] or
    None for zeros, `weight_hr` [P, H] for a projection. The gates are in PyTorch's order (i, f, g, o and r, z, n).
    """

    def __init__(
        self, cell: Cell, weight_ih: object, weight_hh: object, bias_ih: object = None, bias_hh: object = None,
        weight_hr: object = None,
    ) -> None:
        super().__init__(cell, unpack(cell, weight_ih, weight_hh, bias_ih, bias_hh, weight_hr))


@dataclass(frozen=True, eq=False, init=False)
class Dense(Layer):
    """A dense layer y = function(weight x + bias): `weight` [O, I], `bias` [O] or None for zeros.

    `function` is identity, sigmoid, tanh or relu.
    """

    def __init__(self, weight: object, bias: object = None, function: str = "identity") -> None:
        if function not in _DENSE_CELLS:
            raise ModelError(f"function '{function}' is not supported: choose {', '.join(_DENSE_CELLS)}")
        matrix = check_tensor("weight", weight, 2)
        if bias is None:
            bias = np.zeros(len(matrix))
        vector = check_tensor("bias", bias, 1)
        if vector.shape != (len(matrix),):
            raise ModelError(f"bias has {vector.size} values, must have {len(matrix)}, one per weight row")
        super().__init__(_DENSE_CELLS[function], {"W": matrix, "b": vector})


@dataclass(frozen=True, eq=False)
class Network:
    """Stacked layers, each fed by the output of the one before it, and an optional dense head."""

    layers: tuple[Layer, ...]
    head: Dense | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise ModelError("the network has no layer, must have at least one")
        for index, (below, layer) in enumerate(itertools.pairwise(self.layers), start=1):
            if layer.input_size != below.output_size:
                raise ModelError(
                    f"layer {index} ({layer.cell.name}) takes {layer.input_size} values, "
                    f"must take {below.output_size}, what layer {index - 1} gives"
                )
        if self.head is not None and self.head.input_size != self.hidden_size:
            raise ModelError(
                f"head.weight has {self.head.input_size} columns, must have {self.hidden_size}, the last hidden size"
            )

    @property
    def all_layers(self) -> tuple[Layer, ...]:
        """The layers, and the head if there is one."""
        return self.layers if self.head is None else (*self.layers, self.head)

    @property
    def input_size(self) -> int:
        """Features per input step."""
        return self.layers[0].input_size

    @property
    def hidden_size(self) -> int:
        """Values of the last layer before the head."""
        return self.layers[-1].output_size

    @property
    def output_size(self) -> int:
        """Values per output step."""
        return self.all_layers[-1].output_size


def gate_count(cell: Cell) -> int:
    """Matrix rows of a unit in PyTorch's packed tensors; raises ModelError for a cell that PyTorch does not have."""
    if cell.name not in TORCH_GATES:
        raise ModelError(f"cell {cell.name} has no packed tensors; PyTorch has {', '.join(TORCH_GATES)}")
    return len(TORCH_GATES[cell.name])
