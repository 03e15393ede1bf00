"""Layers in floating point: a cell with its trained tensors, in one direction or in both."""

from __future__ import annotations

from collections import abc
from dataclasses import dataclass, field

import numpy as np

from hdl.errors import did_you_mean
from rnn_mapper.cells.binding import bind_sizes
from rnn_mapper.cells.library import BUILT_IN, dense, dense_relu, dense_sigmoid, dense_tanh, variant_named
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.errors import ModelError
from rnn_mapper.network.packed import TORCH_GATES, unpack
from rnn_mapper.network.tensors import FloatArray, check_tensor
from rnn_mapper.summary import Summarised, counted

__all__ = [
    "MERGES", "Bidirectional", "Block", "Dense", "Layer", "RecurrentLayer", "Reversed", "gate_count", "parse_cell",
]

_DENSE_CELLS = {"identity": dense, "sigmoid": dense_sigmoid, "tanh": dense_tanh, "relu": dense_relu}
#: How the outputs of both directions become one vector: side by side, forward first, or added.
MERGES = ("concat", "sum")


def parse_cell(name: str | Cell, cells: abc.Mapping[str, Cell] = BUILT_IN) -> Cell:
    """The cell of this name in `cells`; raises ModelError with the possible names."""
    if isinstance(name, Cell):
        return name
    found = cells.get(name) or variant_named(name)
    if found is not None:
        return found
    raise ModelError(f"cell '{name}' is not supported: choose {', '.join(cells)}, or name a file that defines it with "
                     f"--cells FILE.py{did_you_mean(str(name), cells)}")


@dataclass(frozen=True, eq=False, repr=False)
class Layer(Summarised):
    """A cell with its trained tensors: a matrix [units, operands] or a vector [units] for each parameter of the cell.

    Raises ModelError if a tensor is missing, unknown, not finite or of the wrong shape, and CellError, with the line of
    the equation, if a shape does not fit an equation.
    """

    cell: Cell
    tensors: abc.Mapping[str, FloatArray]
    #: Number of values of the input, of the output and of each state.
    input_size: int = field(init=False)
    output_size: int = field(init=False)
    state_sizes: dict[str, int] = field(init=False)

    @property
    def summary(self) -> dict[str, str]:
        """The object in a few lines, by heading."""
        return {"cell": self.cell.name, "sizes": f"{self.input_size} -> {self.output_size}"}

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
        """Number of output values."""
        return self.output_size

    @property
    def kind(self) -> str:
        """The name of the cell."""
        return self.cell.name

    @property
    def merge(self) -> str | None:
        """None: a single direction has nothing to merge with."""
        return None

    @property
    def directions(self) -> tuple[tuple[Layer, bool], ...]:
        """Each layer that the block runs over the sequence, and whether it runs from the last step to the first."""
        return ((self, False),)


@dataclass(frozen=True, eq=False, init=False, repr=False)
class RecurrentLayer(Layer):
    """A layer from tensors that are packed gate by gate, like PyTorch's (nn.LSTM, nn.GRU, nn.RNN).

    `weight_ih` [G * H, I], `weight_hh` [G * H, H] (with a projection [G * H, P]), `bias_ih` and `bias_hh` [G * H] or
    None for zeros, `weight_hr` [P, H] for a projection. The gates are in PyTorch's order (i, f, g, o and r, z, n).
    """

    def __init__(
        self, cell: Cell, weight_ih: object, weight_hh: object, bias_ih: object = None, bias_hh: object = None,
        weight_hr: object = None,
    ) -> None:
        super().__init__(cell, unpack(cell, weight_ih, weight_hh, bias_ih, bias_hh, weight_hr))


@dataclass(frozen=True, eq=False, init=False, repr=False)
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
            raise ModelError(f"bias has {counted(vector.size, 'value')}, must have {len(matrix)}, one per weight row")
        super().__init__(_DENSE_CELLS[function], {"W": matrix, "b": vector})


@dataclass(frozen=True, eq=False, repr=False)
class Bidirectional(Summarised):
    """Two layers over one input: `forward` from the first step to the last, `backward` from the last to the first.

    Raises ModelError for an unknown merge mode and for sizes that do not match.
    """

    forward: Layer
    backward: Layer
    merge: str = "concat"

    @property
    def summary(self) -> dict[str, str]:
        """The object in a few lines, by heading."""
        return {"forward": repr(self.forward), "backward": repr(self.backward), "merge": str(self.merge)}

    def __post_init__(self) -> None:
        if self.merge not in MERGES:
            raise ModelError(f"merge '{self.merge}' is not supported: choose {', '.join(MERGES)}")
        if self.forward.input_size != self.backward.input_size:
            raise ModelError(
                f"the backward layer takes {counted(self.backward.input_size, 'value')}, must take "
                f"{self.forward.input_size} "
                "like the forward layer"
            )
        if self.merge == "sum" and self.forward.output_size != self.backward.output_size:
            raise ModelError(
                f"the backward layer gives {counted(self.backward.output_size, 'value')}, must give "
                f"{self.forward.output_size} "
                "like the forward layer: the two are added"
            )

    @property
    def input_size(self) -> int:
        """Number of input values."""
        return self.forward.input_size

    @property
    def output_size(self) -> int:
        """Number of values of the merged output."""
        return self.forward.output_size + (self.backward.output_size if self.merge == "concat" else 0)

    @property
    def hidden_size(self) -> int:
        """Number of values of the merged output."""
        return self.output_size

    @property
    def kind(self) -> str:
        """Direction and cell, such as ``bidirectional lstm``."""
        cells = dict.fromkeys((self.forward.cell.name, self.backward.cell.name))
        return f"bidirectional {'/'.join(cells)}"

    @property
    def directions(self) -> tuple[tuple[Layer, bool], ...]:
        """Like `Layer.directions`."""
        return (self.forward, False), (self.backward, True)


@dataclass(frozen=True, eq=False, repr=False)
class Reversed(Summarised):
    """A layer that runs from the last step of its input to the first (ONNX ``direction = reverse``).

    Its output for a step is at the position of that step, as in the backward half of a bidirectional layer.
    """

    layer: Layer

    @property
    def summary(self) -> dict[str, str]:
        """The object in a few lines, by heading."""
        return {"layer": repr(self.layer)}

    @property
    def input_size(self) -> int:
        """Number of input values."""
        return self.layer.input_size

    @property
    def output_size(self) -> int:
        """Number of output values."""
        return self.layer.output_size

    @property
    def hidden_size(self) -> int:
        """Number of output values."""
        return self.output_size

    @property
    def kind(self) -> str:
        """Direction and cell, such as ``reversed lstm``."""
        return f"reversed {self.layer.cell.name}"

    @property
    def merge(self) -> str | None:
        """None: a single direction has nothing to merge with."""
        return None

    @property
    def directions(self) -> tuple[tuple[Layer, bool], ...]:
        """Like `Layer.directions`."""
        return ((self.layer, True),)


#: A layer of a network, in any direction.
Block = Layer | Bidirectional | Reversed


def gate_count(cell: Cell) -> int:
    """Matrix rows per unit in PyTorch's packed tensors; raises ModelError for a cell that PyTorch does not have."""
    if cell.name not in TORCH_GATES:
        raise ModelError(f"cell {cell.name} has no packed tensors; PyTorch has {', '.join(TORCH_GATES)}")
    return len(TORCH_GATES[cell.name])
