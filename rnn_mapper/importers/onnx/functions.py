"""Functions that a model defines, inlined."""

from __future__ import annotations

from typing import Any

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.messages import one_line, quoted
from rnn_mapper.importers.onnx.tensors import as_text

__all__ = ["MAX_NODES", "inlined"]

#: Nodes of a graph, with all functions in place.
MAX_NODES = 100_000
_MAX_DEPTH = 50


def inlined(model: Any) -> Any:
    """The model without functions of its own; raises ModelError for those that call themselves, or grow too large."""
    from onnx import inliner

    bodies = {(as_text(one.domain), as_text(one.name)): one for one in model.functions}
    sizes: dict[tuple[str, str], int] = {}

    def expanded(nodes: Any, above: tuple[tuple[str, str], ...]) -> int:
        total = 0
        for node in nodes:
            key = as_text(node.domain), as_text(node.op_type)
            if key not in bodies:
                total += 1
                continue
            if key in above or len(above) > _MAX_DEPTH:
                raise ModelError(f"function {quoted(node.op_type)} calls itself, or functions are nested too deep")
            if key not in sizes:
                sizes[key] = expanded(bodies[key].node, (*above, key))
            total += sizes[key]
            if total > MAX_NODES:
                raise ModelError(f"the graph has more than {MAX_NODES} nodes with its functions, must have fewer")
        return total

    expanded(model.graph.node, ())
    try:
        return inliner.inline_local_functions(model)
    except Exception as error:  # of its C++ part
        raise ModelError(f"functions of the model cannot be put in place: {one_line(error)}") from None
