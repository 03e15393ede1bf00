"""Loops that run a GRU or a simple RNN step by step, as tf2onnx writes those of Keras 3.

The body is run for every step of the walk: counters and conditions are numbers, the data is traced, and values that
depend on the state are kept as formulas. The formulas of every step must be the same, and describe a known cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rnn_mapper.cells.tracing import Cell
from rnn_mapper.errors import ModelError
from rnn_mapper.importers.onnx.constants import EVALUATED, evaluate
from rnn_mapper.importers.onnx.formulas import Formula, Linear, Symbol, cell_of
from rnn_mapper.importers.onnx.glue import GLUE, Value
from rnn_mapper.importers.onnx.graph import Body, Node, body_of
from rnn_mapper.importers.onnx.sources import Taken
from rnn_mapper.importers.onnx.tensors import AnyArray
from rnn_mapper.network.layers import Layer
from rnn_mapper.summary import counted

__all__ = ["LoopLayer", "read_loop"]

_FUNCTIONS = {"Sigmoid": "sigmoid", "Tanh": "tanh", "Relu": "relu"}
_MAX_NODES_RUN = 200_000


@dataclass(frozen=True, eq=False)
class LoopLayer:
    """The cell that a loop computes, its tensors, and where it takes its input."""

    node: Node
    cell: Cell
    tensors: dict[str, AnyArray]
    hidden: int
    features: int
    #: [steps, batch, features], traced.
    x: Value
    #: Index of the state among what the loop carries.
    state_index: int
    #: For each output of the loop: "state", "steps", or a constant after the last step.
    outputs: list[str | Value]
    directions: tuple[bool, ...] = (False,)
    notes: list[str] = field(default_factory=list)

    def build(self, direction: int, taken: Taken) -> Layer:
        """The layer."""
        spread = {
            name: taken.spread(value) if name.startswith("W") else value for name, value in self.tensors.items()
        }
        return Layer(self.cell, spread)


def read_loop(
    node: Node, inputs: list[Value | None], outer: Callable[[str], Value], opset: int
) -> LoopLayer | list[Value]:
    """The layer that a loop computes, or its outputs if it only moves elements; `outer` gives tensors around it.

    Raises ModelError if it does neither.
    """
    body = body_of(node)
    count, condition, *carried = [*inputs, None, None][: max(2, len(inputs))]
    limit = _MAX_NODES_RUN // max(1, len(body.nodes))
    steps = _steps(count, condition, limit)
    if (
        len(body.inputs) != len(carried) + 2 or len(body.outputs) < len(carried) + 1
        or any(one is None for one in carried)
    ):
        raise ModelError("its carried values do not fit its body")
    chosen = _states(body, carried)
    run = _Body(body, outer, opset)
    if not chosen:
        return _moved_by(run, carried, steps, limit)
    if len(chosen) != 1:
        raise ModelError(f"carries {counted(len(chosen), 'state')}, must carry one, the state of a GRU or of a "
                         "simple RNN")
    values: list[Any] = list(carried)
    hidden = values[chosen[0]].shape[1]
    found: list[tuple[LoopLayer, AnyArray]] = []
    for step in range(steps):
        if step == limit:
            raise ModelError(f"has more than {limit} steps, which is not supported")
        layer, values, goes_on = _layer_of_step(node, run, step, values, chosen[0], hidden)
        found.append((layer, layer.x.array))
        if not goes_on:
            break
    first = found[0][0]
    for layer, part in found:
        if layer.cell is not first.cell or part.shape != found[0][1].shape or any(
            not np.array_equal(layer.tensors[name], value) for name, value in first.tensors.items()
        ):
            raise ModelError("computes something else in every step")
    x = Value(np.stack([array for _, array in found]), True)
    return replace(first, x=x, outputs=found[-1][0].outputs)


def _steps(count: Value | None, condition: Value | None, limit: int) -> int:
    """The steps of the loop; beyond the limit if it alone does not say."""
    if count is not None and (count.traced or count.array.size != 1 or count.array.dtype != np.int64):
        raise ModelError("the number of its steps is not known before it runs")
    if condition is not None and (condition.traced or not condition.array.all()):
        raise ModelError("its condition is not true at the start")
    steps = limit + 1 if count is None else int(count.array.reshape(()))
    if steps < 1:
        raise ModelError("has no steps")
    return steps


def _states(body: Body, carried: Sequence[Value | None]) -> list[int]:
    """Indices of the carried values that are states: floating point, [batch, values] at the start, and changing."""
    kept = {name for name, out in zip(body.inputs[2:], body.outputs[1:], strict=False) if body.passes(out, name)}
    return [
        index for index, value in enumerate(carried)
        if value is not None and body.inputs[index + 2] not in kept and value.array.ndim == 2
        and (value.traced or value.array.dtype == np.float64)
    ]


def _layer_of_step(
    node: Node, run: _Body, step: int, values: list[Any], state_index: int, hidden: int
) -> tuple[LoopLayer, list[Any], bool]:
    """What one step computes, as a layer; the values that it carries on, and whether another step follows."""
    state = Formula("state", hidden)
    run.x = None
    given = [Value(np.array(step)), Value(np.array(True)), *values[:state_index], state, *values[state_index + 1:]]
    results = run.run(dict(zip(run.body.inputs, given, strict=True)))
    if run.x is None:
        raise ModelError("its body does not multiply a step of the input with a matrix")
    ended, after, scanned = results[0], results[1:len(values) + 1], results[len(values) + 1:]
    if not isinstance(ended, Value) or ended.traced:
        raise ModelError("its end depends on the data, which is not supported")
    cell, tensors = cell_of(after[state_index], state)
    outputs: list[str | Value] = []
    for index, one in enumerate(after):
        if index == state_index:
            outputs.append("state")
        elif isinstance(one, Value) and not one.traced:
            outputs.append(one)
        else:
            raise ModelError("carries more than the state of a layer and counters")
    if any(one is not after[state_index] for one in scanned):
        raise ModelError("gives something other than its state at every step")
    outputs += ["steps"] * len(scanned)
    layer = LoopLayer(node, cell, tensors, hidden, run.x.shape[1], run.x, state_index, outputs)
    return layer, list(after), bool(ended.array.all())


def _moved_by(run: _Body, carried: list[Any], steps: int, limit: int) -> list[Value]:
    """The outputs of a loop that carries counters only, and puts elements together."""
    values, scanned = carried, list[list[Value]]()
    for step in range(steps):
        if step == limit:
            raise ModelError(f"has more than {limit} steps, which is not supported")
        env = dict(zip(run.body.inputs, [Value(np.array(step)), Value(np.array(True)), *values], strict=True))
        ended, *results = run.run(env)
        if any(not isinstance(value, Value) for value in (ended, *results)) or ended.traced:
            raise ModelError("computes something, but carries no state of a layer")
        values = results[: len(carried)]
        scanned.append(results[len(carried):])
        if not ended.array.all():
            break
    outputs = [Value(np.stack([one.array for one in parts]), parts[0].traced, parts[0].whole)
               for parts in zip(*scanned, strict=True)]
    if any(one.traced != parts[0].traced for parts in zip(*scanned, strict=True) for one in parts):
        raise ModelError("concatenates constants with the data, which is not supported")
    return [*values, *outputs]


@dataclass(eq=False)
class _Body:
    """Runs a loop's body for one step."""

    body: Body
    outer: Callable[[str], Value]
    opset: int
    #: The step of the input that this run has met.
    x: Value | None = None

    def run(self, env: dict[str, Any]) -> list[Any]:
        for node in self.body.nodes:
            try:
                inputs = [self._value(env, name) if name else None for name in node.inputs]
                outputs = self._apply(node, inputs)
            except ModelError as error:
                raise ModelError(f"{node}: {error}") from None
            env.update({name: value for name, value in zip(node.outputs, outputs, strict=False) if name})
        return [self._value(env, name) for name in self.body.outputs]

    def _value(self, env: dict[str, Any], name: str) -> Any:
        if name not in env:
            env[name] = Value(self.body.constants[name].array()) if name in self.body.constants else self.outer(name)
        return env[name]

    def _apply(self, node: Node, inputs: list[Any]) -> list[Any]:
        if not any(isinstance(value, Symbol) for value in inputs):
            traced = [value for value in inputs if value is not None and value.traced]
            if node.op in EVALUATED and not (traced and node.op not in (*GLUE, "Shape", "Size")):
                return evaluate(node, inputs, self.opset, -1) or []
            if not traced:
                raise ModelError("is not supported within a step")
            if node.op == "MatMul" and inputs[0] is traced[0]:
                return [self._product(node, None, inputs[0], inputs[1])]
            raise ModelError("is not supported on the input of the step: a product with a matrix must come first")
        if node.op in ("Identity", "Split", "Slice", "Squeeze", "Reshape"):
            return self._moved(node, inputs)
        if node.op == "MatMul":
            operand = inputs[0]
            if not isinstance(operand, Formula):
                raise ModelError("multiplies something with a matrix that is neither the state nor a function's result")
            return [self._product(node, operand, None, inputs[1])]
        if node.op in _FUNCTIONS:
            return [Formula("function", inputs[0].size, (inputs[0],), _FUNCTIONS[node.op])]
        if node.op in ("Add", "Sub", "Mul") and len(inputs) == 2:
            return [self._combined(node.op, inputs[0], inputs[1])]
        raise ModelError("is not supported within a step")

    def _product(self, node: Node, operand: Formula | None, x: Value | None, matrix: Any) -> Linear:
        if not isinstance(matrix, Value) or matrix.traced or matrix.array.ndim != 2 or matrix.array.dtype != np.float64:
            raise ModelError("multiplies with something other than a stored matrix")
        if x is not None:
            if x.array.ndim != 2 or (self.x is not None and not np.array_equal(self.x.array, x.array)):
                raise ModelError("takes more of the input than one vector of each step")
            self.x = x
        size = x.shape[1] if x is not None else operand.size if operand is not None else 0
        if size != len(matrix.array):
            raise ModelError(f"takes {counted(size, 'value')}, its matrix has {counted(len(matrix.array), 'row')}")
        return Linear(((operand, matrix.array.T),), np.zeros(matrix.array.shape[1]))

    def _moved(self, node: Node, inputs: list[Any]) -> list[Any]:
        """Parts of a vector, found by moving its indices."""
        value = inputs[0]
        if not isinstance(value, Symbol):
            raise ModelError("is not supported within a step")
        indices = Value(np.arange(value.size)[None], True)
        results = []
        for moved in evaluate(node, [indices, *inputs[1:]], self.opset, -1) or []:
            if moved.array.ndim != 2 or len(moved.array) != 1:
                raise ModelError("changes the axes of a vector within a step")
            chosen = moved.array[0]
            whole = np.array_equal(chosen, np.arange(value.size))
            if not whole and not isinstance(value, Linear):
                raise ModelError("takes a part of the state or of a function, which a cell cannot")
            results.append(value if whole or not isinstance(value, Linear) else value.rows(chosen))
        return results

    def _combined(self, op: str, one: Any, other: Any) -> Symbol:
        if op == "Sub":
            if isinstance(one, Value) and not one.traced and (one.array == 1).all() and isinstance(other, Formula):
                return Formula("complement", other.size, (other,))
            raise ModelError("subtracts, which only 1 - gate may")
        symbols = [value for value in (one, other) if isinstance(value, Symbol)]
        if len({value.size for value in symbols}) > 1:
            raise ModelError("combines vectors of different sizes")
        size = symbols[0].size
        if op == "Mul":
            if len(symbols) != 2:
                raise ModelError("multiplies with a constant, which is not supported within a step")
            return Formula("product", size, (one, other))
        if len(symbols) == 2:
            if isinstance(one, Linear) and isinstance(other, Linear):
                return Linear((*one.terms, *other.terms), one.constant + other.constant)
            return Formula("sum", size, (one, other))
        constant = one if isinstance(one, Value) else other
        if not isinstance(symbols[0], Linear) or constant.traced:
            raise ModelError("adds something to a value that is not a matrix product")
        try:
            bias = np.broadcast_to(constant.array, (1, size))[0]
        except ValueError:
            raise ModelError(f"adds a constant of shape {list(constant.shape)} to {counted(size, 'value')}") from None
        return Linear(symbols[0].terms, symbols[0].constant + bias)
