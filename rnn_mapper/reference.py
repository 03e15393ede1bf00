"""The arithmetic in integers, bit for bit, as plain numpy: what the hardware's outputs are compared with.

It follows the written definition of the arithmetic alone and knows nothing of tiles, schedules or hardware.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.numerics import KEPT_LEFT

from .errors import ModelError
from .fixed_point import IntArray, activation_sigmoid, activation_tanh, requantise, round_shift, saturate
from .network import Cell
from .quantised import OPERAND_LIMIT, QuantisedLayer, QuantisedNetwork, QuantisedProduct

Int16Array = npt.NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class LayerState:
    """What one layer carries from step to step, int16 [H] each; zeros are the cleared state."""

    #: Q0.15, or Q5.10 for rnn_relu.
    h: Int16Array
    #: Q5.10, for LSTM only.
    c: Int16Array | None = None


@dataclass(frozen=True, eq=False)
class ReferenceTrace:
    """The result of a run over `steps` steps."""

    #: int16 [steps, output_size]: of the head if there is one, else the last layer's h.
    outputs: Int16Array
    #: Per layer int16 [steps, H], the 16-bit h.
    layer_outputs: tuple[Int16Array, ...]
    #: Per layer, after the last step; a later run may start from it.
    state: tuple[LayerState, ...]
    #: Per layer, and last the head if there is one: how many values each narrowing limited (``x_part``, ``h_part``,
    #: ``preactivation``, ``candidate``, ``c``, ``h``, ``feedback``).
    saturations: tuple[Counter[str], ...]


def run_reference(
    network: QuantisedNetwork, inputs: npt.NDArray[np.int8], state: Sequence[LayerState] | None = None
) -> ReferenceTrace:
    """Run int8 inputs [steps, input_size] from `state`, cleared if None. Raises ModelError if they do not fit."""
    return Reference(network).run(inputs, state)


class Reference:
    """A network prepared to run many sequences, or one step at a time."""

    def __init__(self, network: QuantisedNetwork) -> None:
        self.network = network
        self._layers = [_Layer(layer, network.table_segments) for layer in network.layers]
        self._head = None if network.head is None else _Product(network.head.product)

    def cleared_state(self) -> tuple[LayerState, ...]:
        """The state a sequence starts from unless it is given another."""
        return tuple(layer.cleared_state() for layer in self._layers)

    def run(self, inputs: npt.NDArray[np.int8], state: Sequence[LayerState] | None = None) -> ReferenceTrace:
        """As run_reference. A sequence may be run in parts, each from the state the one before returned."""
        x8 = np.asarray(inputs)
        if x8.dtype != np.int8 or x8.ndim != 2 or x8.shape[0] == 0 or x8.shape[1] != self.network.input_size:
            raise ModelError(
                f"inputs are {x8.dtype} {list(x8.shape)}, must be int8 [steps, {self.network.input_size}], steps >= 1"
            )
        start = self.cleared_state() if state is None else tuple(state)
        _check_state(start, self.cleared_state())
        outputs, end, saturations = [], [], []
        for layer, layer_state in zip(self._layers, start, strict=True):
            counts: Counter[str] = Counter()
            h16, last = layer.run(x8, layer_state, counts)
            outputs.append(h16)
            end.append(last)
            saturations.append(counts)
            x8 = layer.feedback(h16, Counter()).astype(np.int8)
        result = outputs[-1]
        if self._head is not None:
            saturations.append(Counter())
            result = self._head(x8, saturations[-1], "h")[:, 0].astype(np.int16)
        return ReferenceTrace(result, tuple(outputs), tuple(end), tuple(saturations))


@dataclass
class _Product:
    """int8 operands [..., I] to requantised 16-bit sums [..., G, H]."""

    product: QuantisedProduct
    matrix: npt.NDArray[np.floating[Any]] = field(init=False)

    def __post_init__(self) -> None:
        weights = self.product.weights
        # Floating point is far faster than numpy's integer products, and exact: all partial sums, in whatever order
        # BLAS adds, are integers that the format holds (up to 2^24 or 2^53).
        largest = int(np.abs(weights.astype(np.int64)).sum(axis=2).max()) * OPERAND_LIMIT
        exact = np.float32 if largest <= 1 << 24 else np.float64
        self.matrix = weights.reshape(-1, weights.shape[2]).T.astype(exact)

    def __call__(self, operand: IntArray | npt.NDArray[np.int8], counts: Counter[str], name: str) -> IntArray:
        total = (operand.astype(self.matrix.dtype) @ self.matrix).astype(np.int64)
        acc = total.reshape(*operand.shape[:-1], *self.product.bias.shape) + self.product.bias
        return _saturate(requantise(acc, self.product.multiplier, self.product.shift), 16, counts, name)


class _Layer:
    def __init__(self, layer: QuantisedLayer, segments: int) -> None:
        self.layer = layer
        self.segments = segments
        self.x_product = _Product(layer.x)
        self.h_product = _Product(layer.h)

    def cleared_state(self) -> LayerState:
        zeros = np.zeros(self.layer.hidden_size, dtype=np.int16)
        return LayerState(zeros, zeros if self.layer.cell is Cell.LSTM else None)

    def feedback(self, h16: IntArray | Int16Array, counts: Counter[str]) -> IntArray:
        return _saturate(round_shift(h16, self.layer.feedback_shift), 8, counts, "feedback")

    def run(self, x8: npt.NDArray[np.int8], state: LayerState, counts: Counter[str]) -> tuple[Int16Array, LayerState]:
        x_parts = self.x_product(x8, counts, "x_part")
        h, c = state.h.astype(np.int64), None if state.c is None else state.c.astype(np.int64)
        trace = np.empty((len(x8), self.layer.hidden_size), dtype=np.int16)
        for step, x_part in enumerate(x_parts):
            h_part = self.h_product(self.feedback(h, counts), counts, "h_part")
            if c is not None:
                h, c = self._lstm(x_part, h_part, c, counts)
            elif self.layer.cell is Cell.GRU:
                h = self._gru(x_part, h_part, h, counts)
            else:
                a = _saturate(x_part + h_part, 16, counts, "preactivation")[0]
                h = activation_tanh(a, self.segments) if self.layer.cell is Cell.RNN_TANH else np.maximum(a, 0)
            trace[step] = h
        return trace, LayerState(h.astype(np.int16), None if c is None else c.astype(np.int16))

    def _lstm(self, x_part: IntArray, h_part: IntArray, c: IntArray, counts: Counter[str]) -> tuple[IntArray, IntArray]:
        a = _saturate(x_part + h_part, 16, counts, "preactivation")
        i, f, o = activation_sigmoid(a[[0, 1, 3]], self.segments)
        g = activation_tanh(a[2], self.segments)
        c = _saturate(round_shift(f * c + (round_shift(i * g, 15) << KEPT_LEFT), 15), 16, counts, "c")
        h = _saturate(round_shift(o * activation_tanh(c, self.segments), 15), 16, counts, "h")
        return h, c

    def _gru(self, x_part: IntArray, h_part: IntArray, h: IntArray, counts: Counter[str]) -> IntArray:
        r, z = activation_sigmoid(_saturate(x_part[:2] + h_part[:2], 16, counts, "preactivation"), self.segments)
        candidate = _saturate(x_part[2] + round_shift(r * h_part[2], 15), 16, counts, "candidate")
        n = activation_tanh(candidate, self.segments)
        return _saturate(round_shift(z * h + (32768 - z) * n, 15), 16, counts, "h")


def _saturate(value: IntArray, bits: int, counts: Counter[str], name: str) -> IntArray:
    limited = saturate(value, bits)
    if changed := int(np.count_nonzero(limited != value)):
        counts[name] += changed
    return limited


def _check_state(state: Sequence[LayerState], cleared: Sequence[LayerState]) -> None:
    if len(state) != len(cleared):
        raise ModelError(f"state holds {len(state)} layers, must hold {len(cleared)}")
    for index, (given, wanted) in enumerate(zip(state, cleared, strict=True)):
        for name in ("h", "c"):
            value, shape = getattr(given, name), getattr(wanted, name)
            if (value is None) != (shape is None) or (
                value is not None and (value.dtype != np.int16 or value.shape != shape.shape)
            ):
                have = "nothing" if value is None else f"{value.dtype} {list(value.shape)}"
                need = "nothing" if shape is None else f"int16 {list(shape.shape)}"
                raise ModelError(f"state of layer {index}: {name} is {have}, must be {need}")
