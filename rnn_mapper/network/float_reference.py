"""Networks in float64, computed by the equations of their cells: the standard that quantisation is measured by."""

from __future__ import annotations

from collections import abc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rnn_mapper.cells.expressions import (
    Apply,
    Expression,
    Function,
    Input,
    Multiply,
    Number,
    Parameter,
    Product,
    State,
    Sum,
)
from rnn_mapper.cells.tracing import children
from rnn_mapper.errors import ModelError
from rnn_mapper.network.layers import Layer
from rnn_mapper.network.network import Network, turned
from rnn_mapper.network.ranges import ValueRange
from rnn_mapper.network.tensors import FloatArray, check_inputs

__all__ = ["FloatState", "FloatTrace", "run_float"]

#: The state of one layer, carried from step to step: the values of each of its states by name, [values] each.
FloatState = abc.Mapping[str, FloatArray]


@dataclass(frozen=True, eq=False)
class FloatTrace:
    """The result of a run over `steps` steps."""

    #: Outputs of each of `Network.all_layers`, [steps, output_size], in the order of the sequence.
    layer_outputs: tuple[FloatArray, ...]
    #: For each of `Network.stack`: the values of each expression that a matrix multiplies or that the layer returns.
    observed: tuple[abc.Mapping[Expression, ValueRange], ...]
    #: State of each of `Network.single_layers` after its last step; `run_float` can continue from it.
    state: tuple[FloatState, ...]

    @property
    def outputs(self) -> FloatArray:
        """Outputs of the last layer or head, [steps, output_size]."""
        return self.layer_outputs[-1]


def run_float(network: Network, inputs: FloatArray, state: Sequence[FloatState] | None = None) -> FloatTrace:
    """Run inputs [steps, input_size].

    `state` is the start state of each of `Network.single_layers`; a missing state is cleared.

    Raises ModelError if inputs or state do not fit.
    """
    x = check_inputs(inputs, network.input_size)
    starts = iter([] if state is None else state)
    outputs: list[FloatArray] = []
    traces: list[FloatTrace] = []
    for segment in network.segments:
        runs = [
            _run_stack(member, turned(x, backward), starts)
            for member, backward in zip(segment.networks, segment.backward, strict=True)
        ]
        for halves in zip(*(run.layer_outputs for run in runs), strict=True):
            outputs.append(segment.merged([
                turned(half, backward) for half, backward in zip(halves, segment.backward, strict=True)
            ]))
        x = outputs[-1]
        traces += runs
    return FloatTrace(
        tuple(outputs), tuple(one for run in traces for one in run.observed),
        tuple(one for run in traces for one in run.state),
    )


def _run_stack(network: Network, x: FloatArray, starts: Iterator[FloatState]) -> FloatTrace:
    """Run a network of one segment, steps in the order in which it runs; takes its layers' states from `starts`."""
    outputs, observed, end = [], [], []
    x = network.coded(x)
    for index, layer in enumerate(network.stack):
        run = _LayerRun(layer)
        x, last = run.run(x, next(starts, {}) if index < len(network.layers) else {})
        outputs.append(x)
        observed.append(run.observed)
        end.append(last)
    return FloatTrace(tuple(outputs), tuple(observed), tuple(end[: len(network.layers)]))


class _LayerRun:
    """One layer over a sequence; values that depend on the input alone are computed for all steps at once."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        trace = layer.cell.trace
        self.order = list(trace)
        self.moving: set[Expression] = set()
        for node in self.order:
            if isinstance(node, State) or any(part in self.moving for part in children(node)):
                self.moving.add(node)
        watched = [trace.output, *trace.new_states, *(n.operand for n in self.order if isinstance(n, Product))]
        self.observed = {node: ValueRange() for node in watched}

    def run(self, x: FloatArray, start: FloatState) -> tuple[FloatArray, FloatState]:
        """Outputs [steps, output_size] and the state after them."""
        trace, sizes = self.layer.cell.trace, self.layer.state_sizes
        state = {name: np.zeros(size) for name, size in sizes.items()}
        for name, value in start.items():
            if name not in sizes or np.shape(value) != (sizes[name],):
                raise ModelError(f"state {name} has shape {np.shape(value)}, must be one of the states {sizes}")
            state[name] = np.asarray(value, dtype=np.float64)
        fixed: dict[Expression, FloatArray] = {}
        for node in self.order:
            if node not in self.moving:
                fixed[node] = self._value(node, fixed, x, state)
                self._watch(node, fixed[node])
        outputs = np.empty((len(x), self.layer.output_size))
        always = [node for node in self.order if node in self.moving]
        for step in range(len(x)):
            values = _Step(fixed, step, len(x))
            for node in always:
                values[node] = self._value(node, values, x[step], state)
                self._watch(node, values[node])
            outputs[step] = values[trace.output]
            state = {
                name: np.broadcast_to(values[after], (sizes[name],))
                for name, after in zip(sizes, trace.new_states, strict=True)
            }
        return outputs, state

    def _watch(self, node: Expression, value: FloatArray) -> None:
        if node in self.observed:
            self.observed[node].add(value)

    def _value(
        self, node: Expression, values: abc.Mapping[Expression, FloatArray], x: FloatArray, state: FloatState
    ) -> FloatArray:
        match node:
            case Input():
                return x
            case State(name=name):
                return state[name]
            case Number(value=value):
                return np.array(value)
            case Parameter(name=name):
                return self.layer.tensors[name]
            case Product(matrix=matrix, operand=operand):
                return np.asarray(values[operand] @ self.layer.tensors[matrix].T)
            case Sum(terms=terms):
                total = sum((sign * values[term] for sign, term in terms), start=np.array(0.0))
                return np.asarray(total)
            case Multiply(left=left, right=right):
                return np.asarray(values[left] * values[right])
            case Apply(function=function, argument=argument):
                return _FUNCTIONS[function](values[argument])
        raise AssertionError(node)


class _Step(dict[Expression, FloatArray]):
    """Values of one step; falls back to the values that are computed for all steps at once."""

    def __init__(self, fixed: abc.Mapping[Expression, FloatArray], step: int, steps: int) -> None:
        super().__init__()
        self.fixed, self.step, self.steps = fixed, step, steps

    def __missing__(self, node: Expression) -> FloatArray:
        value = self.fixed[node]
        return value[self.step] if value.ndim == 2 else value



def _sigmoid(x: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))  # does not overflow, unlike 1 / (1 + exp(-x))


_FUNCTIONS: dict[Function, Callable[[FloatArray], FloatArray]] = {
    Function.IDENTITY: lambda x: x,
    Function.SIGMOID: _sigmoid,
    Function.TANH: np.tanh,
    Function.RELU: lambda x: np.maximum(x, 0.0),
}
