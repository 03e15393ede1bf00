"""The walk through a cut of an ONNX graph: the meaning of every tensor, for a sequence of so many steps.

Nothing is inferred from names or from the shape of a pattern. Every tensor is a constant, or its elements are traced to
the sources that they come from (`sources`); a layer is accepted if its input is all values of its
source, step by step, in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.messages import quoted
from rnn_mapper.importers.onnx.constants import EVALUATED, constant_of, evaluate
from rnn_mapper.importers.onnx.elementwise import ELEMENTWISE, Elementwise
from rnn_mapper.importers.onnx.glue import GLUE, Value
from rnn_mapper.importers.onnx.graph import Graph, Node, Shape
from rnn_mapper.importers.onnx.layers import RecurrentLayers
from rnn_mapper.importers.onnx.loop import LoopLayer, read_loop
from rnn_mapper.importers.onnx.order import Order
from rnn_mapper.importers.onnx.recurrent import RECURRENT, read_recurrent
from rnn_mapper.importers.onnx.sources import InputRecipe, Sources, StateRecipe

__all__ = ["COMPUTED", "MOVED", "SUPPORTED", "Cut", "Walk"]

#: Operators that a cut may hold.
SUPPORTED = frozenset((*EVALUATED, *RECURRENT, *ELEMENTWISE, "Constant", "Loop"))

#: The account of nodes without a layer.
MOVED, COMPUTED = "moved about, element by element", "computed at once, constants"

#: Elements of all tensors of a walk together.
_MAX_TOTAL = 1 << 26


@dataclass(frozen=True, eq=False)
class Cut:
    """The part of a graph that is imported."""

    graph: Graph
    start: str
    stop: str
    nodes: list[Node]
    #: Of the tensor that it starts with.
    shape: Shape
    #: Lines of the account about what was left out.
    notes: tuple[str, ...] = ()


@dataclass(eq=False)
class Walk:
    """One walk, with the dynamic dimensions bound to sizes."""

    cut: Cut
    #: Sizes of the dynamic axes of the start, and of dynamic dimensions by their name.
    axes: dict[int, int]
    named: dict[str, int]
    #: Steps of the sequence if they are bound, else None: the graph fixes them.
    bound: int | None
    sources: Sources = field(default_factory=Sources)
    #: The account of each node, by its identity.
    account: dict[int, str] = field(default_factory=dict)
    #: Inputs of the graph that are states or lengths, each with its meaning.
    carried: dict[str, str] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    _total: int = 0

    def __post_init__(self) -> None:
        self.order = Order(self.sources)
        self._elementwise = Elementwise(self.sources, self.order)
        self._layers = RecurrentLayers(self.sources, self.order, self.carried)

    def run(self) -> Value:
        """The tensor that the cut ends with. Raises ModelError, `MoreSteps`."""
        cut = self.cut
        shape = tuple(
            size if isinstance(size, int) else self.axes[axis] for axis, size in enumerate(cut.shape)
        )
        self._count(int(np.prod([float(size) for size in shape])))
        self.values[cut.start] = self.sources.add_tensor(f"the input {quoted(cut.start)}", InputRecipe(), shape)
        for node in cut.nodes:
            try:
                inputs = [self._value(name) if name else None for name in node.inputs]
                outputs, text = self._apply(node, inputs)
                if node.attributes.left():
                    names = ", ".join(map(quoted, node.attributes.left()))
                    raise ModelError(f"attribute {names} is not supported")
            except ModelError as error:
                raise ModelError(f"{node}: {error}{self._way_on(node, str(error))}") from None
            except (ValueError, TypeError, IndexError, OverflowError) as error:
                raise ModelError(f"{node}: its inputs do not fit it ({type(error).__name__})") from None
            self.account[id(node)] = text
            for name, value in zip(node.outputs, outputs, strict=False):
                if name:
                    self._count(value.array.size)
                    self.values[name] = value
        found = self.values.get(cut.stop)
        if found is None:
            raise ModelError(f"tensor {quoted(cut.stop)} is not computed from {quoted(cut.start)}")
        return found

    def _way_on(self, node: Node, text: str) -> str:
        """The cut that leaves a node that is no layer to the host, for a message that names none."""
        if node.op in RECURRENT or node.op == "Loop" or "--" in text:
            return ""
        if self.order.rows is None:
            output = node.output(0)
            layers = [one for one in self.cut.nodes if one.op in RECURRENT]
            if not layers or not output:
                return ""
            begin = output if node.op == "Gather" else layers[0].input(0)
            return f"; leave it to the host, and begin after it: --from {quoted(begin)}"
        end = next((name for name in node.inputs if name in self.values and self.values[name].traced), "")
        return f"; leave it to the host, and end before it: --to {quoted(end)}" if end in self.cut.graph.makers else ""

    def _count(self, size: int) -> None:
        self._total += size
        if self._total > _MAX_TOTAL:
            raise ModelError(
                f"the tensors between {quoted(self.cut.start)} and {quoted(self.cut.stop)} have more than {_MAX_TOTAL} "
                "elements: export the model for a shorter sequence, or a batch of 1"
            )

    def _value(self, name: str) -> Value:
        if name in self.values:
            return self.values[name]
        graph = self.cut.graph
        if name in graph.constants:
            value = Value(graph.constants[name].array())
        elif name in graph.inputs:
            given = graph.inputs[name]
            if given.shape is None:
                raise ModelError(f"input {quoted(name)} has no shape")
            shape = tuple(
                size if isinstance(size, int) else self.named.get(size or "", 1) for size in given.shape
            )
            self._count(int(np.prod([float(size) for size in shape])))
            value = self.sources.add_tensor(f"input {quoted(name)}", StateRecipe(), shape, given.type in (6, 7))
        else:
            raise ModelError(f"takes {quoted(name)}, which nothing produces")
        self.values[name] = value
        return value

    def _apply(self, node: Node, inputs: list[Value | None]) -> tuple[list[Value], str]:
        """The outputs of a node and its line of the account."""
        opset = self.cut.graph.opset
        if node.op == "Constant":
            return [Value(constant_of(node))], COMPUTED
        if node.op in RECURRENT:
            return self._layers.recurrent(node, read_recurrent(node, inputs, opset), inputs)
        if node.op == "Loop":
            found_loop = read_loop(node, inputs, self._value, opset)
            if not isinstance(found_loop, LoopLayer):
                return found_loop, MOVED
            return self._layers.loop(node, found_loop, inputs)
        traced = any(value is not None and value.traced for value in inputs)
        if node.op in EVALUATED:
            found = evaluate(node, inputs, opset, self.bound or -1)
            if found is not None:
                moved = traced and node.op in GLUE
                return found, MOVED if moved else COMPUTED
        if node.op in ELEMENTWISE:
            if not traced:
                raise ModelError("works on constants only, which is not supported: fold constants before exporting")
            return self._elementwise.apply(node, inputs, opset)
        raise ModelError("is not supported on values that are computed while the model runs")
