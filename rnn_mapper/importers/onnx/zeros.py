"""Initial states that are zeros of a computed shape.

PyTorch's exporter takes their shape from the first tensor with a batch, which may be far outside the part
that is imported. Zeros are the cleared state whatever their shape is, so nothing has to be known of it.
"""

from __future__ import annotations

from dataclasses import replace

from rnn_mapper.importers.onnx.graph import Graph, Node
from rnn_mapper.importers.onnx.recurrent import RECURRENT
from rnn_mapper.importers.onnx.tensors import Tensor

__all__ = ["without_zero_states"]

#: Operators whose output has elements of their first input only.
_MOVES = frozenset((
    "Cast", "Expand", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
))
#: Inputs of recurrent nodes: initial_h and initial_c.
_STATES = (5, 6)


def without_zero_states(graph: Graph) -> Graph:
    """The graph whose recurrent nodes do not name initial states that are zeros; these are the same as none."""
    zeros: set[str] = set()
    nodes: list[Node] = []
    for node in graph.nodes:
        if _gives_zeros(node, zeros):
            zeros.update(filter(None, node.outputs))
        nodes.append(_cleared(node, zeros) if node.op in RECURRENT else node)
    return replace(graph, nodes=nodes)


def _gives_zeros(node: Node, zeros: set[str]) -> bool:
    if node.op == "ConstantOfShape":
        values = [Tensor(one.t, None, node.name).array() for one in node.proto.attribute if one.name == "value"]
        return not any(value.any() for value in values)
    if node.op == "Concat":
        return bool(node.inputs) and all(name in zeros for name in node.inputs)
    return node.op in _MOVES and node.input(0) in zeros


def _cleared(node: Node, zeros: set[str]) -> Node:
    inputs = tuple(
        "" if index in _STATES and name in zeros else name for index, name in enumerate(node.inputs)
    )
    if inputs == node.inputs:
        return node
    proto = type(node.proto)()
    proto.CopyFrom(node.proto)
    proto.input[:] = inputs
    return replace(node, inputs=inputs, proto=proto)
