"""ONNX models for tests: recurrent nodes with any attributes, and glue around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from rnn_mapper.importers.imported import Imported
from rnn_mapper.network.float_reference import run_float

Array = npt.NDArray[Any]

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def model(
    nodes: Sequence[Any], inputs: dict[str, Sequence[int | str | None] | None], outputs: Sequence[str],
    stored: dict[str, Array] | None = None, opset: int = 17,
) -> Any:
    """A model of nodes, with float32 inputs of these shapes and stored tensors (float64 becomes float32)."""
    tensors = [
        numpy_helper.from_array(np.asarray(v, dtype=np.float32) if v.dtype == np.float64 else v, name)
        for name, v in (stored or {}).items()
    ]
    graph = helper.make_graph(
        list(nodes), "test",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs], tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def weights(
    rng: np.random.Generator, op: str, inputs: int, hidden: int, halves: int = 1, bias: bool = True,
    peepholes: bool = False, prefix: str = "",
) -> dict[str, Array]:
    """Stored tensors W, R, B and P of a node."""
    gates = GATES[op]
    shapes: dict[str, tuple[int, ...]] = {
        "W": (halves, gates * hidden, inputs), "R": (halves, gates * hidden, hidden),
    }
    if bias:
        shapes["B"] = halves, 2 * gates * hidden
    if peepholes:
        shapes["P"] = halves, 3 * hidden
    return {prefix + name: rng.uniform(-0.8, 0.8, shape).astype(np.float32) for name, shape in shapes.items()}


def node(
    op: str, stored: dict[str, Array], x: str = "X", outputs: Sequence[str] = ("Y",), prefix: str = "",
    extra: dict[str, str] | None = None, **attributes: Any,
) -> Any:
    """A recurrent node that takes stored tensors of these names; `extra` names sequence_lens and initial states."""
    names = ["W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"]
    given = [
        (extra or {}).get(name) or (prefix + name if prefix + name in stored else "") for name in names
    ]
    taken = [x, *given]
    while not taken[-1]:
        taken.pop()
    name = f"/{prefix or 'top'}/{op}"
    return helper.make_node(op, taken, list(outputs), name=name, **attributes)


def single(
    op: str = "LSTM", steps: int | str | None = "steps", batch: int | str | None = 1, inputs: int = 3, hidden: int = 4,
    seed: int = 1, opset: int = 17, outputs: Sequence[str] = ("Y",), **attributes: Any,
) -> Any:
    """A model of one recurrent node."""
    halves = 2 if attributes.get("direction") == "bidirectional" else 1
    stored = weights(np.random.default_rng(seed), op, inputs, hidden, halves)
    made = node(op, stored, outputs=outputs, hidden_size=hidden, **attributes)
    return model([made], {"X": (steps, batch, inputs)}, [name for name in outputs if name], stored, opset)


def run_onnxruntime(proto: Any, feeds: dict[str, Array], outputs: list[str] | None = None) -> list[Array]:
    """What onnxruntime gives."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(one) for one in session.run(outputs, feeds)]


def run_imported(imported: Imported, inputs: Array) -> Array:
    """What the import gives for [steps, features], after the host's steps."""
    return imported.finish(run_float(imported.network, inputs, imported.state).outputs)


def copy(proto: Any) -> Any:
    """A copy."""
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    return made
