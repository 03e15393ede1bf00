"""Bad ONNX files: one clear line for each, nothing run, no memory lost; and mutants at random."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.imported import Selection
from rnn_mapper.importers.onnx.load import load_onnx
from tests.importers.test_onnx import BIG, glue, i, n, noise
from tests.support.onnx_models import copy, model, node, single, weights


def refusal(source: Any, selection: Selection | None = None) -> str:
    """The error message, one readable line."""
    with pytest.raises(ModelError) as error:
        load_onnx(source, selection)
    text = str(error.value)
    assert text.isprintable()
    assert len(text) < 1500
    assert "MemoryError" not in text
    assert "bad_alloc" not in text
    return text


def stored(proto: Any, name: str) -> Any:
    return next(tensor for tensor in proto.graph.initializer if tensor.name == name)


def changed(change: Callable[[Any], Any], **attributes: Any) -> Any:
    proto = single(**attributes)
    change(proto)
    return proto


def with_tensor(name: str, make: Callable[[np.ndarray], np.ndarray], **attributes: Any) -> Any:
    def change(proto: Any) -> None:
        tensor = stored(proto, name)
        tensor.CopyFrom(numpy_helper.from_array(make(numpy_helper.to_array(tensor).copy()), name))

    return changed(change, **attributes)


def set_item(at: tuple[int, ...], value: float) -> Callable[[np.ndarray], np.ndarray]:
    def make(array: np.ndarray) -> np.ndarray:
        array[at] = value
        return array

    return make


def huge(proto: Any) -> None:
    """A stored tensor that declares more data than it has."""
    tensor = stored(proto, "W")
    tensor.dims[:] = [1 << 20, 1 << 20, 1 << 20]
    tensor.raw_data = b""


def cyclic(proto: Any) -> None:
    proto.graph.node.insert(0, helper.make_node("Add", ["X", "back"], ["X2"]))
    proto.graph.node[1].input[0] = "X2"
    proto.graph.node.append(helper.make_node("Identity", ["Y"], ["back"]))


def subgraph(proto: Any) -> None:
    body = helper.make_graph([helper.make_node("Identity", ["Y"], ["z"])], "b", [], [
        helper.make_empty_tensor_value_info("z")])
    proto.graph.initializer.append(numpy_helper.from_array(np.array(True), "cond"))
    choice = helper.make_node("If", ["cond"], ["out"], name="choice", then_branch=body, else_branch=body)
    proto.graph.node.append(choice)
    proto.graph.output[0].name = "out"


def functions(depth: int, recursive: bool = False) -> Callable[[Any], None]:
    """Functions, each of which calls the previous one twice."""

    def change(proto: Any) -> None:
        opset = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
        for level in range(depth):
            inner = f"f{level - 1}" if level else "Identity"
            inner = f"f{level}" if recursive else inner
            domain = "" if not level and not recursive else "f"
            nodes = [helper.make_node(inner, ["a"], ["b"], domain=domain),
                     helper.make_node(inner, ["b"], ["c"], domain=domain)]
            proto.functions.append(helper.make_function("f", f"f{level}", ["a"], ["c"], nodes, opset))
        proto.opset_import.append(helper.make_opsetid("f", 1))
        proto.graph.node.append(helper.make_node(f"f{depth - 1}", ["Y"], ["out"], domain="f"))
        proto.graph.output[0].name = "out"

    return change


def opset(version: int) -> Callable[[Any], None]:
    def change(proto: Any) -> None:
        proto.opset_import[0].version = version

    return change


def attribute(name: str, value: Any) -> Callable[[Any], None]:
    return lambda proto: proto.graph.node[0].attribute.append(helper.make_attribute(name, value))


def second_layer(proto: Any) -> None:
    """A recurrent layer on the last step of another."""
    tensors = weights(np.random.default_rng(1), "GRU", 4, 4, prefix="b")
    proto.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in tensors.items())
    proto.graph.node.append(node("GRU", tensors, "Y_h", ("Z",), "b", hidden_size=4))
    proto.graph.node[0].output[:] = ["", "Y_h"]
    proto.graph.output[0].name = "Z"


REFUSALS: dict[str, tuple[Any, str]] = {
    "NaN": (with_tensor("W", set_item((0, 1, 2), np.nan)), "LSTM '/top/LSTM': W[0, 1, 2] is nan, must be finite"),
    "infinite": (with_tensor("B", set_item((0, 3), -np.inf)), "LSTM '/top/LSTM': B[0, 3] is -inf, must be finite"),
    "integers": (with_tensor("R", lambda r: r.astype(np.int8)),
                 "LSTM '/top/LSTM': R holds whole numbers, must be floating point: quantised models are not supported"),
    "text": (changed(lambda p: stored(p, "W").CopyFrom(helper.make_tensor("W", TensorProto.STRING, [1], [b"x"]))),
             "LSTM '/top/LSTM': tensor 'W' holds STRING values, which are not supported"),
    "shape": (with_tensor("R", lambda r: r[:, :, :2]),
              "LSTM '/top/LSTM': R has shape [1, 16, 2], must have [1, 16, 4] (hidden_size 4, direction forward)"),
    "empty": (with_tensor("W", lambda w: w[:, :, :0]),
              "LSTM '/top/LSTM': W has shape [1, 16, 0], must have [1, 16, 0] (hidden_size 4, direction forward)"),
    "huge": (changed(huge), "LSTM '/top/LSTM': tensor 'W' has 0 bytes of data, must have 4611686018427387904 for its "
                            "shape [1048576, 1048576, 1048576]"),
    "negative": (changed(lambda p: stored(p, "W").dims.__setitem__(0, -1)),
                 "LSTM '/top/LSTM': tensor 'W' has shape [-1, 16, 3], which no tensor has"),
    "cycle": (changed(cyclic), "Add 'X2' takes 'back', which only it or a node after it gives: the graph is cyclic or "
                               "not in order"),
    "missing": (changed(lambda p: p.graph.node[0].input.__setitem__(1, "nothing")),
                "LSTM '/top/LSTM' takes 'nothing', which nothing produces"),
    "twice": (changed(lambda p: p.graph.node.append(helper.make_node("Identity", ["X"], ["Y"]))),
              "Identity 'Y' produces 'Y', which another node produces already: names must be unique"),
    "opset 6": (changed(opset(6)), "opset 6 is not supported, must be 7 to 28: convert the model"),
    "opset 99": (changed(opset(99)), "opset 99 is not supported, must be 7 to 28: convert the model"),
    "no opset": (changed(lambda p: p.ClearField("opset_import")),
                 "the file does not name its operator set (opset_import), must be ONNX's"),
    "no graph": (changed(lambda p: p.ClearField("graph")),
                 "damaged, or not an ONNX file: there is no graph with nodes in it"),
    "no output": (changed(lambda p: p.graph.ClearField("output")), "the graph has no outputs, must have one or more"),
    "clip": (changed(attribute("clip", 3.0)),
             "LSTM '/top/LSTM': clip = 3 is not supported: the grid limits sums to -32 to 32 only; train without it"),
    "activation": (single(activations=["HardSigmoid", "Tanh", "Tanh"]),
                   "LSTM '/top/LSTM': activation hardsigmoid is not supported: the grid has sigmoid, tanh, relu"),
    "unknown activation": (single("RNN", activations=["Swish"]),
                           "RNN '/top/RNN': activation 'swish' is unknown: must be sigmoid, tanh, relu"),
    "activations": (single("GRU", activations=["Sigmoid"]),
                    "GRU '/top/GRU': activations names 1 functions, must name 2"),
    "attribute": (changed(attribute("dropout", 0.5)), "LSTM '/top/LSTM': attribute 'dropout' is not supported"),
    "attribute of glue": (glue([n("Identity", ["Y"], "out", mode="x")]),
                          "Identity 'out': attribute 'mode' is not supported"),
    "direction": (single(direction="both"),
                  "LSTM '/top/LSTM': direction 'both' is unknown: must be forward, reverse, bidirectional"),
    "kind of attribute": (changed(lambda p: p.graph.node[0].attribute[0].CopyFrom(
        helper.make_attribute("hidden_size", "four"))),
        "LSTM '/top/LSTM': attribute 'hidden_size' is a str, must be a int"),
    "layout": (single(opset=13, layout=1), "LSTM '/top/LSTM': layout = 1 is unknown in opset 13"),
    "hidden size": (changed(lambda p: p.graph.node[0].attribute[0].__setattr__("i", 1 << 40)),
                    "W has shape [1, 16, 3], must have [1, 4398046511104, 3] (hidden_size 1099511627776"),
    "dynamic weights": (changed(lambda p: (p.graph.initializer.pop(0), p.graph.input.append(
        helper.make_tensor_value_info("W", 1, [1, 16, 3])))),
        "LSTM '/top/LSTM': W is computed while the model runs, must be stored in the file (dynamic weights)"),
    "if": (changed(subgraph), "1 node is not supported: If 'choice'; cut out the recurrent part with --from and --to; "
                              "its first recurrent node takes 'X', its last gives 'Y'"),
    "domain": (changed(lambda p: p.graph.node[0].__setattr__("domain", "com.microsoft")),
               "1 node is not supported: com.microsoft.LSTM '/top/LSTM'; no smaller part"),
    "several": (glue([n("Sin", ["Y"], "a", "first"), n("Erf", ["a"], "out", "second")]),
                "2 nodes are not supported: Sin 'first', Erf 'second'; cut out the recurrent part with --from and "
                "--to; its first recurrent node takes 'X', its last gives 'Y'"),
    "no recurrent node": (model([n("Relu", ["X"], "out")], {"X": (3, 1, 3)}, ["out"]),
                          "the graph has no LSTM, GRU or RNN node; if the exporter has unrolled the steps"),
    "functions": (changed(functions(40)), "the graph has more than 100000 nodes with its functions, must have fewer"),
    "recursion": (changed(functions(1, recursive=True)),
                  "function 'f0' calls itself, or functions are nested too deep"),
    "second layer": (changed(second_layer), "X is not the whole sequence of the layer below it, step by step"),
    "expand": (glue([n("Expand", ["Y", "to"], "out")], {"to": i(1 << 40, 1, 1, 1)}),
               "Expand 'out': gives shape [1099511627776, 1, 1, 1], must have 16777216 elements at most"),
    "constant of shape": (glue([n("ConstantOfShape", ["to"], "z"), n("Add", ["Y", "z"], "out")], {"to": i(BIG, BIG)}),
                          "ConstantOfShape 'z': gives shape [9223372036854775807, 9223372036854775807], must have"),
    "range": (glue([n("Range", ["a", "b", "c"], "r"), n("Reshape", ["Y", "r"], "out")],
                   {"a": i(0).reshape(()), "b": i(BIG).reshape(()), "c": i(1).reshape(())}),
              "Range 'r': gives shape [9223372036854775807]"),
    "huge input": (single(steps=1 << 40), "have more than 67108864 elements"),
    "no size": (single(batch=0), "'X' has shape ['steps', 0, 3], must have sizes of 1 or more, or dynamic ones"),
    "sparse": (changed(lambda p: p.graph.sparse_initializer.add()), "tensor '' is stored as a sparse tensor"),
    "lengths": (model([node("GRU", w := weights(np.random.default_rng(1), "GRU", 3, 4), extra={"sequence_lens": "l"})],
                      {"X": (5, 1, 3)}, ["Y"], {**w, "l": np.array([3], dtype=np.int32)}),
                "GRU '/top/GRU': sequence_lens is [3], must be the 5 steps of X: cut the input instead"),
    "batch of states": (model([node("GRU", w, extra={"initial_h": "h"})], {"X": (5, 2, 3)}, ["Y"],
                              {**w, "h": noise(1, 2, 4)}),
                        "initial_h differs between the streams of the batch, must be one state for all"),
    "inputs": (changed(lambda p: p.graph.node[0].input.extend(["", "", "", "", "X", "X"])), "has 10 inputs"),
    "names": (changed(lambda p: (p.graph.node[0].__setattr__("name", "a\nb\x1b[31m" * 50),
                                 p.graph.node[0].attribute[0].__setattr__("i", 3))),
              r"LSTM 'a\nb\x1b[31ma\nb"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name: str) -> None:
    proto, message = REFUSALS[name]
    with limited_memory():
        assert message in refusal(proto)


def test_selections_that_are_refused() -> None:
    proto = glue([n("Identity", ["Y"], "out"), n("Identity", ["X"], "other")])
    near = "; its first recurrent node takes 'X', its last gives 'Y'"
    assert refusal(proto, Selection(start="x")) == f"there is no tensor 'x' to start with (--from){near}"
    assert refusal(proto, Selection(stop="x")) == f"there is no tensor 'x' to end with (--to){near}"
    assert refusal(proto, Selection(stop="other")) == f"there is no LSTM, GRU or RNN between 'X' and 'other'{near}"
    assert refusal(proto, Selection(start="out", stop="Y")) == f"tensor 'Y' (--to) is not computed from 'out'{near}"
    assert refusal(proto, Selection(cell="gru")).startswith("--cell and --part are not for ONNX models")
    two = glue([n("Identity", ["Y"], "out"), n("Identity", ["Y"], "more")])
    two.graph.output.append(helper.make_empty_tensor_value_info("more"))
    assert refusal(two) == "the graph has 2 outputs: 'out', 'more'; name the one to end with (--to)"


def test_files(tmp_path: Path) -> None:
    whole = single().SerializeToString()
    contents = {
        "empty": (b"", "is empty, must be an .onnx file"),
        "text": (b"hello, this is not a model\n" * 10, "damaged, or not an ONNX file"),
        "zip": (b"PK\x03\x04" + bytes(100), "damaged, or not an ONNX file"),
        "zeros": (bytes(1000), "damaged, or not an ONNX file"),
        "half": (whole[: len(whole) // 2], "damaged, or not an ONNX file"),
    }
    for name, (content, message) in contents.items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(content)
        assert refusal(path).startswith(f"{path}: {message}")
    with (tmp_path / "huge.onnx").open("wb") as file:
        file.truncate(3 << 30)
    with limited_memory():
        assert f"has {3 << 30} bytes, an .onnx file has 2147483647 at most" in refusal(tmp_path / "huge.onnx")
    assert refusal(tmp_path / "none.onnx").endswith("none.onnx: no such file")
    assert "is a directory" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe.onnx")
    assert "is not a regular file" in refusal(tmp_path / "pipe.onnx")
    assert "int is not supported: must be the path of an .onnx file or a ModelProto" in refusal(3)


def test_external_data(tmp_path: Path) -> None:
    """Data in other files is read only from inside the model's folder, and only as much as the tensor has."""
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret.bin").write_bytes(bytes(1000))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "sub" / "w.bin").write_bytes(bytes(16 * 3 * 4 + 8))
    (folder / "up").symlink_to(tmp_path)
    (folder / "loop").symlink_to(folder / "loop")

    def place(**entries: str) -> Path:
        proto = single()
        tensor = stored(proto, "W")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)
        onnx.save(proto, folder / "model.onnx")
        return folder / "model.onnx"

    load_onnx(place(location="sub/w.bin", offset="8"))
    load_onnx(place(location="sub/w.bin", offset="0", length="192"))
    for entries, message in (
        ({"location": "../secret.bin", "length": "192"}, "must be a file inside the model's folder"),
        ({"location": str(tmp_path / "secret.bin")}, "must be a file inside the model's folder"),
        ({"location": "..\\secret.bin"}, "must be a file inside the model's folder"),
        ({"location": ""}, "must be a file inside the model's folder"),
        ({"location": "link.bin", "length": "192"}, "is a link out of the model's folder"),
        ({"location": "up/secret.bin", "length": "192"}, "is a link out of the model's folder"),
        ({"location": "loop"}, "no such file in"),
        ({"location": "none.bin"}, "no such file in"),
        ({"location": "sub"}, "is not a file"),
        ({"location": "sub/w.bin"}, "is 200 bytes long, must be 192"),
        ({"location": "sub/w.bin", "length": "100"}, "is 100 bytes long, must be 192"),
        ({"location": "sub/w.bin", "offset": "100", "length": "192"}, "ends at byte 292, the file has 200"),
        ({"location": "sub/w.bin", "offset": "-8"}, "has offset '-8', must be a number of bytes"),
        ({"location": "sub/w.bin", "length": "9" * 30}, "must be a number of bytes"),
    ):
        text = refusal(place(**entries))
        assert "tensor 'W': external data" in text
        assert message in text
    proto = onnx.load(place(location="sub/w.bin"), load_external_data=False)
    assert "the model did not come from a file" in refusal(proto)


@contextlib.contextmanager
def limited_memory(more: int = 1 << 30) -> Iterator[None]:
    """Limit the address space to its present size plus `more` bytes, by default a gigabyte."""
    with open("/proc/self/statm") as file:
        there = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (there + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def bases() -> list[Any]:
    """Models from which mutants are made."""
    shapes = glue(
        [n("Shape", ["X"], "s"), n("Gather", ["s", "zero"], "t"), n("Concat", ["t", "rest"], "to", axis=0),
         n("Transpose", ["Y"], "y", perm=[0, 2, 1, 3]), n("Reshape", ["y", "to"], "r"), n("MatMul", ["r", "m"], "d"),
         n("Add", ["d", "v"], "e"), n("Sigmoid", ["e"], "f"), n("Slice", ["f", "minus", "end", "zero"], "g"),
         n("Softmax", ["g"], "out", axis=-1)],
        {"zero": i(0), "rest": i(1, 8), "m": noise(8, 3), "v": noise(3), "minus": i(-1), "end": i(BIG)},
        direction="bidirectional",
    )
    tensors = weights(np.random.default_rng(1), "LSTM", 3, 4, peepholes=True)
    states = model(
        [node("LSTM", tensors, extra={"initial_h": "h", "initial_c": "c"}, outputs=("Y", "hn", "cn"), hidden_size=4)],
        {"X": ("t", 1, 3), "h": (1, 1, 4), "c": (1, 1, 4)}, ["Y", "hn", "cn"], tensors,
    )
    return [
        shapes, states, single("GRU", linear_before_reset=1, direction="reverse"), single("RNN", batch=2, steps=4),
        onnx.load(Path(__file__).parent.parent / "data" / "keras3_gru_last.onnx"),
    ]


def mutant(rng: np.random.Generator, proto: Any) -> Any:
    """A copy of the model with one to three changes of its structure."""
    made = copy(proto)
    for _ in range(rng.integers(1, 4)):
        _mutate(rng, made)
    for body in [one.g for some in made.graph.node for one in some.attribute if one.name == "body"]:
        if rng.random() < 0.7 and body.node and body.output:
            inner = onnx.ModelProto(graph=body, opset_import=made.opset_import)
            _mutate(rng, inner)
            body.CopyFrom(inner.graph)
    return made


def _mutate(rng: np.random.Generator, proto: Any) -> None:
    graph = proto.graph
    names = [name for one in graph.node for name in (*one.input, *one.output)] + [t.name for t in graph.initializer]
    one = graph.node[rng.integers(len(graph.node))]
    tensor = graph.initializer[rng.integers(len(graph.initializer))] if graph.initializer else TensorProto()
    value = graph.input[rng.integers(len(graph.input))] if graph.input else onnx.ValueInfoProto()
    size = int(rng.choice([-1, 0, 1, 2, 3, 5, 7, 16, 1 << 31, 1 << 62]))
    kind = rng.integers(20)
    if kind == 0 and one.input:
        del one.input[rng.integers(len(one.input))]
    elif kind == 1 and one.input:
        one.input[rng.integers(len(one.input))] = str(rng.choice(names))
    elif kind == 2 and one.output:
        one.output[rng.integers(len(one.output))] = str(rng.choice([*names, ""]))
    elif kind == 3 and tensor.dims:
        tensor.dims[rng.integers(len(tensor.dims))] = size
    elif kind == 4:
        tensor.dims.append(size)
    elif kind == 5:
        tensor.data_type = int(rng.integers(0, 24))
    elif kind == 6 and tensor.raw_data:
        array = np.frombuffer(tensor.raw_data, np.uint8).copy()
        array[rng.integers(len(array))] = rng.integers(256)
        tensor.raw_data = array.tobytes()
    elif kind == 7:
        tensor.raw_data = tensor.raw_data[: int(rng.integers(0, len(tensor.raw_data) + 1))]
    elif kind == 8 and one.attribute:
        changed_one = one.attribute[rng.integers(len(one.attribute))]
        changed_one.i, changed_one.f = size, float(rng.choice([0.0, -1.0, np.nan, 1e30]))
        if changed_one.ints:
            changed_one.ints[rng.integers(len(changed_one.ints))] = size
    elif kind == 9 and one.attribute:
        del one.attribute[rng.integers(len(one.attribute))]
    elif kind == 10:
        names_of_attributes = ["axis", "axes", "direction", "layout", "clip", "perm", "to", "starts", "input_forget"]
        kinds = [size, 0.5, "reverse", [size, 1], [0.5]]
        one.attribute.append(helper.make_attribute(
            str(rng.choice(names_of_attributes)), kinds[rng.integers(len(kinds))]))
    elif kind == 11 and one.attribute:
        one.attribute[rng.integers(len(one.attribute))].type = int(rng.choice([
            AttributeProto.INT, AttributeProto.FLOATS, AttributeProto.STRING, AttributeProto.TENSOR,
            AttributeProto.GRAPH]))
    elif kind == 12:
        one.op_type = str(rng.choice([
            "LSTM", "GRU", "RNN", "Gather", "Slice", "Expand", "Tile", "Range", "Split", "Cast", "ConstantOfShape",
            "Squeeze", "Flatten", "Mul", "Gemm", "Loop", "Constant", "Div"]))
    elif kind == 13 and len(graph.node) > 1:
        graph.node.insert(int(rng.integers(len(graph.node))), copy_of(one))
    elif kind == 14 and len(graph.node) > 1:
        graph.node.remove(one)
    elif kind == 15:
        proto.opset_import[0].version = int(rng.integers(0, 31))
    elif kind == 16 and value.type.tensor_type.shape.dim:
        value.type.tensor_type.shape.dim[rng.integers(len(value.type.tensor_type.shape.dim))].dim_value = size
    elif kind == 17:
        value.type.tensor_type.elem_type = int(rng.integers(0, 17))
    elif kind == 18:
        graph.output[0].name = str(rng.choice(names))
    elif kind == 19:
        del graph.initializer[:1]


def copy_of(one: Any) -> Any:
    made = onnx.NodeProto()
    made.CopyFrom(one)
    return made


def imports_or_refuses(source: Any) -> bool:
    """Whether the model is imported; then onnxruntime agrees. Any failure but a readable error message is an error."""
    try:
        imported = load_onnx(source)
    except ModelError as error:
        text = str(error)
        assert text.isprintable(), text
        assert len(text) < 1500, text
        assert "MemoryError" not in text, text
        assert "bad_alloc" not in text, text
        assert "please report" not in text, text
        return False
    assert imported.account[-1].startswith("compared with onnxruntime"), imported.account
    return True


def test_mutants_of_the_structure() -> None:
    """Each mutant is rejected with a one-line error, or imported and computes the same as onnxruntime."""
    rng = np.random.default_rng(0)
    models = bases()
    with limited_memory():
        taken = sum(imports_or_refuses(mutant(rng, models[number % len(models)])) for number in range(600))
    assert 30 < taken < 400, taken  # neither all of them nor none


def test_mutants_of_the_bytes(tmp_path: Path) -> None:
    """Truncated anywhere, bytes changed anywhere."""
    rng = np.random.default_rng(1)
    path = tmp_path / "m.onnx"
    wholes = [np.frombuffer(one.SerializeToString(), np.uint8) for one in bases()]
    taken = 0
    with limited_memory():
        for number in range(400):
            whole = wholes[number % len(wholes)]
            if number % 3 == 0:
                content = whole[: int(rng.integers(0, len(whole)))]
            else:
                content = whole.copy()
                for _ in range(rng.integers(1, 5)):
                    content[rng.integers(len(content))] = rng.integers(256)
            path.write_bytes(content.tobytes())
            taken += imports_or_refuses(path)
    assert 20 < taken < 300, taken
