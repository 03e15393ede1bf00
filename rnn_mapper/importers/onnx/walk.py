"""The walk through a cut of an ONNX graph: what every tensor is, for a sequence of so many steps.

Nothing is inferred from names or from the shape of a pattern. Every tensor is a constant, or its elements are traced to
the sources that they come from (`onnx_sources`); a layer is accepted if what stands at its input is all values of its
source, step by step, in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.onnx.constants import EVALUATED, constant_of, evaluate
from rnn_mapper.importers.onnx.elementwise import ELEMENTWISE, Elementwise
from rnn_mapper.importers.onnx.glue import GLUE, Value
from rnn_mapper.importers.onnx.graph import Graph, Node, Shape
from rnn_mapper.importers.onnx.loop import LoopLayer, read_loop
from rnn_mapper.importers.onnx.recurrent import RECURRENT, Recurrent, read_recurrent, start_state
from rnn_mapper.importers.onnx.sources import (
    IndexArray,
    InputRecipe,
    LayerRecipe,
    Source,
    Sources,
    StateRecipe,
    Taken,
)
from rnn_mapper.importers.onnx.tensors import AnyArray, quoted

__all__ = ["COMPUTED", "MOVED", "SUPPORTED", "Cut", "Walk"]

#: Operators that a cut may hold.
SUPPORTED = frozenset((*EVALUATED, *RECURRENT, *ELEMENTWISE, "Constant", "Loop"))

#: What nodes without a layer do.
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
    #: [steps, streams] of rows, once a recurrent layer has been met.
    order: IndexArray | None = None
    #: Axis of the start along which the steps lie, if there are several.
    time_axis: int | None = None
    #: By numbering of rows: the stream of each row and its place within the stream.
    streams: dict[int, IndexArray] = field(default_factory=dict)
    places: dict[int, IndexArray] = field(default_factory=dict)
    #: What became of each node, by its identity.
    account: dict[int, str] = field(default_factory=dict)
    #: Inputs of the graph that are states, or lengths, with what became of them.
    carried: dict[str, str] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    _total: int = 0

    @property
    def steps(self) -> int:
        """Steps of the sequence; 0 before a recurrent layer has been met."""
        return 0 if self.order is None else len(self.order)

    def run(self) -> Value:
        """The tensor that the cut ends with. Raises ModelError, `MoreSteps`."""
        cut = self.cut
        shape = tuple(
            size if isinstance(size, int) else self.axes[axis] for axis, size in enumerate(cut.shape)
        )
        self._count(int(np.prod([float(size) for size in shape])))
        self.values[cut.start] = self.sources.add_tensor(f"the input {quoted(cut.start)}", InputRecipe(), shape)
        elementwise = Elementwise(self.sources, self.streams, self.places)
        for node in cut.nodes:
            try:
                inputs = [self._value(name) if name else None for name in node.inputs]
                outputs, text = self._apply(node, inputs, elementwise)
                if node.attributes.left():
                    names = ", ".join(map(quoted, node.attributes.left()))
                    raise ModelError(f"attribute {names} is not supported")
            except ModelError as error:
                raise ModelError(f"{node}: {error}") from None
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
            raise ModelError(f"takes {quoted(name)}, which nothing gives")
        self.values[name] = value
        return value

    def _apply(
        self, node: Node, inputs: list[Value | None], elementwise: Elementwise
    ) -> tuple[list[Value], str]:
        """Outputs of a node and what to say of it."""
        opset = self.cut.graph.opset
        if node.op == "Constant":
            return [Value(constant_of(node))], COMPUTED
        if node.op in RECURRENT:
            return self._recurrent(node, read_recurrent(node, inputs, opset), inputs)
        if node.op == "Loop":
            found_loop = read_loop(node, inputs, self._value, opset)
            if not isinstance(found_loop, LoopLayer):
                return found_loop, MOVED
            return self._loop(node, found_loop, inputs)
        traced = any(value is not None and value.traced for value in inputs)
        if node.op in EVALUATED:
            found = evaluate(node, inputs, opset, self.bound or -1)
            if found is not None:
                moved = traced and node.op in GLUE
                return found, MOVED if moved else COMPUTED
        if node.op in ELEMENTWISE:
            if not traced:
                raise ModelError("works on constants only, which is not supported: fold constants before exporting")
            return elementwise.apply(node, inputs, opset)
        raise ModelError("is not supported on values that are computed while the model runs")

    def _recurrent(
        self, node: Node, read: Recurrent, inputs: list[Value | None]
    ) -> tuple[list[Value], str]:
        x = inputs[0]
        if x is None or not x.traced or x.array.ndim != 3:
            raise ModelError("X is not made from the input, or has not 3 dimensions")
        if read.batch_first:
            x = Value(x.array.transpose(1, 0, 2), True)
        if x.shape[2] != read.features:
            raise ModelError(f"X has {x.shape[2]} values per step, W takes {read.features}")
        taken, reversed_rows = self._sequence(x)
        steps, batch = taken.rows.shape
        notes = [*read.notes]
        self._lengths(node, inputs, steps, batch, notes)
        initial = [
            self._initial(name, inputs, index, (len(read.directions), batch, read.hidden), read.batch_first, notes)
            for name, index in (("initial_h", 5), ("initial_c", 6))
        ]
        halves: list[Source] = []
        for direction, backward in enumerate(read.directions):
            recipe = LayerRecipe(
                taken, direction, backward != reversed_rows, read.build, start_state(direction, initial)
            )
            name = str(node) + ("" if len(read.directions) == 1 else " backward" if backward else " forward")
            halves.append(self.sources.add(name, recipe, taken.rows.size, read.hidden))
        outputs = self._outputs(node, read, halves, taken.rows)
        cells = "/".join(dict.fromkeys(cell.name for cell in read.cells))
        order = ", from the last step to the first" if read.directions[0] else ""
        order = ", bidirectional" if len(halves) > 1 else order
        text = f"{cells} {read.features} -> {read.hidden}{order}"
        return outputs, "; ".join([text, *notes])

    def _sequence(self, x: Value) -> tuple[Taken, bool]:
        """What a layer takes that takes X [steps, batch, values], and whether it takes it from the last step on."""
        taken = self.sources.taken(x)
        if taken is None:
            raise ModelError("X is not one step of its source after the other")
        if any(source.is_host for source in taken.sources):
            raise ModelError(f"X comes from {taken.sources[0]}, which is left to the host: cut there with --to")
        return taken, self._follow(taken.rows)

    def _loop(self, node: Node, read: LoopLayer, inputs: list[Value | None]) -> tuple[list[Value], str]:
        taken, backward = self._sequence(read.x)
        notes: list[str] = []
        value = inputs[read.state_index + 2]
        assert value is not None
        shape = (1, taken.rows.shape[1], read.hidden)
        start = self._initial("its state", [Value(value.array[None], value.traced)], 0, shape, False, notes)
        recipe = LayerRecipe(taken, 0, backward, read.build, start_state(0, [start]))
        source = self.sources.add(str(node), recipe, taken.rows.size, read.hidden)
        found = {"state": self.sources.value(source, taken.rows[-1]), "steps": self.sources.value(source, taken.rows)}
        outputs = [found[one] if isinstance(one, str) else one for one in read.outputs]
        text = f"{read.cell.name} {read.features} -> {read.hidden}, written as a loop over the steps"
        return outputs, "; ".join([text, *notes])

    def _outputs(
        self, node: Node, read: Recurrent, halves: list[Source], rows: IndexArray
    ) -> list[Value]:
        """Y [steps, directions, batch, hidden], Y_h and Y_c [directions, batch, hidden], or with the batch first."""
        y = np.stack([self.sources.value(half, rows).array for half in halves], axis=1)
        last = np.stack([
            self.sources.value(half, rows[0 if backward else -1]).array
            for half, backward in zip(halves, read.directions, strict=True)
        ])
        if read.batch_first:
            y, last = y.transpose(2, 0, 1, 3), last.transpose(1, 0, 2)
        found = [Value(y, True), Value(last, True)]
        if node.op == "LSTM":
            found.append(self.sources.add_tensor(f"output Y_c of {node}", StateRecipe(), last.shape))
        return found

    def _follow(self, rows: IndexArray) -> bool:
        """Whether rows [steps, batch] are those of the sequence backwards; raises ModelError if they are neither."""
        if self.order is None:
            backward = self._first_order(rows)
            self.order = rows[::-1] if backward else rows
            count = rows.size
            self.streams[0], self.places[0] = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
            self.streams[0][self.order] = np.arange(rows.shape[1])
            self.places[0][self.order] = np.arange(rows.shape[0])[:, None]
            return backward
        for backward in (False, True):
            if self.order.shape == rows.shape and (rows == (self.order[::-1] if backward else self.order)).all():
                return backward
        raise ModelError("X is not the whole sequence, step by step, of what is below it")

    def _first_order(self, rows: IndexArray) -> bool:
        """Whether the first layer runs along an axis of the input from its end."""
        source = self.sources.all[0]
        if rows.size != source.rows or len(np.unique(rows)) != rows.size:
            raise ModelError(f"X is not all of {source}")
        coordinates = np.unravel_index(self.sources.bases[rows], source.shape)
        backward = False
        chosen: list[int] = []
        for along, size in ((0, rows.shape[0]), (1, rows.shape[1])):
            moving = [axis for axis, place in enumerate(coordinates) if (place != place.take([0], along)).any()]
            if size == 1:
                continue
            place = coordinates[moving[0]] if len(moving) == 1 else np.zeros_like(rows)
            wanted = np.arange(size)[:, None] if along == 0 else np.arange(size)
            if along == 0 and (place == wanted[::-1]).all():
                backward = True
            elif not (place == wanted).all():
                what = "steps" if along == 0 else "streams"
                raise ModelError(f"the {what} of X are not those of {source} in their order")
            chosen.append(moving[0])
            if along == 0:
                self.time_axis = moving[0]
        if len(set(chosen)) != len(chosen):
            raise ModelError(f"steps and streams of X lie along one axis of {source}")
        return backward

    def _lengths(
        self, node: Node, inputs: list[Value | None], steps: int, batch: int, notes: list[str]
    ) -> None:
        value = inputs[4] if len(inputs) > 4 else None
        if value is None:
            return
        if value.shape != (batch,):
            raise ModelError(f"sequence_lens has shape {list(value.shape)}, must have [{batch}]")
        if value.traced:
            self._carry("sequence_lens", value, "the number of steps that the host sends")
            notes.append("sequence_lens: the number of steps that the host sends")
        elif value.array.dtype != np.int64 or (value.array != steps).any():
            raise ModelError(
                f"sequence_lens is {value.array.tolist()[:8]}, must be the {steps} steps of X: cut the input instead"
            )

    def _initial(
        self, name: str, inputs: list[Value | None], index: int, shape: tuple[int, int, int], batch_first: bool,
        notes: list[str],
    ) -> AnyArray | None:
        value = inputs[index] if index < len(inputs) else None
        if value is None:
            return None
        array = value.array.transpose(1, 0, 2) if batch_first and value.array.ndim == 3 else value.array
        if array.shape != shape:
            hint = (
                "; PyTorch's exporter loses the projection of proj_size: import the PyTorch model instead"
                if name == "initial_c" and array.shape[:-1] == shape[:-1] else ""
            )
            raise ModelError(f"{name} has shape {list(array.shape)}, must have {list(shape)}{hint}")
        if value.traced:
            self._carry(name, value, "the state, which the grid carries from call to call and begins cleared")
            notes.append(f"{name}: the state that the grid carries")
            return None
        if array.dtype != np.float64:
            raise ModelError(f"{name} holds whole numbers, must be floating point")
        if array.any():
            notes.append(f"{name}: the state that a sequence starts from")
        return array

    def _carry(self, name: str, value: Value, what: str) -> None:
        """Check that a tensor is an input of the graph, untouched."""
        for source in self.sources.origins(value):
            if not isinstance(source.recipe, StateRecipe) or not source.name.startswith("input "):
                raise ModelError(f"{name} is computed from {source}, must be stored, or an input of the graph")
            self.carried[source.name] = what
        if len(np.unique(value.array)) != value.array.size:
            raise ModelError(f"{name} holds elements of an input twice")
