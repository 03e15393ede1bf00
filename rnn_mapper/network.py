"""Recurrent networks in floating point, as trained: cells, layers, and the checks every model passes on its way in.

Tensor names, shapes and gate order are those of PyTorch's ``state_dict`` (torch.nn.LSTM, GRU, RNN).
"""

import enum
import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .errors import ModelError

FloatArray = npt.NDArray[np.float64]


class Cell(enum.Enum):
    """A kind of recurrent cell, with PyTorch's equations."""

    #: Long short-term memory with two biases, no peepholes, no projection (torch.nn.LSTM).
    LSTM = "lstm"
    #: Gated recurrent unit with the reset after the product (torch.nn.GRU, cuDNN).
    GRU = "gru"
    #: Elman network, h = tanh(W x + U h + b).
    RNN_TANH = "rnn_tanh"
    #: Elman network, h = max(0, W x + U h + b).
    RNN_RELU = "rnn_relu"

    @property
    def gate_names(self) -> tuple[str, ...]:
        """Names of the gates in the order of the weight rows; of GRU's, z weighs the old state."""
        return {Cell.LSTM: ("i", "f", "g", "o"), Cell.GRU: ("r", "z", "n")}.get(self, ("h",))

    @property
    def gates(self) -> int:
        """Weight rows per hidden unit: 4, 3 or 1."""
        return len(self.gate_names)

    @property
    def is_tanh_bounded(self) -> bool:
        """Whether h stays within -1 and 1."""
        return self is not Cell.RNN_RELU


def parse_cell(name: "str | Cell") -> Cell:
    """The cell of that name (``lstm``, ``gru``, ``rnn_tanh``, ``rnn_relu``); raises ModelError naming the choices."""
    try:
        return Cell(name)
    except ValueError:
        raise ModelError(f"cell '{name}' is not supported: choose {', '.join(c.value for c in Cell)}") from None


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


def shape_text(array: npt.NDArray[np.generic]) -> str:
    """The shape for a message, such as ``512 x 128``."""
    return " x ".join(map(str, array.shape)) or "scalar"


@dataclass(frozen=True, eq=False)
class RecurrentLayer:
    """One recurrent layer of `H` hidden units on `I` inputs, `G` gates per unit.

    Raises ModelError if a tensor is not finite or the shapes disagree. A bias of None becomes zeros.
    """

    cell: Cell
    #: [G * H, I], applied to the layer's input.
    weight_ih: FloatArray
    #: [G * H, H], applied to the previous h.
    weight_hh: FloatArray
    #: [G * H], added to the product with the input.
    bias_ih: FloatArray = None  # type: ignore[assignment]  # zeros after __post_init__
    #: [G * H], added to the product with h.
    bias_hh: FloatArray = None  # type: ignore[assignment]  # zeros after __post_init__

    def __post_init__(self) -> None:
        weight_hh = check_tensor("weight_hh", self.weight_hh, 2)
        weight_ih = check_tensor("weight_ih", self.weight_ih, 2)
        rows, hidden = weight_hh.shape
        if rows != self.cell.gates * hidden:
            raise ModelError(
                f"weight_hh has shape {shape_text(weight_hh)}, "
                f"must have {self.cell.gates} rows per column ({self.cell.value})"
            )
        if weight_ih.shape[0] != rows:
            raise ModelError(f"weight_ih has shape {shape_text(weight_ih)}, must have {rows} rows like weight_hh")
        object.__setattr__(self, "weight_hh", weight_hh)
        object.__setattr__(self, "weight_ih", weight_ih)
        for name in ("bias_ih", "bias_hh"):
            object.__setattr__(self, name, _check_bias(name, getattr(self, name), rows))

    @property
    def hidden_size(self) -> int:
        """Number of hidden units `H`."""
        return int(self.weight_hh.shape[1])

    @property
    def input_size(self) -> int:
        """Number of inputs `I`."""
        return int(self.weight_ih.shape[1])


@dataclass(frozen=True, eq=False)
class Dense:
    """A dense output layer y = weight h + bias. Raises ModelError as RecurrentLayer does."""

    #: [O, H].
    weight: FloatArray
    #: [O], zeros if None.
    bias: FloatArray = None  # type: ignore[assignment]  # zeros after __post_init__

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", check_tensor("weight", self.weight, 2))
        object.__setattr__(self, "bias", _check_bias("bias", self.bias, self.output_size))

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return int(self.weight.shape[1])

    @property
    def output_size(self) -> int:
        """Number of outputs `O`."""
        return int(self.weight.shape[0])


@dataclass(frozen=True, eq=False)
class Network:
    """Stacked recurrent layers, each fed by the h of the one before it, and an optional dense head on the last h."""

    layers: tuple[RecurrentLayer, ...]
    head: Dense | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise ModelError("the network has no recurrent layer, must have at least one")
        for index, (below, layer) in enumerate(itertools.pairwise(self.layers), start=1):
            if layer.input_size != below.hidden_size:
                raise ModelError(
                    f"weight_ih of layer {index} has {layer.input_size} columns, "
                    f"must have {below.hidden_size}, the hidden size of layer {index - 1}"
                )
        if self.head is not None and self.head.input_size != self.hidden_size:
            raise ModelError(
                f"head.weight has {self.head.input_size} columns, must have {self.hidden_size}, the last hidden size"
            )

    @property
    def input_size(self) -> int:
        """Features per input step."""
        return self.layers[0].input_size

    @property
    def hidden_size(self) -> int:
        """Hidden units of the last recurrent layer."""
        return self.layers[-1].hidden_size

    @property
    def output_size(self) -> int:
        """Values per output step: those of the head, else the last layer's hidden units."""
        return self.hidden_size if self.head is None else self.head.output_size


def _check_bias(name: str, value: object, size: int) -> FloatArray:
    if value is None:
        value = np.zeros(size)
    bias = check_tensor(name, value, 1)
    if bias.shape != (size,):
        raise ModelError(f"{name} has {bias.size} values, must have {size}, one per weight row")
    return bias
