"""Layouts and lengths of the inputs: those of the model are honoured, and results come back in the form of the inputs.

`tests/data/layouts`: `x.npy` [40, 8] is one sequence, `t1f.npy` the same as [40, 1, 8]; `m.onnx` and `m.pt` are the
same model.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rnn_mapper as srnn
from rnn_mapper.errors import ConfigurationError, ModelError
from rnn_mapper.importers.layout import BATCH_FIRST, STEPS_FIRST, Axis, Layout
from rnn_mapper.run.sequences import as_sequences
from sim_tests.bench.grids import RESIDENT_GRID
from tests.support.cli_runner import refusal, spatial_rnn

LAYOUTS = Path(__file__).parents[1] / "data" / "layouts"
X = np.load(LAYOUTS / "x.npy")
CLOSE = 0.02


def lstm(**options: Any) -> torch.nn.LSTM:
    torch.manual_seed(3)
    return torch.nn.LSTM(5, 6, **options).double()


def wanted_of(module: torch.nn.Module, inputs: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(module(inputs)[0].numpy())


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("shape", [(7, 1, 5), (1, 7, 5), (7, 2, 5), (3, 4, 5), (7, 5)])
def test_a_module_says_its_layout(batch_first: bool, shape: tuple[int, ...]) -> None:
    """Whatever the shape, the outputs are PyTorch's, in PyTorch's shape."""
    module = lstm(batch_first=batch_first)
    inputs = torch.randn(*shape, dtype=torch.float64)
    result = srnn.simulate(module, inputs, RESIDENT_GRID, simulator="verilator")
    assert result.is_exact
    wanted = wanted_of(module, inputs)
    assert result.outputs.shape == result.expected.shape == wanted.shape
    np.testing.assert_allclose(result.outputs_float, wanted, atol=CLOSE)


def test_the_default_layout_is_one_sequence() -> None:
    """[steps, 1, features] is a sequence of 40 steps, not 40 sequences of a single step."""
    imported = srnn.load_model(LAYOUTS / "m.onnx")
    assert imported.layout == STEPS_FIRST
    given = as_sequences(np.load(LAYOUTS / "t1f.npy"), imported)
    assert given.text == "1 sequence of 40 steps, read as [steps, batch, features] (the model's own layout)"
    np.testing.assert_array_equal(given.values[0], X)


def onnx_layout(shape: tuple[int | str, ...], order: tuple[int, ...] | None, tmp_path: Path) -> Layout | None:
    """The layout of the input of an LSTM of 6 features behind a transposition."""
    from onnx import TensorProto, helper, numpy_helper, save

    rng = np.random.default_rng(0)
    weights = {"W": rng.normal(size=(1, 12, 6)), "R": rng.normal(size=(1, 12, 3))}
    nodes = [] if order is None else [helper.make_node("Transpose", ["x"], ["t"], perm=order)]
    nodes.append(helper.make_node("LSTM", ["x" if order is None else "t", "W", "R"], ["y"], hidden_size=3))
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "g.onnx")
    return srnn.load_model(tmp_path / "g.onnx").layout


@pytest.mark.parametrize(
    ("shape", "order", "layout"),
    [
        (("n", "b", 6), None, STEPS_FIRST),
        (("n", 1, 6), None, STEPS_FIRST),
        ((9, 1, 6), None, STEPS_FIRST),
        ((9, 2, 6), None, STEPS_FIRST),
        (("b", "n", 6), (1, 0, 2), BATCH_FIRST),
        ((1, 9, 6), (1, 0, 2), BATCH_FIRST),
        ((2, 9, 6), (1, 0, 2), BATCH_FIRST),
        (("b", 6, "n"), (2, 0, 1), Layout((Axis.BATCH, Axis.FEATURES, Axis.STEPS))),
        ((6, 1, 9), (2, 1, 0), Layout((Axis.FEATURES, Axis.BATCH, Axis.STEPS))),
    ],
)
def test_a_graph_says_its_layout(
    shape: tuple[int | str, ...], order: tuple[int, ...] | None, layout: Layout, tmp_path: Path
) -> None:
    assert onnx_layout(shape, order, tmp_path) == layout


@pytest.mark.parametrize("axes", [
    "steps batch features", "batch steps features", "batch features steps", "features steps",
    "batch steps features features",
])  # fmt: skip
def test_results_come_back_in_the_layout(axes: str) -> None:
    layout = Layout(tuple(Axis(axis) for axis in axes.split()))
    sizes = iter((3, 2)) if axes.endswith("features features") else iter((6,))
    shape = [{"batch": 4, "steps": 5}.get(axis) or next(sizes) for axis in layout.axes]
    array = np.random.default_rng(0).normal(size=shape)
    model = srnn.Imported(srnn.network_from_torch(torch.nn.GRU(6, 2)), layout=layout)
    given = as_sequences(array, model)
    assert given.steps == (5,) * (4 if layout.has_batch else 1)
    back = given.restore(given.values)
    assert np.shape(back) == (tuple(shape) if shape.count(2) == 0 else (4, 5, 6))
    np.testing.assert_array_equal(np.reshape(back, shape), array)
    assert np.shape(given.restore([one[-1] for one in given.values])) == ((4, 6) if layout.has_batch else (6,))


def model_without_layout() -> srnn.Imported:
    return srnn.Imported(srnn.network_from_torch(lstm()))


def test_a_batch_of_unknown_layout() -> None:
    """It is batch-first, and the text says so; sequences of a single step are refused until the layout is given."""
    model = model_without_layout()
    given = as_sequences(np.ones((6, 2, 5)), model)
    assert given.text == (
        "6 sequences of 2 steps, read as [batch, steps, features] (assumed, as the model does not say)"
    )
    with pytest.raises(ModelError) as refused:
        as_sequences(np.ones((6, 1, 5)), model)
    assert str(refused.value) == (
        "inputs has shape 6 x 1 x 5, and the model does not say which axis is the steps: give the layout (--layout, or "
        "layout= in Python), steps-first ([steps, batch, features]: 1 sequence of 6 steps) or batch-first ([batch, "
        "steps, features]: 6 sequences of 1 step)"
    )
    assert as_sequences(np.ones((6, 1, 5)), model, layout="steps-first").steps == (6,)
    assert as_sequences(np.ones((6, 1, 5)), model, layout="batch-first").steps == (1,) * 6
    assert as_sequences(np.ones((1, 6, 5)), model).steps == (6,)


@pytest.mark.parametrize("batch_first", [False, True])
def test_sequences_of_different_lengths(batch_first: bool) -> None:
    """Padded with lengths, packed, or as a list: each sequence gives what it gives alone."""
    from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

    module = lstm(batch_first=batch_first, bidirectional=True)
    steps = [4, 7, 2]
    alone = [torch.randn(count, 5, dtype=torch.float64) for count in steps]
    padded = pad_sequence(alone, batch_first=batch_first)
    wanted = [wanted_of(module, one) for one in alone]
    result = srnn.simulate(module, padded, RESIDENT_GRID, lengths=steps, simulator="verilator")
    assert (result.is_exact, result.streams, len(result.runs), result.steps) == (True, 1, 3, 13)
    assert result.cycles == sum(one.cycles_simulated for one in result.segments)
    back = torch.nn.utils.rnn.pad_sequence([torch.tensor(one) for one in wanted], batch_first=batch_first).numpy()
    assert result.outputs.shape == back.shape
    np.testing.assert_allclose(result.outputs_float, back, atol=CLOSE)
    packed = pack_padded_sequence(padded, torch.tensor(steps), batch_first=batch_first, enforce_sorted=False)
    for given in (packed, alone, [one[:, None] if not batch_first else one[None] for one in alone]):
        result = srnn.simulate(module, given, RESIDENT_GRID, simulator="verilator")
        assert result.is_exact
        for outputs, one in zip(result.outputs_float, wanted, strict=True):
            np.testing.assert_allclose(outputs.reshape(one.shape), one, atol=CLOSE)
    assert [one.ndim for one in result.outputs] == [3, 3, 3]


def test_sequences_one_after_the_other_or_in_groups() -> None:
    """The number of streams changes the cycles and not the outputs."""
    module = lstm()
    inputs = torch.randn(3, 4, 5, dtype=torch.float64)
    results = {
        streams: srnn.simulate(module, inputs, RESIDENT_GRID, simulator="verilator", streams=streams)
        for streams in (1, 2, 4)
    }
    for streams, result in results.items():
        assert (result.is_exact, result.streams, len(result.runs)) == (True, streams, 4 // streams)
        np.testing.assert_array_equal(result.outputs, results[4].outputs)
    assert results[1].cycles > results[2].cycles > results[4].cycles
    assert results[2].to_json()["sequences"] == [3] * 4
    with pytest.raises(ConfigurationError, match=r"^streams = 3: there are 4 sequences of 3 steps; must divide 4"):
        srnn.simulate(module, inputs, RESIDENT_GRID, streams=3)


def test_a_batch_without_room_runs_one_after_the_other() -> None:
    module = lstm()
    inputs = torch.randn(2, 40, 5, dtype=torch.float64)
    result = srnn.simulate(module, inputs, "tiny", simulator="verilator")
    assert (result.is_exact, result.streams, len(result.runs)) == (True, 1, 40)
    np.testing.assert_allclose(result.outputs_float, wanted_of(module, inputs), atol=CLOSE)


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (np.ones((2, 3, 4)), {}, r"^inputs has shape 2 x 3 x 4, must have 5 features per step; read as \[batch,"),
        (np.ones((2, 2)), {}, r"^inputs has shape 2 x 2, must have 5 features per step$"),
        (np.ones(5), {}, r"^inputs has shape 5, must have 2 dimensions$"),
        (np.ones((2, 3, 5, 1)), {}, r"^inputs has shape 2 x 3 x 5 x 1, must be \[steps, features\] or a batch"),
        ([], {}, r"^inputs hold no sequence, must hold one or more$"),
        ([np.ones((2, 5)), np.ones((2, 4))], {}, r"^inputs\[1\] has shape 2 x 4, must have 5 features per step$"),
        (np.ones((2, 3, 5)), {"lengths": [3, 4]}, r"^lengths hold 4, must be 1 to 3, the steps of the padded batch$"),
        (np.ones((2, 3, 5)), {"lengths": [3, 0]}, r"^lengths hold 0, must be 1 to 3"),
        (np.ones((2, 3, 5)), {"lengths": [3]}, r"^lengths have shape 1, must be 2 whole numbers"),
        (np.ones((2, 3, 5)), {"lengths": [1.5, 2]}, r"^lengths have shape 2, must be 2 whole numbers"),
        ([np.ones((2, 5))], {"lengths": [2]}, r"^lengths are for one padded array"),
        (np.ones((2, 3, 5)), {"layout": "time"}, r"^layout 'time' is unknown: choose steps-first or batch-first$"),
        (np.full((2, 5), np.nan), {}, r"^inputs\[0, 0\] is nan, must be finite$"),
    ],
)
def test_refusals(given: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(srnn.SpatialRnnError, match=message):
        as_sequences(given, model_without_layout(), **options)


def test_calibration_has_the_forms_of_the_inputs() -> None:
    """A batch as calibration gives the scales of its sequences in a row."""
    module = lstm()
    batch = torch.randn(6, 2, 5, dtype=torch.float64)
    rows = torch.cat([batch[:, 0], batch[:, 1]])
    scales = [
        srnn.prepare(module, given, RESIDENT_GRID).quantised.segments[0].members[0].input_scale
        for given in (batch, rows)
    ]
    assert scales[0] == scales[1] != srnn.prepare(module, rows / 2, RESIDENT_GRID).quantised.segments[0].members[
        0
    ].input_scale


def test_commands_honour_the_layout_of_a_graph(tmp_path: Path) -> None:
    model, given = LAYOUTS / "m.onnx", LAYOUTS / "t1f.npy"
    text = "1 sequence of 40 steps, read as [steps, batch, features] (the model's own layout)"
    done = spatial_rnn("simulate", "--model", model, "--input", given, "--sim", "verilator", "--json", "r.json",
                       "--outputs", "o.npy", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert text in done.stdout
    values = json.loads((tmp_path / "r.json").read_text())
    assert (values["steps"], values["streams"], values["inputs"]) == (40, 1, text)
    assert np.load(tmp_path / "o.npy").shape[:2] == (40, 1)
    assert text in spatial_rnn("quantise", "--model", model, "--input", given, cwd=tmp_path).stdout
    mapped = spatial_rnn("map", "--model", model, "--input", given, "-o", "out", "--json", "m.json", cwd=tmp_path)
    assert f"t1f.npy: {text}, for the scales" in mapped.stdout
    assert json.loads((tmp_path / "m.json").read_text())["steps"] == 40


@pytest.mark.parametrize("command", ["simulate", "quantise", "map"])
def test_commands_refuse_what_is_surely_a_mistake(command: str, tmp_path: Path) -> None:
    """A state dict says nothing about the layout."""
    more = ["-o", "out"] if command == "map" else []
    arguments = [command, "--model", LAYOUTS / "m.pt", "--input", LAYOUTS / "t1f.npy", *more]
    text = refusal(*arguments, cwd=tmp_path)
    assert "steps-first ([steps, batch, features]: 1 sequence of 40 steps)" in text
    assert "batch-first ([batch, steps, features]: 40 sequences of 1 step)" in text
    done = spatial_rnn(*arguments, "--layout", "steps-first", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 sequence of 40 steps, read as [steps, batch, features] (as given)" in done.stdout


def test_lengths_in_files(tmp_path: Path) -> None:
    """In an .npz, or beside the batch; several files have lengths of their own."""
    module = lstm()
    srnn.save_network(tmp_path / "m.npz", srnn.network_from_torch(module))
    batch = np.random.default_rng(0).normal(size=(2, 6, 5))
    np.save(tmp_path / "x.npy", batch)
    np.save(tmp_path / "n.npy", np.array([6, 4]))
    np.savez(tmp_path / "x.npz", inputs=batch, lengths=np.array([6, 4]))
    np.save(tmp_path / "a.npy", batch[0])
    np.save(tmp_path / "b.npy", batch[1, :4])
    outputs = []
    for given in (["x.npy", "--lengths", "n.npy"], ["x.npz"], ["a.npy", "--input", "b.npy"]):
        done = spatial_rnn("simulate", "--model", "m.npz", "--input", *given, "--preset", "tiny", "--sim", "verilator",
                           "--outputs", "o.npy", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "2 sequences of 4 to 6 steps" in done.stdout
        assert "run one after the other" in done.stdout
        outputs.append(np.load(tmp_path / "o.npy"))
        assert "2 sequences of 4 to 6 steps" in spatial_rnn(
            "quantise", "--model", "m.npz", "--input", *given, cwd=tmp_path
        ).stdout
    assert outputs[0].shape == (2, 6, 6)
    assert not outputs[0][1, 4:].any()
    for other in outputs[1:]:
        np.testing.assert_array_equal(outputs[0], other)
