"""The arithmetic in integers, bit for bit, in plain numpy: the reference for the outputs of the hardware.

The reference follows the arithmetic of the cells alone and knows nothing of tiles, schedules or hardware.
"""

from __future__ import annotations

import itertools
from collections import Counter, abc
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.numerics import KEPT_LEFT, Arithmetic
from rnn_mapper.cells.arithmetic import Accumulate, Activated, Fixed, Node, Operand, Read, Row, Unit, parts_of
from rnn_mapper.cells.expressions import Function
from rnn_mapper.errors import ModelError
from rnn_mapper.fixed_point import (
    Codes,
    IntArray,
    activation_sigmoid,
    activation_tanh,
    operand_type,
    requantise,
    round_shift,
    saturate,
)
from rnn_mapper.network.network import turned
from rnn_mapper.network.tensors import FloatArray
from rnn_mapper.quantisation.codes import segment_codes
from rnn_mapper.quantisation.integer_network import (
    Int16Array,
    LayerState,
    QuantisedLayer,
    QuantisedModel,
    QuantisedNetwork,
    QuantisedProduct,
    QuantisedSegment,
)
from rnn_mapper.summary import counted

__all__ = ["ModelTrace", "Reference", "ReferenceTrace", "SegmentTrace", "run_model", "run_reference"]


@dataclass(frozen=True, eq=False)
class ReferenceTrace:
    """The result of a run over `steps` steps."""

    #: Outputs of the head if there is one, else of the last layer, int16 [steps, output_size].
    outputs: Int16Array
    #: Outputs of each layer, int16 [steps, output_size], without the head.
    layer_outputs: tuple[Int16Array, ...]
    #: State of each layer after the last step; a later run may start from it.
    state: tuple[LayerState, ...]
    #: Per layer, and last the head if there is one: how many values each narrowing limited (``x_part``, ``h_part``,
    #: ``preactivation``, names of states, ``value``, ``feedback``).
    saturations: tuple[Counter[str], ...]


def run_reference(
    network: QuantisedNetwork, inputs: Codes, state: Sequence[LayerState] | None = None
) -> ReferenceTrace:
    """Run operand codes [steps, input_size] from `state`, cleared if None. Raises ModelError if they do not fit."""
    return Reference(network).run(inputs, state)


class Reference:
    """A network prepared to run many sequences, or one step at a time."""

    def __init__(self, network: QuantisedNetwork) -> None:
        self.network = network
        self._layers = [_Layer(layer, network.arithmetic) for layer in network.all_layers]

    def cleared_state(self) -> tuple[LayerState, ...]:
        """The start state of a sequence if none is given: zeros."""
        return tuple(
            {name: np.zeros(size, dtype=np.int16) for name, size in layer.state_sizes.items()}
            for layer in self.network.layers
        )

    def run(self, inputs: Codes, state: Sequence[LayerState] | None = None) -> ReferenceTrace:
        """Like `run_reference`. A sequence may be run in pieces, each from the state that the one before returned."""
        x, kind, size = np.asarray(inputs), operand_type(self.network.arithmetic), self.network.input_size
        if x.dtype != kind or x.ndim != 2 or x.shape[0] == 0 or x.shape[1] != size:
            raise ModelError(f"inputs are {x.dtype} {list(x.shape)}, must be {kind} [steps, {size}], steps >= 1")
        start = self.cleared_state() if state is None else tuple(state)
        check_state(start, self.cleared_state())
        outputs, end, saturations = [], [], []
        starts = [*start, *[{}] * (len(self._layers) - len(start))]
        for layer, layer_state in zip(self._layers, starts, strict=True):
            counts: Counter[str] = Counter()
            h16, last = layer.run(x, layer_state, counts)
            outputs.append(h16)
            end.append(last)
            saturations.append(counts)
            x = layer.operand(h16)
        count = len(self.network.layers)
        return ReferenceTrace(outputs[-1], tuple(outputs[:count]), tuple(end[:count]), tuple(saturations))


@dataclass(frozen=True, eq=False)
class SegmentTrace:
    """A run of one segment over a whole sequence; tuples have an entry for each member."""

    segment: QuantisedSegment
    #: Operand codes of each member's inputs, in the order in which it runs.
    codes: tuple[Codes, ...]
    traces: tuple[ReferenceTrace, ...]

    @property
    def outputs(self) -> npt.NDArray[np.signedinteger[Any]]:
        """Merged outputs [steps, values] in units of `QuantisedSegment.output_scale`, in the order of the sequence."""
        return self.segment.merged([trace.outputs for trace in self.traces])

    @property
    def layer_outputs(self) -> list[FloatArray]:
        """Merged outputs [steps, values] of each layer, and of the head if there is one, in real units."""
        return [self._merged_layer(index) for index in range(len(self.segment.members[0].all_layers))]

    def _merged_layer(self, index: int) -> FloatArray:
        halves = [
            turned((*trace.layer_outputs, trace.outputs)[index] * member.all_layers[index].output_scale, backward)
            for trace, member, backward in zip(self.traces, self.segment.members, self.segment.backward, strict=True)
        ]
        return halves[0] + halves[1] if self.segment.merge == "sum" else np.concatenate(halves, axis=1)


@dataclass(frozen=True, eq=False)
class ModelTrace:
    """The runs of all segments; the inputs of each are the outputs of the one before."""

    segments: tuple[SegmentTrace, ...]

    @property
    def outputs(self) -> npt.NDArray[np.signedinteger[Any]]:
        """Outputs [steps, output_size] in units of `QuantisedModel.output_scale`."""
        return self.segments[-1].outputs

    @property
    def layer_outputs(self) -> list[FloatArray]:
        """Outputs [steps, output_size] of each of `Network.all_layers` in real units."""
        return [outputs for segment in self.segments for outputs in segment.layer_outputs]


def run_model(
    network: QuantisedModel | QuantisedNetwork, inputs: FloatArray, state: Sequence[LayerState] | None = None
) -> ModelTrace:
    """Run real inputs [steps, input_size] through every segment as a host would.

    `state` is the state of each of `Network.single_layers` (cleared if None). The host computes the operand codes of a
    segment from the merged outputs of the segment before, in float64. Every sum and every scale of the merge is exact
    in float64, and the one division and the one rounding are as IEEE 754 prescribes: so a grid and this function agree.
    """
    values, starts = inputs, None if state is None else iter(state)
    runs: list[SegmentTrace] = []
    for segment in network.segments:
        codes = segment_codes(segment, values)
        traces = tuple(
            run_reference(
                member, part, None if starts is None else list(itertools.islice(starts, len(member.layers)))
            )
            for member, part in zip(segment.members, codes, strict=True)
        )
        runs.append(SegmentTrace(segment, codes, traces))
        values = runs[-1].outputs.astype(np.float64) * segment.output_scale
    return ModelTrace(tuple(runs))


@dataclass
class _Product:
    """Multiplies operands [..., I] and requantises the sums to 16 bits [..., G, H]."""

    product: QuantisedProduct
    arithmetic: Arithmetic
    matrix: npt.NDArray[np.floating[Any]] = field(init=False)

    def __post_init__(self) -> None:
        weights = self.product.weights
        # Floating point is far faster than numpy's integer products, and exact: all partial sums, in whatever order
        # BLAS adds, are integers that the format holds (up to 2^24 or 2^53).
        largest = int(np.abs(weights.astype(np.int64)).sum(axis=2).max()) * self.arithmetic.operand_limit
        exact = np.float32 if largest <= 1 << 24 else np.float64
        self.matrix = weights.reshape(-1, weights.shape[2]).T.astype(exact)

    def __call__(self, operand: IntArray | Codes, counts: Counter[str], name: str) -> IntArray:
        total = (operand.astype(self.matrix.dtype) @ self.matrix).astype(np.int64)
        acc = total.reshape(*operand.shape[:-1], *self.product.bias.shape) + self.product.bias
        parts = requantise(acc, self.product.multiplier, self.product.shift, self.arithmetic)
        return _saturate(parts, 16, counts, name)


class _Layer:
    """Evaluates a layer's arithmetic; values that depend on the input alone are computed for all steps at once."""

    def __init__(self, layer: QuantisedLayer, target: Arithmetic) -> None:
        self.layer = layer
        self.target = target
        self.segments = target.table_segments
        self.arithmetic = arithmetic = layer.arithmetic
        self.products = {name: _Product(product, target) for name, product in layer.products.items()}
        self.places = {
            operand: {row: index for index, row in enumerate(arithmetic.rows_of(operand))}
            for operand in arithmetic.operands
        }
        self.labels = {node: name for name, node in arithmetic.states.items()}
        self.operands = {operand.node: operand for operand in arithmetic.operands if operand.node is not None}
        moving: set[Node] = set()
        for node in arithmetic.nodes:
            needed = set(parts_of(node))
            if isinstance(node, Row):
                vectors = [product.operand for product in node.products]
                needed |= {operand.node for operand in vectors if operand.node is not None}
                if any(operand.state is not None for operand in vectors):
                    moving.add(node)
            if isinstance(node, Read) or needed & moving:
                moving.add(node)
        self.still = [node for node in arithmetic.nodes if node not in moving]
        self.moving = [node for node in arithmetic.nodes if node in moving]

    def operand(self, h16: IntArray | Int16Array) -> Codes:
        """The output as the operand of the layer above; zeros if no layer multiplies it."""
        kind = operand_type(self.target)
        if self.layer.feedback_shift is None:
            return np.zeros(np.shape(h16), dtype=kind)
        return saturate(round_shift(h16, self.layer.feedback_shift), self.target.operand_bits).astype(kind)

    def run(self, x: Codes, state: LayerState, counts: Counter[str]) -> tuple[Int16Array, LayerState]:
        """Outputs [steps, output_size] and the state after them."""
        arithmetic = self.arithmetic
        inputs = {
            operand: self._multiply(operand, x, counts) for operand in arithmetic.operands if operand.is_input
        }
        fixed: dict[Node, IntArray] = {}
        parts = dict(inputs)
        for node in self.still:
            fixed[node] = self._value(node, fixed, parts, {}, counts)
            self._feed(node, fixed[node], parts, counts)
        still_parts = parts
        now = {name: value.astype(np.int64) for name, value in state.items()}
        outputs = np.empty((len(x), self.layer.output_size), dtype=np.int16)
        if not self.moving:
            outputs[:] = fixed[arithmetic.output]
            if arithmetic.states:
                now = {name: fixed[node][-1] for name, node in arithmetic.states.items()}
            return outputs, {name: value.astype(np.int16) for name, value in now.items()}
        for step in range(len(x)):
            values = _Step(fixed, step)
            parts = _Step(still_parts, step)
            for operand in arithmetic.operands:
                if operand.state is not None:
                    shift = self.layer.state_format(operand.state).shift
                    narrow = self._narrow(now[operand.state], shift, counts)
                    parts[operand] = self._multiply(operand, narrow, counts)
            for node in self.moving:
                values[node] = self._value(node, values, parts, now, counts)
                self._feed(node, values[node], parts, counts)
            outputs[step] = values[arithmetic.output]
            now = {name: values[node] for name, node in arithmetic.states.items()}
        return outputs, {name: value.astype(np.int16) for name, value in now.items()}

    def _feed(self, node: Node, value: IntArray, parts: dict[Operand, IntArray], counts: Counter[str]) -> None:
        """Multiply a computed vector by the matrices that take it as their operand, if there are any."""
        if node in self.operands:
            narrow = self._narrow(value, self.layer.formats[node].shift, counts)
            parts[self.operands[node]] = self._multiply(self.operands[node], narrow, counts)

    def _narrow(self, value: IntArray, shift: int | None, counts: Counter[str]) -> IntArray:
        assert shift is not None
        return _saturate(round_shift(value, shift), self.target.operand_bits, counts, "feedback")

    def _multiply(self, operand: Operand, vector: Any, counts: Counter[str]) -> IntArray:
        """Products [..., G, H] of the rows that multiply an operand."""
        return self.products[operand.name](vector, counts, f"{operand.name}_part")

    def _value(
        self, node: Node, values: abc.Mapping[Node, IntArray], parts: abc.Mapping[Operand, IntArray],
        state: abc.Mapping[str, IntArray], counts: Counter[str],
    ) -> IntArray:
        match node:
            case Read(state=name):
                return state[name]
            case Fixed(parameter=name):
                return self.layer.fixed[name]
            case Row(products=products):
                total: IntArray | None = None
                for product in products:
                    part = parts[product.operand][..., self.places[product.operand][node], :]
                    total = part if total is None else _saturate(total + part, 16, counts, "preactivation")
                assert total is not None
                return total
            case Activated(function=Function.SIGMOID, argument=argument):
                return activation_sigmoid(values[argument], self.segments)
            case Activated(function=Function.TANH, argument=argument):
                return activation_tanh(values[argument], self.segments)
            case Activated(argument=argument):
                return np.maximum(values[argument], 0)
            case Accumulate():
                return self._accumulate(node, values, counts)
        raise AssertionError(node)

    def _accumulate(self, node: Accumulate, values: abc.Mapping[Node, IntArray], counts: Counter[str]) -> IntArray:
        x = 0 if node.x is None else values[node.x]
        y = values[node.y] if isinstance(node.y, Node) else (1 << 15 if node.y == Unit.ONE else 0)
        z = 0 if node.z is None else values[node.z]
        total = np.asarray(x * (y - z))
        if node.addend is not None:
            total = total + (values[node.addend] << (KEPT_LEFT if node.addend_is_finer else 15))
        return _saturate(round_shift(total, 15), 16, counts, self.labels.get(node, "value"))


class _Step(dict[Any, IntArray]):
    """Values of one step; falls back to the values that are computed for all steps at once."""

    def __init__(self, fixed: abc.Mapping[Any, IntArray], step: int) -> None:
        super().__init__()
        self.fixed, self.step = fixed, step

    def __missing__(self, key: Any) -> IntArray:
        value = self.fixed[key]
        # Trained vectors [units] are the same in every step; all else is [steps, ...].
        return value if isinstance(key, Fixed) else value[self.step]


def _saturate(value: IntArray, bits: int, counts: Counter[str], name: str) -> IntArray:
    limited = saturate(value, bits)
    if changed := int(np.count_nonzero(limited != value)):
        counts[name] += changed
    return limited


def check_state(state: Sequence[LayerState], cleared: Sequence[LayerState]) -> None:
    """Raise ModelError unless `state` has the layers, names and shapes of `cleared`."""
    if len(state) != len(cleared):
        raise ModelError(f"state holds {counted(len(state), 'layer')}, must hold {len(cleared)}")
    for index, (given, wanted) in enumerate(zip(state, cleared, strict=True)):
        for name in dict.fromkeys((*wanted, *given)):
            value, shape = given.get(name), wanted.get(name)
            if value is None or shape is None or value.dtype != np.int16 or value.shape != shape.shape:
                have = "nothing" if value is None else f"{value.dtype} {list(value.shape)}"
                need = "nothing" if shape is None else f"int16 {list(shape.shape)}"
                raise ModelError(f"state of layer {index}: {name} is {have}, must be {need}")
