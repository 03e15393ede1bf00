"""ONNX models as networks: every attribute against onnxruntime, both exporters of PyTorch, files of Keras."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

import rnn_mapper as srnn
from rnn_mapper.errors import ModelError
from rnn_mapper.importers.imported import Selection
from rnn_mapper.importers.onnx.load import load_onnx
from rnn_mapper.network.layers import Reversed
from tests.support.onnx_models import Array, model, node, run_imported, run_onnxruntime, single, weights

T = 9


def check(proto: Any, feeds_x: Array, reference: Any = None, **feeds: Array) -> Any:
    """Import, and compare with onnxruntime (on the same or a reference model) for a batch of one."""
    imported = load_onnx(proto)
    name, stop = proto.graph.input[0].name, proto.graph.output[0].name
    (wanted,) = run_onnxruntime(reference or proto, {name: feeds_x.astype(np.float32), **feeds}, [stop])
    axis = feeds_x.shape.index(T)
    steps = np.moveaxis(feeds_x, axis, 0).reshape(T, -1)
    found = run_imported(imported, steps.astype(np.float64))
    assert found.size == wanted.size
    atol = 1e-5 * max(1, np.abs(wanted).max())
    np.testing.assert_allclose(found.reshape(-1), wanted.reshape(-1), rtol=0, atol=atol)
    return imported


def noise(*shape: int, seed: int = 7) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


FUNCTIONS = ["Sigmoid", "Tanh", "Relu"]


def random_attributes(rng: np.random.Generator, op: str) -> dict[str, Any]:
    """Random attributes; each is left out as often as given."""
    made: dict[str, Any] = {}
    direction = rng.choice(["forward", "reverse", "bidirectional"])
    if direction != "forward" or rng.random() < 0.5:
        made["direction"] = direction
    if op == "GRU" and rng.random() < 0.7:
        made["linear_before_reset"] = int(rng.integers(2))
    if op == "LSTM" and rng.random() < 0.4:
        made["input_forget"] = int(rng.integers(2))
    if rng.random() < 0.5:
        halves = 2 if direction == "bidirectional" else 1
        count = {"LSTM": 3, "GRU": 2, "RNN": 1}[op]
        names = [str(rng.choice(FUNCTIONS)) for _ in range(halves * count)]
        if made.get("input_forget"):
            names[::count] = ["Sigmoid"] * halves
        if op != "RNN":  # a growing state shows nothing
            names[::count] = [name if name != "Relu" else "Tanh" for name in names[::count]]
        made["activations"] = [name.lower() if rng.random() < 0.3 else name for name in names]
        if rng.random() < 0.3:
            made["activation_alpha"] = [0.5]
    return made


@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
def test_random_attributes(op: str) -> None:
    """Every combination gives the outputs of onnxruntime; layout 1 those of layout 0 for transposed tensors."""
    seen = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        attributes = random_attributes(rng, op)
        halves = 2 if attributes.get("direction") == "bidirectional" else 1
        inputs, hidden = int(rng.integers(1, 6)), int(rng.integers(1, 7))
        peepholes = op == "LSTM" and not attributes.get("input_forget") and rng.random() < 0.4
        stored = weights(rng, op, inputs, hidden, halves, rng.random() < 0.7, peepholes)
        extra: dict[str, str] = {}
        if rng.random() < 0.3:
            stored["lens"] = np.array([T], dtype=np.int32)
            extra["sequence_lens"] = "lens"
        fixed = "lens" in stored
        for name in ("initial_h", "initial_c")[: 2 if op == "LSTM" else 1]:
            kind = rng.integers(3)
            if kind:
                stored[name] = (kind - 1) * noise(halves, 1, hidden, seed=seed)
                extra[name] = name
        if rng.random() < 0.6:
            attributes["hidden_size"] = hidden
        if rng.random() < 0.3:
            attributes["layout"] = 0
        outputs = [("Y",), ("Y", "Y_h"), ("", "Y_h")][rng.integers(3)]
        opset = int(rng.choice([14, 17, 22])) if "layout" in attributes else int(rng.choice([7, 11, 14, 17, 22, 28]))
        proto = model(
            [node(op, stored, outputs=outputs, extra=extra, **attributes)],
            {"X": (T if fixed else "steps", 1, inputs)}, [name for name in outputs if name], stored, opset,
        )
        x = noise(T, 1, inputs, seed=seed)
        plain = {**attributes, "hidden_size": hidden}
        if "activations" in plain:  # onnxruntime's RNN takes no other spelling
            plain["activations"] = [name.capitalize() for name in plain["activations"]]
        reference = model(
            [node(op, stored, outputs=outputs, extra=extra, **plain)],
            {"X": (T, 1, inputs)}, [name for name in outputs if name], stored, opset,
        )
        imported = check(proto, x, reference)
        seen |= set(attributes)
        # The same with the batch first, which onnxruntime does not have.
        flipped = {k: v.transpose(1, 0, 2) if k.startswith("initial") else v for k, v in stored.items()}
        turned = model(
            [node(op, flipped, outputs=outputs, extra=extra, **{**attributes, "layout": 1})],
            {"X": (1, T if fixed else "steps", inputs)}, [name for name in outputs if name], flipped, max(opset, 14),
        )
        other = load_onnx(turned)
        np.testing.assert_array_equal(run_imported(other, x[:, 0]), run_imported(imported, x[:, 0]))
    assert {"direction", "activations", "activation_alpha", "hidden_size", "layout"} <= seen


OPERATOR_TESTS = [
    *(f"test_{op}_{kind}" for op in ("lstm", "gru", "simple_rnn")
      for kind in ("defaults", "with_initial_bias", "batchwise", "reverse", "bidirectional")),
    "test_lstm_with_peepholes", "test_gru_seq_length", "test_rnn_seq_length",
]


def operator_tests() -> dict[str, Any]:
    """The operator tests in the onnx package, by name."""
    from onnx.backend.test.case import node as cases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import gru, lstm, rnn  # noqa: F401  # importing them makes the cases
    return {case.name: case for case in cases._NodeTestCases}


def bound(case: Any) -> tuple[Any, Array, bool]:
    """The model with its weights stored in it, X [steps, batch, features], and whether the batch comes first."""
    proto = onnx.ModelProto()
    proto.CopyFrom(case.model)
    given = case.data_sets[0][0]
    for value, array in zip(list(proto.graph.input)[1:], given[1:], strict=True):
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), value.name))
    batch_first = any(a.name == "layout" and a.i == 1 for a in proto.graph.node[0].attribute)
    return proto, given[0].transpose(1, 0, 2) if batch_first else given[0], batch_first


@pytest.mark.parametrize("name", OPERATOR_TESTS)
def test_operator_tests_of_onnx_in_float(name: str) -> None:
    case = operator_tests()[name]
    proto, x, batch_first = bound(case)
    for output, wanted in zip(proto.graph.output, case.data_sets[0][1], strict=True):
        if output.name == "Y_c":
            continue
        imported = load_onnx(proto, Selection(stop=output.name))
        for stream in range(x.shape[1]):
            part = wanted[stream] if batch_first else wanted.take(stream, axis=wanted.ndim - 2)
            found = run_imported(imported, x[:, stream].astype(np.float64))
            np.testing.assert_allclose(found.reshape(-1), part.reshape(-1), rtol=0, atol=1e-5)


def test_operator_tests_are_all_there() -> None:
    """A new operator test in the package must not be missed."""
    assert sorted(operator_tests()) == sorted(OPERATOR_TESTS)


def test_cell_state_of_the_operator_tests() -> None:
    """Y_c is not an output of the grid, but equals the layers' states."""
    for name in ("test_lstm_reverse", "test_lstm_bidirectional"):
        case = operator_tests()[name]
        proto, x, _ = bound(case)
        (wanted,) = (v for o, v in zip(proto.graph.output, case.data_sets[0][1], strict=True) if o.name == "Y_c")
        layer = load_onnx(proto, Selection(stop="Y_h")).network.layers[0]
        halves = [layer.layer] if isinstance(layer, Reversed) else [layer.forward, layer.backward]  # type: ignore[union-attr]
        for index, half in enumerate(halves):
            turned = x[::-1, 0] if half is halves[-1] else x[:, 0]
            state = srnn.run_float(srnn.Network((half,)), turned.astype(np.float64)).state[0]
            np.testing.assert_allclose(state["c"], wanted[index, 0], rtol=0, atol=1e-5)


class Recognizer(torch.nn.Module):
    """A recurrent layer, a part of its output, and a head."""

    def __init__(self, recurrent: Any, head: Any = None, take: str = "all") -> None:
        super().__init__()
        self.recurrent, self.head, self.take = recurrent, head, take

    def forward(self, x: Any) -> Any:
        y, state = self.recurrent(x)
        if self.take == "last":
            y = y[:, -1] if self.recurrent.batch_first else y[-1]
        elif self.take == "states":
            h = state[0] if isinstance(state, tuple) else state
            y = torch.cat([h[-2], h[-1]], dim=1)
        elif self.take == "later":
            y = y[:, 2:] if self.recurrent.batch_first else y[2:]
        return y if self.head is None else self.head(y)


def export(module: Any, x: Any, path: Path, dynamo: bool, dynamic: bool) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            torch.onnx.export(module, (x,), path, dynamo=True, verbose=False, input_names=["x"])
        else:
            axis = x.shape.index(T)
            names = {"x": {axis: "steps", 1 - axis: "batch"}} if dynamic else None
            torch.onnx.export(module, (x,), path, dynamo=False, input_names=["x"], dynamic_axes=names)
    return onnx.load(path)


LINEAR = torch.nn.Linear
MODULES = {
    "lstm": lambda: Recognizer(torch.nn.LSTM(4, 5)),
    "lstm 3 layers": lambda: Recognizer(torch.nn.LSTM(4, 5, 3, batch_first=True), LINEAR(5, 2)),
    "lstm bidirectional": lambda: Recognizer(
        torch.nn.LSTM(4, 3, 2, bidirectional=True, batch_first=True, dropout=0.2),
        torch.nn.Sequential(LINEAR(6, 4), torch.nn.Tanh(), torch.nn.Dropout(), LINEAR(4, 3), torch.nn.Softmax(-1)),
        "last",
    ),
    "gru": lambda: Recognizer(torch.nn.GRU(4, 5, 2, bias=False), torch.nn.Sequential(LINEAR(5, 2), torch.nn.Sigmoid())),
    "gru states": lambda: Recognizer(torch.nn.GRU(4, 3, 1, bidirectional=True), LINEAR(6, 2), "states"),
    "gru later": lambda: Recognizer(torch.nn.GRU(4, 3, batch_first=True), LINEAR(3, 2), "later"),
    "rnn": lambda: Recognizer(torch.nn.RNN(4, 5, 2, nonlinearity="relu"), LINEAR(5, 2), "last"),
    "rnn bidirectional": lambda: Recognizer(torch.nn.RNN(4, 5, bidirectional=True)),
    "lstm and relu": lambda: Recognizer(torch.nn.LSTM(4, 5), torch.nn.Sequential(torch.nn.ReLU(), LINEAR(5, 2))),
    "with states": lambda: torch.nn.LSTM(4, 5, 2),
}


@pytest.mark.parametrize(("name", "exporter"), [
    *((name, exporter) for name in MODULES for exporter in ("legacy", "legacy dynamic")),
    *((name, "dynamo") for name in ("lstm bidirectional", "gru states", "with states")),
])  # fmt: skip
def test_pytorch_exports(name: str, exporter: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    module = MODULES[name]().eval()
    recurrent = getattr(module, "recurrent", module)
    x = torch.randn(1, T, 4) if recurrent.batch_first else torch.randn(T, 1, 4)
    proto = export(module, x, tmp_path / "model.onnx", exporter == "dynamo", exporter == "legacy dynamic")
    imported = check(proto, x.numpy())
    with torch.no_grad():
        wanted = module(x)
    wanted = (wanted[0] if isinstance(wanted, tuple) else wanted).numpy()
    found = run_imported(load_onnx(tmp_path / "model.onnx"), x.numpy().reshape(T, 4).astype(np.float64))
    np.testing.assert_allclose(found.reshape(-1), wanted.reshape(-1), rtol=0, atol=1e-5)
    # The importer's own PyTorch path has the same weights.
    if name == "lstm":
        direct = srnn.network_from_torch(recurrent)
        np.testing.assert_allclose(
            imported.network.layers[0].tensors["W_i"], direct.layers[0].tensors["W_i"],  # type: ignore[union-attr]
            rtol=0, atol=1e-7,
        )


def test_exports_that_lose_something(tmp_path: Path) -> None:
    """The dynamo exporter drops the projection of an LSTM, and unrolls the steps of nn.RNN."""
    for module, message in (
        (torch.nn.LSTM(4, 5, proj_size=3), r"PyTorch's exporter loses the projection of proj_size"),
        (torch.nn.RNN(4, 5), r"the graph has no LSTM, GRU or RNN node; .* torch\.onnx\.export\(\.\.\., dynamo=False\)"),
    ):
        export(Recognizer(module), torch.randn(T, 1, 4), tmp_path / "model.onnx", dynamo=True, dynamic=False)
        with pytest.raises(srnn.SpatialRnnError, match=message):
            load_onnx(tmp_path / "model.onnx")


def test_where_the_steps_lie() -> None:
    """Dynamic axes, a fixed number of steps with a dynamic batch, and both fixed."""
    for steps, batch, text in (
        ("t", "b", "steps along axis 0"), ("t", 1, "steps along axis 0"), (T, "b", "exported for 9 steps"),
        (T, 1, "exported for 9 steps"), (T, 4, "exported for a batch of 4"), (None, None, "steps along axis 0"),
        (1, "b", "exported for 1 step"),
    ):
        imported = load_onnx(single(steps=steps, batch=batch))
        assert text in imported.account[0], imported.account
        assert imported.network.input_size == 3


def test_last_defence() -> None:
    """An import that computes something else is rejected."""
    from rnn_mapper.importers.onnx import recurrent

    kept = recurrent._GATES["LSTM"]
    recurrent._GATES["LSTM"] = ("_i", "_f", "_o", "_g")
    try:
        with pytest.raises(srnn.SpatialRnnError, match=r"^the import differs from onnxruntime by 0\.\d+, must be"):
            load_onnx(single())
    finally:
        recurrent._GATES["LSTM"] = kept


def glue(nodes: list[Any], stored: dict[str, Array] | None = None, stop: str = "out", op: str = "LSTM",
         outputs: tuple[str, ...] = ("Y", "Y_h"), opset: int = 17, shape: Any = ("t", 1, 3), **attributes: Any) -> Any:
    """A recurrent node of 3 inputs and 4 units on tensor X, with nodes around it."""
    halves = 2 if attributes.get("direction") == "bidirectional" else 1
    tensors = weights(np.random.default_rng(2), op, 3, 4, halves)
    x = "X2" if any("X2" in one.output for one in nodes) else "X"
    made = node(op, tensors, x, outputs, hidden_size=4, **attributes)
    before = [one for one in nodes if one.name.startswith("before")]
    return model([*before, made, *(one for one in nodes if one not in before)], {"X": shape}, [stop],
                 {**tensors, **(stored or {})}, opset)


def n(op: str, inputs: list[str], output: str, name: str = "", **attributes: Any) -> Any:
    return helper.make_node(op, inputs, [output], name=name, **attributes)


def i(*values: int) -> Array:
    return np.array(values, dtype=np.int64)


BIG = (1 << 63) - 1


@pytest.mark.parametrize(("proto", "host", "kind"), [
    (glue([n("Squeeze", ["Y", "one"], "s"), n("Slice", ["s", "a", "b", "zero"], "out")],
          {"one": i(1), "a": i(-1), "b": i(BIG), "zero": i(0)}), ["output 'out': the last step"], "lstm"),
    (glue([n("Squeeze", ["Y", "one"], "s"), n("Slice", ["s", "a", "b", "zero"], "out")],
          {"one": i(1), "a": i(-6), "b": i(-2), "zero": i(0)}),
     ["output 'out': step -6, step -5, step -4, step -3"], "lstm"),
    (glue([n("Squeeze", ["Y", "one"], "s"), n("Slice", ["s", "a", "b", "zero"], "out")],
          {"one": i(1), "a": i(1), "b": i(-1), "zero": i(0)}), ["output 'out': steps 1 to -2"], "lstm"),
    (glue([n("Squeeze", ["Y", "one"], "s"), n("Gather", ["s", "at"], "out")], {"one": i(1), "at": i(2, -1, 0)}),
     ["output 'out': step 2, the last step, step 0"], "lstm"),
    (glue([n("Squeeze", ["Y", "one"], "s"), n("Slice", ["s", "a", "b", "zero", "minus"], "out")],
          {"one": i(1), "a": i(-1), "b": i(-BIG), "zero": i(0), "minus": i(-1)}),
     ["output 'out': all steps, the last one first"], "lstm"),
    (glue([n("Squeeze", ["Y"], "s", axes=[1]), n("Slice", ["s"], "out", axes=[2], starts=[1], ends=[3])], opset=9),
     ["output 'out': all steps, 2 of 4 values"], "lstm"),
    # Reversed before the layer: it runs from the last step to the first, and so does its output.
    (glue([n("Slice", ["X", "a", "b", "zero", "minus"], "X2", "before 2"), n("Identity", ["Y"], "out")],
          {"a": i(-1), "b": i(-BIG), "zero": i(0), "minus": i(-1)}),
     ["output 'out': all steps, the last one first"], "reversed lstm"),
    (glue([n("Identity", ["Y"], "out")], direction="reverse"), [], "reversed lstm"),
    (glue([n("Identity", ["Y_h"], "out")], direction="reverse"), ["output 'out': step 0"], "reversed lstm"),
    (glue([n("Slice", ["X", "a", "b", "zero", "minus"], "X2", "before 2"), n("Identity", ["Y_h"], "out")],
          {"a": i(-1), "b": i(-BIG), "zero": i(0), "minus": i(-1)}, direction="reverse"),
     ["output 'out': the last step"], "lstm"),
    # One half of a bidirectional layer, both added, both swapped.
    (glue([n("Gather", ["Y", "half"], "out", axis=1)], {"half": i(0)}, direction="bidirectional"), [], "lstm"),
    (glue([n("Gather", ["Y", "half"], "out", axis=1)], {"half": i(1)}, direction="bidirectional"), [], "reversed lstm"),
    (glue([helper.make_node("Split", ["Y"], ["f", "b"], axis=1), n("Add", ["b", "f"], "out")],
          direction="bidirectional", op="GRU"), [], "bidirectional gru_reset_before"),
    (glue([helper.make_node("Split", ["Y"], ["f", "b"], axis=1), n("Concat", ["b", "f"], "c", axis=3),
           n("MatMul", ["c", "m"], "out")], {"m": noise(8, 3)}, direction="bidirectional"), [], "bidirectional lstm"),
    (glue([n("Softmax", ["Y"], "s", axis=3), n("MatMul", ["s", "m"], "out")], {"m": noise(4, 3)}),
     ["Softmax 's'", "MatMul 'out'"], "lstm"),
    (glue([n("LogSoftmax", ["Y"], "out", axis=-1)]), ["LogSoftmax 'out'"], "lstm"),
    (glue([n("Softmax", ["Y"], "out", axis=3)], opset=12), ["Softmax 'out'"], "lstm"),
    # Arithmetic with constants becomes part of a dense layer.
    (glue([n("MatMul", ["Y", "m"], "a"), n("Mul", ["a", "v"], "b"), n("Sub", ["v", "b"], "c"), n("Tanh", ["c"], "out")],
          {"m": noise(4, 3), "v": noise(3, seed=3)}), [], "lstm"),
    (glue([n("Sub", ["X", "v"], "a", "before 1"), n("Div", ["a", "w"], "X2", "before 2"), n("Sigmoid", ["Y"], "out")],
          {"v": noise(3), "w": 2 + abs(noise(3))}), [], "lstm"),
    (glue([n("Squeeze", ["Y", "both"], "s"), n("Gemm", ["s", "m", "v"], "out", alpha=0.5, beta=2.0, transB=1)],
          {"both": i(1, 2), "m": noise(3, 4), "v": noise(3)}), [], "lstm"),
    (glue([n("Squeeze", ["Y", "both"], "s"), n("Transpose", ["s"], "t"), n("Gemm", ["t", "m"], "out", transA=1)],
          {"both": i(1, 2), "m": noise(4, 3)}), [], "lstm"),
    (glue([n("Squeeze", ["Y", "both"], "s"), n("BatchNormalization", ["s", "a", "b", "c", "d"], "out", epsilon=0.1)],
          {"both": i(1, 2), "a": noise(4), "b": noise(4, seed=2), "c": noise(4, seed=3), "d": abs(noise(4, seed=4))}),
     [], "lstm"),
    # Features in another order.
    (glue([n("Slice", ["X", "a", "b", "two", "minus"], "X2", "before 2"), n("Identity", ["Y"], "out")],
          {"a": i(-1), "b": i(-BIG), "two": i(2), "minus": i(-1)}), [], "lstm"),
    # Outputs that only the host can combine.
    (glue([n("Squeeze", ["Y", "one"], "s"), n("Reshape", ["s", "to"], "t"), n("MatMul", ["t", "m"], "out")],
          {"one": i(1), "to": i(2, -1), "m": noise(2 * T, 3)}, shape=(T, 1, 3)),
     ["values of several steps: 2 x 18 values of several steps", "MatMul 'out'"], "lstm"),
], ids=lambda value: "" if isinstance(value, (list, str)) else "graph")  # fmt: skip
def test_glue(proto: Any, host: list[str], kind: str) -> None:
    imported = check(proto, noise(T, 1, 3))
    assert [step.name for step in imported.host] == host
    layer = imported.network.layers[0]
    assert (layer.cell.name if isinstance(layer, srnn.Layer) else layer.kind) == kind


@pytest.mark.parametrize(("proto", "message"), [
    (glue([n("Transpose", ["X"], "X2", "before 2", perm=[1, 0, 2]), n("Slice", ["X2", "a", "b"], "X3", "before 3")],
          {"a": i(0), "b": i(2)}, stop="Y", shape=(1, "t", 3)), None),
    (glue([n("Slice", ["X", "a", "b"], "X2", "before 2")], {"a": i(1), "b": i(BIG)}, stop="Y"),
     "takes a part of the input 'X' only"),
    (glue([n("Concat", ["X", "X"], "X2", "before 2", axis=0)], stop="Y"), "takes a part of the input 'X' only"),
    (glue([n("Add", ["Y", "Y"], "out")]), "which are not both directions of a layer"),
    (glue([n("Mul", ["Y", "Y"], "out")]), "combines two values that are computed while the model runs"),
    (glue([n("Add", ["Y", "v"], "out")], {"v": noise(T, 1, 1, 4)}, shape=(T, 1, 3)),
     "a constant differs from step to step"),
    (glue([n("Softmax", ["Y"], "out", axis=0)]), "is not over all values of a step"),
    (glue([n("Slice", ["Y", "a", "b", "zero"], "out")], {"a": i(-5000), "b": i(BIG), "zero": i(0)}),
     "a slice takes 5,000 steps, which is not supported"),
    (glue([n("Transpose", ["Y"], "out", perm=[1, 2, 3, 0])]), "depends on the number of steps"),
    (glue([n("Cast", ["Y"], "out", to=7)]), "turns the data into whole numbers"),
    (glue([n("Concat", ["Y", "v"], "out", axis=3)], {"v": noise(1, 1, 1, 2)}, shape=(1, 1, 3)),
     "concatenates constants with the data"),
])  # fmt: skip
def test_glue_that_is_refused(proto: Any, message: str | None) -> None:
    if message is None:  # the cut-off part is not used
        load_onnx(proto)
        return
    with pytest.raises(srnn.SpatialRnnError, match=message) as error:
        load_onnx(proto)
    assert "\n" not in str(error.value)


def test_slices_longer_than_the_first_try() -> None:
    """The last 20 steps of a sequence are not the whole sequence, although shorter sequences have fewer steps."""
    proto = glue([n("Slice", ["Y", "a", "b", "zero"], "out")], {"a": i(-20), "b": i(BIG), "zero": i(0)})
    imported = load_onnx(proto)
    x = noise(30, 1, 3)
    (wanted,) = run_onnxruntime(proto, {"X": x})
    np.testing.assert_allclose(run_imported(imported, x[:, 0].astype(float)).ravel(), wanted.ravel(), atol=1e-5)
    with pytest.raises(srnn.SpatialRnnError, match=r"^9 steps are too few for those that the model takes"):
        run_imported(imported, x[:9, 0].astype(float))


def test_states() -> None:
    """Constant initial states of a sequence, and state inputs that the grid carries."""
    stored = weights(np.random.default_rng(1), "LSTM", 3, 4)
    stored |= {"h": noise(1, 1, 4, seed=2), "c": noise(1, 1, 4, seed=3)}
    extra = {"initial_h": "h", "initial_c": "c"}
    proto = model([node("LSTM", stored, extra=extra, hidden_size=4)], {"X": ("t", 1, 3)}, ["Y"], stored)
    imported = check(proto, noise(T, 1, 3))
    assert imported.state is not None
    np.testing.assert_array_equal(imported.state[0]["c"], stored["c"][0, 0])
    carried = {name: stored.pop(name) for name in ("h", "c")}
    proto = model([node("LSTM", stored, extra=extra, outputs=("Y", "Yh", "Yc"), hidden_size=4)],
                  {"X": ("t", 1, 3), "h": (1, 1, 4), "c": (1, 1, 4)}, ["Y", "Yh", "Yc"], stored)
    zeros = {name: np.zeros_like(value) for name, value in carried.items()}
    imported = check(proto, noise(T, 1, 3), **zeros)
    assert imported.state is None
    text = "\n".join(imported.account)
    assert "input 'h': the state, which the grid carries from call to call and begins cleared" in text
    assert "output 'Yc': the state after the last step, which the grid keeps" in text
    # From the same state, onnxruntime and the network give the same outputs.
    (wanted,) = run_onnxruntime(proto, {"X": noise(T, 1, 3), **carried}, ["Y"])
    start = [{name: value[0, 0].astype(float) for name, value in carried.items()}]
    found = srnn.run_float(imported.network, noise(T, 3).astype(float), start).outputs
    np.testing.assert_allclose(found, wanted[:, 0, 0], atol=1e-5)


def test_types_of_weights(tmp_path: Path) -> None:
    """float16, bfloat16 and float64 weights are taken unchanged."""
    proto = single("GRU")
    reference = load_onnx(proto).network.layers[0]
    for dtype in (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE):
        made = onnx.ModelProto()
        made.CopyFrom(proto)
        for tensor in made.graph.initializer:
            array = onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(helper.make_tensor(tensor.name, dtype, array.shape, array.ravel().tolist()))
        layer = load_onnx(made).network.layers[0]
        for name, value in layer.tensors.items():  # type: ignore[union-attr]
            np.testing.assert_allclose(value, reference.tensors[name], atol=1e-2)  # type: ignore[union-attr]
    # And data in a file next to the model.
    onnx.save(proto, tmp_path / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    layer = load_onnx(tmp_path / "model.onnx").network.layers[0]
    for name, value in layer.tensors.items():  # type: ignore[union-attr]
        np.testing.assert_array_equal(value, reference.tensors[name])  # type: ignore[union-attr]


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_states_whose_shape_comes_from_outside_the_cut(value: float) -> None:
    """Zeros of any shape are no state; other values need their shape and their sources."""
    rng = np.random.default_rng(5)
    stored = weights(rng, "GRU", 3, 4)
    fill = helper.make_tensor("fill", onnx.TensorProto.FLOAT, [1], [value])
    nodes = [
        helper.make_node("Softplus", ["raw"], ["X"]),  # not supported, and before the cut
        helper.make_node("Softplus", ["X"], ["elsewhere"]),
        helper.make_node("Shape", ["elsewhere"], ["shape"]),
        helper.make_node("Slice", ["shape", "one", "two"], ["batch"]),
        helper.make_node("Concat", ["one", "batch", "four"], ["wanted"], axis=0),
        helper.make_node("ConstantOfShape", ["wanted"], ["filled"], value=fill),
        helper.make_node("Identity", ["filled"], ["h"]),
        node("GRU", stored, extra={"initial_h": "h"}, hidden_size=4),
    ]
    numbers = {name: np.array([number]) for name, number in (("one", 1), ("two", 2), ("four", 4))}
    proto = model(nodes, {"raw": [None, 1, 3]}, ["Y"], stored | numbers)
    if value:
        with pytest.raises(ModelError, match="Softplus"):
            load_onnx(proto, Selection(start="X"))
        return
    imported = load_onnx(proto, Selection(start="X"))
    raw = noise(T, 1, 3)
    (wanted,) = run_onnxruntime(proto, {"raw": raw}, ["Y"])
    found = run_imported(imported, np.log1p(np.exp(raw[:, 0].astype(np.float64))))
    np.testing.assert_allclose(found.reshape(-1), wanted.reshape(-1), rtol=0, atol=1e-5)
