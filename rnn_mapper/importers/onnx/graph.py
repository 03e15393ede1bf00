"""An ONNX file as a graph of nodes, read without running anything in it, and checked before anything is made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.messages import printable, quoted
from rnn_mapper.importers.onnx.functions import MAX_NODES, inlined
from rnn_mapper.importers.onnx.tensors import Tensor, as_text

__all__ = ["Attributes", "Body", "Dim", "Graph", "GraphInput", "Node", "Shape", "body_of", "read_graph", "shape_of"]

#: A dimension: its size, or its name if it is dynamic (None: dynamic without a name).
Dim = int | str | None
Shape = tuple[Dim, ...]

#: Versions of the operator set whose nodes are known here.
OPSETS = (7, 28)
#: The largest file that protobuf can read.
_MAX_BYTES = (1 << 31) - 1


class Attributes:
    """Attributes of a node, of which every one must be asked for."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values
        self._asked: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def take(self, name: str, wanted: type, default: Any) -> Any:
        """The value; raises ModelError if it is not a `wanted` (for list: of numbers or texts)."""
        self._asked.add(name)
        value = self._values.get(name, default)
        if name in self._values and not isinstance(value, wanted):
            raise ModelError(f"attribute {quoted(name)} is a {type(value).__name__}, must be a {wanted.__name__}")
        return value

    def left(self) -> list[str]:
        """Names that nobody has asked for."""
        return sorted(set(self._values) - self._asked)

    def again(self) -> Attributes:
        """The same, as if nothing had been asked for."""
        return Attributes(self._values)


@dataclass(frozen=True, eq=False)
class Node:
    """An operator with the names of its inputs and outputs."""

    op: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Attributes
    proto: Any
    #: Tensors that subgraphs of it may use.
    captured: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{printable(self.operator, 120)} {quoted(self.name or next(filter(None, self.outputs), ''))}"

    @property
    def operator(self) -> str:
        """The operator, with its domain if it is not ONNX's own."""
        return self.op if self.domain in ("", "ai.onnx") else f"{self.domain}.{self.op}"

    def input(self, index: int) -> str:
        """Name of an input; empty if it is not given."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def output(self, index: int) -> str:
        """Name of an output; empty if it is not wanted."""
        return self.outputs[index] if index < len(self.outputs) else ""


@dataclass(frozen=True)
class GraphInput:
    """An input of the graph that no stored tensor gives."""

    name: str
    #: Number of the element type (``onnx.TensorProto``).
    type: int
    #: None if the file does not say.
    shape: Shape | None


@dataclass(frozen=True, eq=False)
class Body:
    """The body of a loop."""

    nodes: list[Node]
    constants: dict[str, Tensor]
    inputs: list[str]
    outputs: list[str]

    def passes(self, output: str, given: str) -> bool:
        """Whether an output is an input, unchanged."""
        makers = {name: node for node in self.nodes for name in node.outputs}
        for _ in range(len(self.nodes) + 1):
            if output == given or output not in makers or makers[output].op != "Identity":
                return output == given
            output = makers[output].input(0)
        return False


def body_of(node: Node) -> Body:
    """The body of a loop; raises ModelError if it has none, or its nodes are not in order."""
    graph = next((one.g for one in node.proto.attribute if one.name == "body" and one.HasField("g")), None)
    if graph is None or len(node.proto.attribute) != 1:
        raise ModelError("must have a body, and no other attribute")
    node.attributes.take("body", object, None)
    constants = {tensor.name: Tensor(tensor, None, as_text(tensor.name)) for tensor in graph.initializer}
    nodes = [_node(proto) for proto in graph.node]
    if len(nodes) > 1000 or graph.sparse_initializer:
        raise ModelError(f"its body has {len(nodes)} nodes or sparse tensors, which no layer has")
    inputs = [as_text(value.name) for value in graph.input]
    made = {name for one in nodes for name in one.outputs if name}
    outside = {name for one in nodes for name in one.inputs} - made
    _check_order(nodes, {*constants, *inputs, *outside})
    return Body(nodes, constants, inputs, [as_text(value.name) for value in graph.output])


@dataclass(eq=False)
class Graph:
    """A checked graph: every node comes after the nodes that it takes from."""

    nodes: list[Node]
    constants: dict[str, Tensor]
    inputs: dict[str, GraphInput]
    outputs: list[str]
    opset: int
    model: Any
    folder: Path | None
    #: The node that produces a tensor.
    makers: dict[str, Node] = field(init=False)
    #: Shapes of intermediate tensors, as far as the file has them.
    shapes: dict[str, Shape] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.makers = {name: node for node in self.nodes for name in node.outputs if name}

    def between(self, start: str, stop: str) -> list[Node]:
        """The nodes that `stop` needs, without those that only `start` needs, in the order of the file."""
        needed, open_names = set[int](), [stop]
        seen = {start}
        while open_names:
            name = open_names.pop()
            if name in seen or not name:
                continue
            seen.add(name)
            node = self.makers.get(name)
            if node is not None:
                needed.add(id(node))
                open_names.extend((*node.inputs, *node.captured))
        return [node for node in self.nodes if id(node) in needed]

    def names(self) -> Iterator[str]:
        """All tensors."""
        yield from self.inputs
        yield from self.makers


def read_graph(source: Any) -> Graph:
    """The graph of an ``.onnx`` file or of an ``onnx.ModelProto``. Raises ModelError."""
    if isinstance(source, str | Path):
        path = Path(source)
        return _checked(_parse(path), path.parent)
    if not hasattr(source, "graph"):
        raise ModelError(f"{type(source).__name__} is not supported: must be the path of an .onnx file or a ModelProto")
    return _checked(source, None)


def _parse(path: Path) -> Any:
    import onnx

    try:
        size = path.stat().st_size
        if path.is_dir():
            raise ModelError("is a directory, must be an .onnx file")
        if not path.is_file():
            raise ModelError("is not a regular file, must be an .onnx file")
        if size == 0:
            raise ModelError("is empty, must be an .onnx file")
        if size > _MAX_BYTES:
            raise ModelError(f"has {size} bytes, an .onnx file has {_MAX_BYTES} at most: keep weights in external data")
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelError("no such file") from None
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}") from None
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:  # protobuf's, which differ by its implementation
        raise ModelError(f"damaged, or not an ONNX file ({type(error).__name__})") from None
    return model


def _checked(model: Any, folder: Path | None) -> Graph:
    if not model.HasField("graph") or not model.ir_version or not model.graph.node:
        raise ModelError("damaged, or not an ONNX file: there is no graph with nodes in it")
    versions = {entry.domain: entry.version for entry in model.opset_import}
    opset = versions.get("", versions.get("ai.onnx"))
    if opset is None:
        raise ModelError("the file does not name its operator set (opset_import), must be ONNX's")
    if not OPSETS[0] <= opset <= OPSETS[1]:
        raise ModelError(f"opset {opset} is not supported, must be {OPSETS[0]} to {OPSETS[1]}: convert the model")
    if model.functions:
        model = inlined(model)
    graph = model.graph
    if len(graph.node) > MAX_NODES:
        raise ModelError(f"the graph has {len(graph.node)} nodes, must have {MAX_NODES} at most")
    if graph.sparse_initializer:
        name = graph.sparse_initializer[0].values.name
        raise ModelError(f"tensor {quoted(name)} is stored as a sparse tensor, which is not supported")
    constants: dict[str, Tensor] = {}
    for tensor in graph.initializer:
        as_text(tensor.name)
        if not tensor.name or tensor.name in constants:
            raise ModelError(f"two stored tensors are named {quoted(tensor.name)}, each must have a name of its own")
        constants[tensor.name] = Tensor(tensor, folder, tensor.name)
    inputs = {
        as_text(value.name): GraphInput(value.name, value.type.tensor_type.elem_type, shape_of(value))
        for value in graph.input if value.name not in constants
    }
    nodes = [_node(proto) for proto in graph.node]
    _check_order(nodes, {*constants, *inputs})
    made = {name for node in nodes for name in node.outputs}
    outputs = [as_text(value.name) for value in graph.output if value.name]
    for name in outputs:
        if name not in made and name not in inputs and name not in constants:
            raise ModelError(f"output {quoted(name)} of the graph is produced by no node")
    if not outputs:
        raise ModelError("the graph has no outputs, must have one or more")
    found = Graph(nodes, constants, inputs, outputs, opset, model, folder)
    for value in (*graph.value_info, *graph.output):
        shape = shape_of(value)
        if shape is not None:
            found.shapes.setdefault(value.name, shape)
    return found


def _node(proto: Any) -> Node:
    from onnx import AttributeProto, helper

    values: dict[str, Any] = {}
    for text in (proto.op_type, proto.domain, proto.name, *proto.input, *proto.output):
        as_text(text)
    for one in proto.attribute:
        as_text(one.name)
        if one.ref_attr_name:
            raise ModelError(f"{quoted(proto.name)}: attribute {quoted(one.name)} refers to an attribute of a function")
        if one.name in values:
            raise ModelError(f"{quoted(proto.name)}: attribute {quoted(one.name)} is given twice")
        # A graph or a type stays as it is, and nothing asks for it.
        value = helper.get_attribute_value(one) if one.type != AttributeProto.UNDEFINED else None
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        elif one.type == AttributeProto.STRINGS:
            value = [text.decode("utf-8", "replace") for text in one.strings]
        elif one.type in (AttributeProto.INTS, AttributeProto.FLOATS):
            value = list(one.ints if one.type == AttributeProto.INTS else one.floats)
        values[one.name] = value
    return Node(
        proto.op_type, proto.domain, proto.name, tuple(proto.input), tuple(proto.output), Attributes(values), proto,
        tuple(_captured(proto)),
    )


def _captured(proto: Any) -> Iterator[str]:
    for one in proto.attribute:
        for graph in (*((one.g,) if one.HasField("g") else ()), *one.graphs):
            for node in graph.node:
                yield from map(as_text, node.input)
                yield from _captured(node)


def _check_order(nodes: list[Node], given: set[str]) -> None:
    known = set(given)
    later = {name for node in nodes for name in node.outputs if name}
    for node in nodes:
        for name in node.inputs:
            if name and name not in known:
                why = (
                    "which only it or a node after it gives: the graph is cyclic or not in order" if name in later
                    else "which nothing produces"
                )
                raise ModelError(f"{node} takes {quoted(name)}, {why}")
        for name in filter(None, node.outputs):
            if name in known:
                raise ModelError(
                    f"{node} produces {quoted(name)}, which another node produces already: names must be unique"
                )
            known.add(name)


def shape_of(value: Any) -> Shape | None:
    """The shape of a ValueInfoProto; None if it has none."""
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        return None
    return tuple(
        int(dim.dim_value) if dim.HasField("dim_value") else (as_text(dim.dim_param) or None)
        for dim in value.type.tensor_type.shape.dim
    )
