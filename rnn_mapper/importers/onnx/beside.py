"""Lengths and start states that are computed beside the part of a graph that is imported.

The host knows how many steps it sends and what state a sequence starts from, however it got them. A tensor that feeds
only `sequence_lens`, `initial_h` or `initial_c` is therefore treated like an input of the graph, unless it is stored,
taken from an input as it is, or computed by the layers that are imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rnn_mapper.importers.onnx.glue import GLUE
from rnn_mapper.importers.onnx.graph import Graph, GraphInput, Node, Shape
from rnn_mapper.importers.onnx.recurrent import RECURRENT

__all__ = ["with_tensors_of_the_host"]

_LENGTHS, _STATES = 4, (5, 6)
#: Numbers of element types (``onnx.TensorProto``).
_INT32, _FLOAT = 6, 1


def with_tensors_of_the_host(graph: Graph, start: str, stop: str) -> Graph:
    """The graph in which such tensors of the recurrent nodes between `start` and `stop` are inputs."""
    given: dict[str, GraphInput] = {}
    for node in graph.between(start, stop):
        for index in (_LENGTHS, *_STATES) if node.op in RECURRENT else ():
            name = node.input(index)
            if name in graph.makers and _is_beside(graph, start, name, index):
                kind = _INT32 if index == _LENGTHS else _FLOAT
                given[name] = GraphInput(name, kind, graph.shapes.get(name) or _shape(graph, node, index))
    if not given:
        return graph
    nodes = [_without_outputs(node, given) for node in graph.nodes]
    return replace(graph, nodes=nodes, inputs={**graph.inputs, **given})


def _is_beside(graph: Graph, start: str, name: str, index: int) -> bool:
    """Whether the tensor depends on data, and on more than a moved input, but on no layer above `start`."""
    below = graph.between(start, name)
    sources = _data(graph, start, name, below)
    if not sources:
        return False
    if start not in sources and all(node.op in GLUE for node in _movers(graph, start, name)):
        return False
    if index == _LENGTHS:
        return True
    reached = {start}
    for node in below:
        if any(one in reached for one in node.inputs):
            if node.op in RECURRENT:
                return False
            reached.update(node.outputs)
    return True


def _data(graph: Graph, start: str, name: str, below: list[Node]) -> set[str]:
    """The inputs of the graph (or `start`) whose elements, not only whose shape, reach the tensor."""
    reach: dict[str, set[str]] = {one: {one} for one in (*graph.inputs, start)}
    for node in below:
        if node.op not in ("Shape", "Size"):
            found = set[str]().union(*(reach.get(one, set()) for one in node.inputs))
            for output in filter(None, node.outputs):
                reach.setdefault(output, found)
    return reach.get(name, set())


def _movers(graph: Graph, start: str, name: str) -> Iterator[Node]:
    """The nodes from an input of the graph to the tensor, as far as its elements come from there."""
    while name not in graph.inputs and name != start and name in graph.makers:
        node = graph.makers[name]
        yield node
        name = node.input(0)


def _shape(graph: Graph, node: Node, index: int) -> Shape:
    """The shape by the definition of the operator; the batch is open."""
    if index == _LENGTHS:
        return (None,)
    stored = graph.constants.get(node.input(2))
    directions, hidden = (stored.proto.dims[0], stored.proto.dims[2]) if stored is not None else (1, None)
    batch_first = any(one.name == "layout" and one.i == 1 for one in node.proto.attribute)
    return (None, directions, hidden) if batch_first else (directions, None, hidden)


def _without_outputs(node: Node, names: dict[str, GraphInput]) -> Node:
    if not any(name in names for name in node.outputs):
        return node
    proto = type(node.proto)()
    proto.CopyFrom(node.proto)
    outputs = tuple("" if name in names else name for name in node.outputs)
    proto.output[:] = outputs
    return replace(node, outputs=outputs, proto=proto)
