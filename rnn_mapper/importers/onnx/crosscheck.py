"""The last defence: the imported part must give the same in onnxruntime and in the float reference."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.messages import one_line, quoted
from rnn_mapper.importers.onnx.glue import Value
from rnn_mapper.importers.onnx.graph import Node
from rnn_mapper.importers.onnx.recurrent import RECURRENT
from rnn_mapper.importers.onnx.tensors import AnyArray, Tensor
from rnn_mapper.importers.onnx.walk import Cut, Walk
from rnn_mapper.summary import counted

__all__ = ["compare_with_onnxruntime"]

#: A difference that rounding to float32 does not explain, of values up to 1; of larger values in proportion.
TOLERANCE = 1e-4
#: Stored elements, and elements times rows, up to which a model is run.
_MAX_STORED = 1 << 27
_MAX_WORK = 1e11
_FLOATS = (1, 10, 11, 16)


def compare_with_onnxruntime(walk: Walk, value: Value, finish: Any) -> str:
    """Run the cut on random input, and `finish` [steps, features] -> what comes out; says how well they agree.

    Raises ModelError if they do not, or onnxruntime refuses the model.
    """
    cut, source = walk.cut, walk.sources.all[0]
    used = {name for node in cut.nodes for name in (*node.inputs, *node.captured) if name in cut.graph.constants}
    stored = sum(math.prod(cut.graph.constants[name].proto.dims) for name in used)
    assert walk.order.rows is not None
    assert source.row_of is not None
    if stored > _MAX_STORED or stored * walk.order.rows.size > _MAX_WORK:
        return f"not compared with onnxruntime: {stored} stored elements are too many for it to be quick"
    given = np.random.default_rng(1).standard_normal(source.shape).astype(np.float32)
    outputs = _run(walk, cut, used, given)
    if outputs.shape != value.shape:
        raise ModelError(
            f"onnxruntime gives shape {list(outputs.shape)}, the import {list(value.shape)}: please report it"
        )
    rows = np.zeros((source.rows, source.features))
    rows[source.row_of, source.feature_of] = given.reshape(-1)
    sources, places, _ = walk.sources.located(value)
    streams = walk.order.streams[sources[0].space][places]
    largest = 0.0
    for stream in sorted({0, walk.order.rows.shape[1] - 1}):
        wanted = outputs[streams == stream].astype(np.float64)
        found = np.asarray(finish(rows[walk.order.rows[:, stream]]), dtype=np.float64).reshape(-1)
        if found.shape != wanted.shape:
            raise ModelError(f"the import gives {counted(found.size, 'value')}, onnxruntime {wanted.size}: please "
                             "report it")
        if not (np.isfinite(found).all() and np.isfinite(wanted).all()):
            raise ModelError("outputs for random input are not finite: the weights are too large")
        scale = max(1.0, float(np.abs(wanted).max()))
        largest = max(largest, float(np.abs(found - wanted).max()) / scale)
    if not largest <= TOLERANCE:
        raise ModelError(
            f"the import differs from onnxruntime by {largest:.2g}, must be {TOLERANCE:g} at most: the model is not "
            "understood, please report it"
        )
    return f"compared with onnxruntime on {len(walk.order.rows)} random steps: largest difference {largest:.1e}"


def _run(walk: Walk, cut: Cut, used: set[str], given: AnyArray) -> AnyArray:
    import onnxruntime
    from onnx import TensorProto, helper

    feeds: dict[str, AnyArray] = {cut.start: given}
    inputs = [helper.make_tensor_value_info(cut.start, TensorProto.FLOAT, None)]
    needed = {name for node in cut.nodes for name in (*node.inputs, *node.captured)}
    for name, known in cut.graph.inputs.items():
        if name in needed and name in walk.values and name != cut.start:
            whole = known.type in (TensorProto.INT32, TensorProto.INT64)
            dtype = np.int64 if known.type == TensorProto.INT64 else np.int32 if whole else np.float32
            feeds[name] = np.full(walk.values[name].shape, walk.order.steps if whole else 0, dtype=dtype)
            inputs.append(helper.make_tensor_value_info(name, known.type if whole else TensorProto.FLOAT, None))
    nodes = [one for node in cut.nodes for one in _node(node, walk)]
    graph = helper.make_graph(
        nodes, "cut", inputs, [helper.make_empty_tensor_value_info(cut.stop)],
        [_stored(name, cut.graph.constants[name]) for name in sorted(used)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", cut.graph.opset)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.use_deterministic_compute = True
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        result = session.run([cut.stop], feeds)[0]
    except Exception as error:  # onnxruntime's and protobuf's, undocumented
        raise ModelError(f"onnxruntime rejects {quoted(cut.start)} to {quoted(cut.stop)}: {one_line(error)}") from None
    return np.asarray(result)


def _stored(name: str, tensor: Tensor) -> Any:
    from onnx import helper, numpy_helper

    array = tensor.array()
    dtype = np.dtype(np.float32) if tensor.is_float else helper.tensor_dtype_to_np_dtype(tensor.proto.data_type)
    return numpy_helper.from_array(array.astype(dtype, order="C"), name)


def _node(node: Node, walk: Walk) -> list[Any]:
    """The node in float32 and with the steps before the batch, the only form that onnxruntime runs."""
    from onnx import NodeProto, TensorProto, helper

    proto = NodeProto()
    proto.CopyFrom(node.proto)
    proto.domain = proto.name = ""  # names of nodes need not be unique
    if node.op in RECURRENT and "hidden_size" not in node.attributes:
        proto.attribute.append(helper.make_attribute("hidden_size", walk.values[node.input(2)].shape[2]))
    for attribute in proto.attribute:
        if attribute.HasField("t") and attribute.t.data_type in _FLOATS:
            attribute.t.CopyFrom(_stored("", Tensor(attribute.t, None, attribute.name)))
        if node.op == "Cast" and attribute.name == "to" and attribute.i in _FLOATS:
            attribute.i = TensorProto.FLOAT
        if node.op in RECURRENT and attribute.name == "activations":
            # onnxruntime's RNN takes no other spelling.
            attribute.strings[:] = [name.decode().capitalize().encode() for name in attribute.strings]
    layout = next((one for one in proto.attribute if one.name == "layout" and one.i == 1), None)
    if node.op not in RECURRENT or layout is None:
        return [proto]
    layout.i = 0
    return _batch_first(proto)


def _batch_first(proto: Any) -> list[Any]:
    from onnx import helper

    before, after = [], []
    for index in (0, 5, 6):
        if index < len(proto.input) and proto.input[index]:
            name = f"{proto.input[index]}:steps_first:{proto.output[0]}{proto.output[-1]}:{index}"
            before.append(helper.make_node("Transpose", [proto.input[index]], [name], perm=[1, 0, 2]))
            proto.input[index] = name
    for index, name in enumerate(proto.output):
        if name:
            after.append(helper.make_node("Transpose", [f"{name}:steps_first"], [name], perm=(
                [2, 0, 1, 3] if index == 0 else [1, 0, 2]
            )))
            proto.output[index] = f"{name}:steps_first"
    return [*before, proto, *after]


