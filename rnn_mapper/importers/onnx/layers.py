"""Recurrent nodes and loops as sources: their inputs, start states and outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.onnx.glue import Value
from rnn_mapper.importers.onnx.graph import Node
from rnn_mapper.importers.onnx.loop import LoopLayer
from rnn_mapper.importers.onnx.order import Order
from rnn_mapper.importers.onnx.recurrent import Recurrent, start_state
from rnn_mapper.importers.onnx.sources import IndexArray, LayerRecipe, Source, Sources, StateRecipe, Taken
from rnn_mapper.importers.onnx.tensors import AnyArray
from rnn_mapper.summary import counted

__all__ = ["RecurrentLayers"]


@dataclass(frozen=True, eq=False)
class _Given:
    """Lengths and start states: stored, or inputs of the graph that the grid carries by itself."""

    sources: Sources
    #: Inputs of the graph that are states or lengths, each with its meaning.
    carried: dict[str, str]

    def lengths(self, inputs: list[Value | None], steps: int, batch: int, notes: list[str]) -> None:
        """Check sequence_lens, if it is given."""
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
                f"sequence_lens is {value.array.tolist()[:8]}, must be the {counted(steps, 'step')} of X: cut the "
                "input instead"
            )

    def initial(
        self, name: str, inputs: list[Value | None], index: int, shape: tuple[int, int, int], batch_first: bool,
        notes: list[str],
    ) -> AnyArray | None:
        """The stored start state; None if it is not given, or carried by the grid."""
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


@dataclass(frozen=True, eq=False)
class RecurrentLayers:
    """Makes sources of such nodes."""

    sources: Sources
    order: Order
    #: Inputs of the graph that are states or lengths, each with its meaning.
    carried: dict[str, str]

    @property
    def given(self) -> _Given:
        """Lengths and start states of the nodes."""
        return _Given(self.sources, self.carried)

    def recurrent(
        self, node: Node, read: Recurrent, inputs: list[Value | None]
    ) -> tuple[list[Value], str]:
        """Outputs of a recurrent node and the line of the account."""
        x = inputs[0]
        if x is None or not x.traced or x.array.ndim != 3:
            raise ModelError("X does not come from the input, or does not have 3 dimensions")
        if read.batch_first:
            x = Value(x.array.transpose(1, 0, 2), True)
        if x.shape[2] != read.features:
            raise ModelError(f"X has {counted(x.shape[2], 'value')} per step, W takes {read.features}")
        taken, reversed_rows = self._sequence(x)
        steps, batch = taken.rows.shape
        notes = [*read.notes]
        self.given.lengths(inputs, steps, batch, notes)
        initial = [
            self.given.initial(name, inputs, index, (len(read.directions), batch, read.hidden), read.batch_first, notes)
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

    def loop(self, node: Node, read: LoopLayer, inputs: list[Value | None]) -> tuple[list[Value], str]:
        """Outputs of a loop and the line of the account."""
        taken, backward = self._sequence(read.x)
        notes: list[str] = []
        value = inputs[read.state_index + 2]
        assert value is not None
        shape = (1, taken.rows.shape[1], read.hidden)
        start = self.given.initial("its state", [Value(value.array[None], value.traced)], 0, shape, False, notes)
        recipe = LayerRecipe(taken, 0, backward, read.build, start_state(0, [start]))
        source = self.sources.add(str(node), recipe, taken.rows.size, read.hidden)
        found = {"state": self.sources.value(source, taken.rows[-1]), "steps": self.sources.value(source, taken.rows)}
        outputs = [found[one] if isinstance(one, str) else one for one in read.outputs]
        text = f"{read.cell.name} {read.features} -> {read.hidden}, written as a loop over the steps"
        return outputs, "; ".join([text, *notes])

    def _sequence(self, x: Value) -> tuple[Taken, bool]:
        """The input of a layer that takes X [steps, batch, values], and whether it begins with the last step."""
        taken = self.sources.taken(x)
        if taken is None:
            raise ModelError("X is not its source, step by step")
        if any(source.is_host for source in taken.sources):
            raise ModelError(f"X comes from {taken.sources[0]}, which is left to the host: cut there with --to")
        return taken, self.order.follow(taken.rows)

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
