"""The part of an ONNX graph that is imported, from its first tensor to its last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.imported import Selection
from rnn_mapper.importers.messages import quoted
from rnn_mapper.importers.onnx.beside import with_tensors_of_the_host
from rnn_mapper.importers.onnx.glue import GLUE
from rnn_mapper.importers.onnx.graph import Graph, Node, Shape, shape_of
from rnn_mapper.importers.onnx.recurrent import RECURRENT as NODES
from rnn_mapper.importers.onnx.walk import SUPPORTED, Cut
from rnn_mapper.importers.onnx.zeros import without_zero_states
from rnn_mapper.summary import counted

__all__ = ["choose_cut", "other_outputs"]

_MAX_LISTED = 12
#: Recurrent operators of onnxruntime whose weights it has quantised.
_DYNAMIC = ("DynamicQuantizeLSTM",)
#: Numbers of the element types that count something (``onnx.TensorProto``).
_WHOLE = (2, 3, 4, 5, 6, 7, 12, 13)
#: Operators that run steps.
RECURRENT = frozenset((*NODES, "Loop"))


@dataclass(frozen=True)
class _Reach:
    """How far the elements of tensors get."""

    #: By tensor: the starting tensors whose elements reach it.
    data: dict[str, frozenset[str]]
    #: By tensor: outputs (Y, Y_h, Y_c as 0, 1, 2) of recurrent nodes that it is made of.
    outputs: dict[str, frozenset[int]]
    #: Starting tensors that reach X of a recurrent node.
    inputs: frozenset[str]


def choose_cut(graph: Graph, selection: Selection) -> Cut:
    """The cut that `selection` names, or else from the graph's input to its output. Raises ModelError."""
    if not any(node.op in RECURRENT for node in graph.nodes):
        raise ModelError(_no_layer(graph))
    start, notes = _start(graph, selection.start), list[str]()
    embedding = _embedding(graph, start)
    if embedding is not None:
        notes.append(
            f"{embedding}: an embedding, left to the host: the network begins with its vectors, "
            f"{quoted(embedding.output(0))}, not with the numbers {quoted(start)}"
        )
        start = embedding.output(0)
    stop = _stop(graph, start, selection.stop)
    graph = with_tensors_of_the_host(graph, start, stop)
    nodes = graph.between(start, stop)
    unsupported = _unsupported(nodes)
    if unsupported:
        # Zeros for a state may take their shape from anywhere, far outside the cut.
        graph = without_zero_states(graph)
        nodes = graph.between(start, stop)
        if _unsupported(nodes):
            raise ModelError(_listing(unsupported, graph, start, stop))
    if not any(node.op in RECURRENT for node in nodes):
        raise ModelError(f"there is no LSTM, GRU or RNN between {quoted(start)} and {quoted(stop)}{_near(graph)}")
    return Cut(graph, start, stop, nodes, _shape(graph, start, nodes), tuple(notes))


def _no_layer(graph: Graph) -> str:
    """The message for a graph without any node that is a recurrent layer, with what there is instead."""
    quantised = [node for node in graph.nodes if node.op in _DYNAMIC]
    if quantised:
        return (
            f"{quantised[0]} holds weights that onnxruntime has quantised, which is not supported: give the model from "
            "before quantize_dynamic, the grid has a quantisation of its own"
        )
    loops = [node for node in graph.nodes if node.op == "Scan"]
    if loops:
        return f"the graph has no LSTM, GRU or RNN node; {loops[0]}, which runs steps one by one, is not supported"
    operators = {node.op for node in graph.nodes}
    if operators >= {"Sigmoid", "Tanh", "Mul"} and operators & {"Gemm", "MatMul"}:
        return (
            "the graph has no LSTM, GRU or RNN node, but the operations of its cells, written out (by an export of "
            "nn.LSTMCell, nn.GRUCell, or of unrolled steps), which are not recognised: give the PyTorch model itself "
            "or its state_dict (.pt) with the cell as --part, or export nn.LSTM or nn.GRU with "
            "torch.onnx.export(..., dynamo=False)"
        )
    return (
        "the graph has no LSTM, GRU or RNN node; if the exporter has unrolled the steps, export with "
        "torch.onnx.export(..., dynamo=False)"
    )


def _embedding(graph: Graph, start: str) -> Node | None:
    """The Gather that looks the elements of `start`, whole numbers, up in a stored table of vectors."""
    if start not in graph.inputs or graph.inputs[start].type not in _WHOLE:
        return None
    found = [
        node for node in graph.nodes
        if node.op == "Gather" and node.input(1) == start and len(_stored_dims(graph, node.input(0))) == 2
        and not node.attributes.again().take("axis", int, 0)
    ]
    return found[0] if len(found) == 1 else None


def _unsupported(nodes: list[Node]) -> list[Node]:
    return [node for node in nodes if node.operator not in SUPPORTED]


def other_outputs(graph: Graph, cut: Cut) -> list[str]:
    """The outputs of the graph other than the end of the cut, each with its meaning."""
    reach = _follow(graph, [cut.start])
    found = []
    for name in graph.outputs:
        if name != cut.stop and cut.start in reach.data.get(name, ()):
            state = 0 not in reach.outputs.get(name, frozenset()) and reach.outputs.get(name, frozenset())
            what = "the state after the last step, which the grid keeps" if state else "not imported"
            found.append(f"output {quoted(name)}: {what}")
    return found


def _start(graph: Graph, chosen: str | None) -> str:
    if chosen is not None:
        if chosen not in graph.inputs and chosen not in graph.makers:
            raise ModelError(f"there is no tensor {quoted(chosen)} to start with (--from){_near(graph)}")
        return chosen
    if len(graph.inputs) == 1:
        return next(iter(graph.inputs))
    found = sorted(_follow(graph, graph.inputs).inputs, key=list(graph.inputs).index)
    if len(found) != 1:
        names = ", ".join(map(quoted, found[:_MAX_LISTED])) or "none"
        raise ModelError(
            f"inputs of the graph that reach a recurrent layer: {names}; name the tensor to start with (--from)"
            f"{_near(graph)}"
        )
    return found[0]


def _stop(graph: Graph, start: str, chosen: str | None) -> str:
    reach = _follow(graph, [start])
    if chosen is not None:
        if chosen not in graph.makers:
            raise ModelError(f"there is no tensor {quoted(chosen)} to end with (--to){_near(graph)}")
        if start not in reach.data.get(chosen, ()):
            raise ModelError(f"tensor {quoted(chosen)} (--to) is not computed from {quoted(start)}{_near(graph)}")
        return chosen
    outputs = [name for name in graph.outputs if start in reach.data.get(name, ())]
    made_of = {name: reach.outputs.get(name, frozenset()) for name in outputs}
    data = [name for name, numbers in made_of.items() if 0 in numbers or not numbers]
    states = [name for name, numbers in made_of.items() if name not in data and 1 in numbers]
    found = data or states
    if len(found) == 1:
        return found[0]
    if not found:
        raise ModelError(f"no output of the graph is computed from the elements of {quoted(start)}{_near(graph)}")
    names = ", ".join(map(quoted, found[:_MAX_LISTED]))
    raise ModelError(f"the graph has {counted(len(found), 'output')}: {names}; name the one to end with (--to)")


def _follow(graph: Graph, starts: Iterable[str]) -> _Reach:
    empty: frozenset[str] = frozenset()
    data = {name: frozenset((name,)) for name in starts}
    outputs: dict[str, frozenset[int]] = {}
    inputs: set[str] = set()
    for node in graph.nodes:
        if node.op in NODES:
            there = data.get(node.input(0), empty)
            inputs |= there
        elif node.op in ("Shape", "Size"):
            there = empty
        else:
            there = empty.union(*(data.get(name, empty) for name in (*node.inputs, *node.captured)))
            inputs |= there if node.op == "Loop" else empty
        made_of = frozenset[int]().union(*(outputs.get(name, frozenset()) for name in node.inputs))
        for index, name in enumerate(node.outputs):
            if name and name not in data and there:
                data[name] = there
                is_glue = node.op in GLUE
                outputs[name] = (
                    frozenset((index,)) if node.op in NODES else made_of if is_glue else frozenset((0,))
                )
    return _Reach(data, outputs, frozenset(inputs))


def _shape(graph: Graph, start: str, nodes: list[Node]) -> Shape:
    shape = graph.inputs[start].shape if start in graph.inputs else graph.shapes.get(start)
    if shape is None:
        shape = _inferred(graph, start)
    users = [node for node in nodes if node.op in NODES and node.input(0) == start]
    if users and shape is None:
        shape = (None, None, None)
    if shape is None:
        raise ModelError(f"the file does not give the shape of {quoted(start)}: start with a tensor of known shape")
    if users and len(shape) == 3 and not isinstance(shape[2], int):
        dims = _stored_dims(graph, users[0].input(1))
        if len(dims) == 3:
            shape = (*shape[:2], dims[2])
    if len(shape) > 8 or any(isinstance(size, int) and size < 1 for size in shape):
        raise ModelError(f"{quoted(start)} has shape {list(shape)[:8]}, must have sizes of 1 or more, or dynamic ones")
    return shape


def _stored_dims(graph: Graph, name: str) -> tuple[int, ...]:
    """Dimensions of a tensor of the file or of a Constant node; none if it is neither."""
    if name in graph.constants:
        return tuple(graph.constants[name].proto.dims)
    maker = graph.makers.get(name)
    if maker is None or maker.op != "Constant":
        return ()
    return next((tuple(one.t.dims) for one in maker.proto.attribute if one.name == "value"), ())


def _inferred(graph: Graph, start: str) -> Shape | None:
    import onnx
    import onnx.shape_inference

    try:
        model = onnx.shape_inference.infer_shapes(graph.model)
    except Exception:  # of its C++ part; then the shape is not known
        return None
    for value in model.graph.value_info:
        if value.name == start:
            return shape_of(value)
    return None


def _listing(unsupported: list[Node], graph: Graph, start: str, stop: str) -> str:
    texts = [str(node) for node in unsupported[:_MAX_LISTED]]
    more = len(unsupported) - len(texts)
    return (
        f"{len(unsupported)} node{'s are' if len(unsupported) > 1 else ' is'} not supported: {', '.join(texts)}"
        f"{f' and {more} more' if more else ''}; {_advice(graph, start, stop)}"
    )


def _advice(graph: Graph, start: str, stop: str) -> str:
    """The cut that leaves out most, unless it is the one that was made."""
    layers = [node for node in graph.nodes if node.op in NODES]
    if layers and start == layers[0].input(0) and stop in layers[-1].outputs:
        return f"no smaller part than {quoted(start)} to {quoted(stop)} holds the layers"
    return f"cut out the recurrent part with --from and --to{_near(graph)}"


def _near(graph: Graph) -> str:
    """Where the recurrent part is, for a message."""
    nodes = [node for node in graph.nodes if node.op in NODES]
    if not nodes:
        loops = [node for node in graph.nodes if node.op in RECURRENT]
        return f"; its recurrent part is {loops[0]}" if loops else ""
    last = next(filter(None, nodes[-1].outputs), "")
    return f"; its first recurrent node takes {quoted(nodes[0].input(0))}, its last gives {quoted(last)}"
