"""ONNX models as networks: recurrent nodes with every attribute, dense layers, and the glue that exporters put around.

The part between two tensors is followed element by element (`walk`), made into layers (`assembly`), and
compared with onnxruntime (`crosscheck`). Nothing that a file contains is run before all of it is understood.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.imported import Imported, Selection
from rnn_mapper.importers.messages import quoted
from rnn_mapper.importers.onnx.assembly import assemble
from rnn_mapper.importers.onnx.crosscheck import compare_with_onnxruntime
from rnn_mapper.importers.onnx.cut import choose_cut, other_outputs
from rnn_mapper.importers.onnx.glue import MoreSteps, Value
from rnn_mapper.importers.onnx.graph import read_graph
from rnn_mapper.importers.onnx.input_layout import input_layout
from rnn_mapper.importers.onnx.walk import COMPUTED, MOVED, Cut, Walk
from rnn_mapper.network.float_reference import run_float
from rnn_mapper.network.tensors import FloatArray
from rnn_mapper.summary import counted

__all__ = ["load_onnx"]

#: Lengths of the sequences that are followed if the graph leaves them open, and how long they may become.
_LENGTHS = (5, 7)
_MAX_LENGTH = 4096

Walked = list[tuple[Walk, Value]]


def load_onnx(source: str | Path | Any, selection: Selection | None = None) -> Imported:
    """The network of an ``.onnx`` file, or of an ``onnx.ModelProto``.

    `selection.start` and `selection.stop` name the tensors that it begins and ends with; without them these are the
    input and the output of the graph. Raises ModelError, with the path, for what cannot be read, is not supported, or
    gives other results than in onnxruntime.
    """
    selection = selection or Selection()
    try:
        if selection.cell is not None or selection.parts:
            raise ModelError("--cell and --part are not for ONNX models, whose nodes name their layers")
        return _load(source, selection)
    except ModelError as error:
        prefix = f"{source}: " if isinstance(source, str | Path) else ""
        raise ModelError(f"{prefix}{error}") from None
    except (RecursionError, MemoryError) as error:
        prefix = f"{source}: " if isinstance(source, str | Path) else ""
        raise ModelError(f"{prefix}the model is too large or too deep ({type(error).__name__})") from None


def _load(source: Any, selection: Selection) -> Imported:
    graph = read_graph(source)
    cut = choose_cut(graph, selection)
    walks = _walk(cut)
    made = assemble(walks)

    def run(inputs: FloatArray) -> FloatArray:
        outputs = run_float(made.network, inputs, made.state).outputs
        for step in made.host:
            outputs = step.function(outputs)
        return outputs

    compared = [compare_with_onnxruntime(walk, value, run) for walk, value in walks]
    walk = walks[0][0]
    account = [*cut.notes, _input_line(walk)]
    account += [f"{name}: {what}" for name, what in walk.carried.items()]
    account += _node_lines(walk)
    account += [f"{step.name}: left to the host" for step in made.host]
    account += other_outputs(graph, cut)
    account.append(compared[-1])
    return Imported(made.network, tuple(account), made.state, made.host, input_layout(walk))


def _node_lines(walk: Walk) -> list[str]:
    """A line for each node that is a layer or a part of one, and one for all that put data or shapes in place."""
    told = {id(node): (node, walk.account[id(node)]) for node in walk.cut.nodes}
    lines = [f"{node}: {text}" for node, text in told.values() if text not in (MOVED, COMPUTED)]
    for what in (MOVED, COMPUTED):
        operators = [node.operator for node, text in told.values() if text == what]
        if operators:
            names = ", ".join(dict.fromkeys(operators))
            lines.append(f"{len(operators)} node{'s' if len(operators) > 1 else ''} ({names}): {what}")
    return lines


def _input_line(walk: Walk) -> str:
    assert walk.order.rows is not None
    source, streams = walk.sources.all[0], walk.order.rows.shape[1]
    shape = " x ".join(str(size) if isinstance(size, int) else size or "?" for size in walk.cut.shape)
    along = f", steps along axis {walk.order.time_axis}" if walk.order.time_axis is not None else ""
    steps = "" if walk.bound else f"; exported for {counted(walk.order.steps, 'step')}"
    batch = f"; exported for a batch of {streams}, each stream of which is a sequence of its own" if streams > 1 else ""
    return f"input {quoted(walk.cut.start)} [{shape}]{along}, {counted(source.features, 'value')} a step{steps}{batch}"


def _walk(cut: Cut) -> Walked:
    """Follow the cut for sequences of two lengths, or of the one that the graph fixes.

    Which axis has the steps is not known before the first recurrent layer is met, so each dynamic one is tried.
    """
    dynamic = [axis for axis, size in enumerate(cut.shape) if not isinstance(size, int)]
    doubts: list[ModelError] = []
    for axis in dynamic:
        walks, error = _attempt(cut, dynamic, axis)
        if error is None:
            return walks
        met = walks[0][0] if walks else None
        if met is None or not met.order.steps:
            doubts.append(error)
        elif met.order.steps == met.bound and met.order.time_axis == axis:
            raise error
    if doubts:
        raise doubts[0]
    walk = _bound(cut, dynamic, None, 0)
    return [(walk, walk.run())]


def _attempt(cut: Cut, dynamic: list[int], axis: int) -> tuple[Walked, ModelError | None]:
    """Walks with the steps along an axis; with an error, the walk that met it, without its result."""
    lengths = _LENGTHS
    while True:
        walks: Walked = []
        try:
            for length in lengths:
                walk = _bound(cut, dynamic, axis, length)
                walks.append((walk, Value(walk.sources.bases)))
                value = walk.run()
                if walk.order.rows is not None and (walk.order.steps != length or walk.order.time_axis != axis):
                    return walks, ModelError(f"the steps do not lie along axis {axis}")
                walks[-1] = walk, value
        except MoreSteps as more:
            if more.steps + 2 > _MAX_LENGTH or more.steps < lengths[0]:
                return walks, ModelError(f"a slice takes {counted(more.steps, 'step')}, which is not supported")
            lengths = more.steps + 2, more.steps + 4
        except ModelError as error:
            return walks[-1:], error
        else:
            return walks, None


def _bound(cut: Cut, dynamic: list[int], time_axis: int | None, length: int) -> Walk:
    """A walk with the steps along that axis, and one stream."""
    axes = {axis: length if axis == time_axis else 1 for axis in dynamic}
    named = {name: axes[axis] for axis in dynamic if isinstance(name := cut.shape[axis], str)}
    return Walk(cut, axes, named, None if time_axis is None else length)
