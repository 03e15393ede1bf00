"""Files on which users stumble, from public reports (`tests/data`): they work, or the message names the way on."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

import rnn_mapper as srnn
from rnn_mapper.errors import ModelError
from rnn_mapper.importers.onnx.load import load_onnx
from rnn_mapper.quantisation.quantise import quantise_model
from rnn_mapper.quantisation.reference import run_model
from tests.support.cli_runner import spatial_rnn
from tests.support.onnx_models import model, node, run_imported, run_onnxruntime, weights

DATA = Path(__file__).parents[1] / "data"
RNG = np.random.default_rng(0)
STORED = weights(np.random.default_rng(5), "LSTM", 4, 5)
MEAN, DEVIATION = np.array([300.0, -1e4, 2e-3, 0.5]), np.array([40.0, 2e3, 1e-3, 1e2])


def decibels(wanted: np.ndarray, found: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(wanted**2) / np.mean((found - wanted) ** 2)))


def normalised(nodes: list[Any], stored: dict[str, np.ndarray], **sizes: Any) -> onnx.ModelProto:
    """An LSTM behind nodes from X to n."""
    return model(
        [*nodes, node("LSTM", STORED, x="n", hidden_size=5)], {"X": ("steps", 1, 4)}, ["Y"], {**STORED, **stored},
        **sizes,
    )


n = helper.make_node
NORMALISATIONS: dict[str, tuple[list[Any], dict[str, np.ndarray]]] = {
    "sub, div": ([n("Sub", ["X", "m"], ["a"]), n("Div", ["a", "d"], ["n"])], {"m": MEAN, "d": DEVIATION}),
    "mul, add": ([n("Mul", ["X", "s"], ["a"]), n("Add", ["o", "a"], ["n"])],
                 {"s": 1 / DEVIATION, "o": -MEAN / DEVIATION}),
    "scalar last": ([n("Sub", ["X", "m"], ["a"]), n("Div", ["a", "d"], ["b"]), n("Mul", ["b", "two"], ["n"])],
                    {"m": MEAN, "d": 2 * DEVIATION, "two": np.array(2.0)}),
    "negated": ([n("Sub", ["m", "X"], ["a"]), n("Neg", ["a"], ["b"]), n("Div", ["b", "d"], ["n"])],
                {"m": MEAN, "d": DEVIATION}),
}  # fmt: skip


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_a_normalisation_belongs_to_the_host(name: str) -> None:
    """As accurate, and as fast, as the same network with inputs that were normalised before."""
    imported = load_onnx(normalised(*NORMALISATIONS[name]))
    plain = load_onnx(normalised([n("Identity", ["X"], ["n"])], {}))
    assert "part of the host's coding of the input" in "\n".join(imported.account)
    assert len(imported.network.layers) == len(plain.network.layers) == 1
    values = RNG.normal(size=(200, 4))
    inputs = values * DEVIATION + MEAN
    wanted = run_imported(plain, values)
    np.testing.assert_allclose(run_imported(imported, inputs), wanted, rtol=0, atol=1e-5)
    quantised = [quantise_model(one.network, given) for one, given in ((imported, inputs), (plain, values))]
    found = [
        run_model(made, given).outputs * made.output_scale
        for made, given in zip(quantised, (inputs, values), strict=True)
    ]
    errors = [decibels(wanted, one) for one in found]
    assert abs(errors[0] - errors[1]) < 0.5, errors


def test_a_normalisation_of_the_report() -> None:
    """Features of 0.4 to 1,000: 16 dB were lost when the grid computed it."""
    folder = DATA / "normalisation"
    inputs, wanted = np.load(folder / "x.npy"), np.load(folder / "m.want.npy")
    result = srnn.simulate(folder / "m.onnx", inputs, "small", simulator="verilator")
    assert result.is_exact
    assert decibels(wanted, result.outputs_float) > 30
    assert [layer.kind for layer in result.prepared.network.layers] == ["lstm"]


def test_a_normalisation_below_both_directions() -> None:
    stored = weights(np.random.default_rng(6), "LSTM", 4, 5, halves=2)
    nodes, more = NORMALISATIONS["sub, div"]
    proto = model(
        [*nodes, node("LSTM", stored, x="n", hidden_size=5, direction="bidirectional")], {"X": ("steps", 1, 4)}, ["Y"],
        {**stored, **more},
    )
    imported = load_onnx(proto)
    inputs = RNG.normal(size=(9, 4)) * DEVIATION + MEAN
    (wanted,) = run_onnxruntime(proto, {"X": inputs[:, None].astype(np.float32)})
    found = run_imported(imported, inputs)
    np.testing.assert_allclose(found.reshape(9, 2, 5), wanted.reshape(9, 2, 5), rtol=0, atol=1e-4)
    quantised = quantise_model(imported.network, inputs)
    outputs = run_model(quantised, inputs).outputs * quantised.output_scale
    np.testing.assert_allclose(outputs, found, atol=0.03)


def test_a_normalisation_is_saved_and_mapped(tmp_path: Path) -> None:
    imported = load_onnx(normalised(*NORMALISATIONS["sub, div"]))
    inputs = RNG.normal(size=(30, 4)) * DEVIATION + MEAN
    srnn.save_network(tmp_path / "m.npz", imported.network)
    again = srnn.load_model(tmp_path / "m.npz")
    np.testing.assert_array_equal(run_imported(again, inputs), run_imported(imported, inputs))
    np.save(tmp_path / "x.npy", inputs)
    done = spatial_rnn("map", "--model", "m.npz", "--input", "x.npy", "--preset", "tiny", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    coding = srnn.prepare(again, inputs, "tiny").quantised.segments[0].members[0].coding
    assert coding is not None
    np.testing.assert_allclose(coding.scale, 1 / DEVIATION, rtol=1e-6)
    written = json.loads((tmp_path / "out" / "mapping.json").read_text())["input_coding"]
    assert written == {"scale": coding.scale.tolist(), "offset": coding.offset.tolist()}
    # Without typical input, noise of the size of the normalised values takes its place.
    assert srnn.prepare(again, grid="tiny").quantised.segments[0].members[0].input_scale == pytest.approx(
        np.abs(np.random.default_rng(0).standard_normal((256, 4))).max() / 127
    )


def test_a_zero_deviation_is_refused() -> None:
    nodes, stored = NORMALISATIONS["sub, div"]
    with pytest.raises(ModelError, match=r"Div .*: its constants are not all finite"):
        load_onnx(normalised(nodes, {**stored, "d": np.array([1.0, 0.0, 1.0, 1.0])}))


@pytest.mark.parametrize(("folder", "name"), [("packed", "uni"), ("quantised_weights", "m"), ("embedding", "m")])
def test_files_that_work(folder: str, name: str) -> None:
    """They give what PyTorch or onnxruntime gave; the input of the embedding's model are its vectors."""
    imported = srnn.load_model(DATA / folder / f"{name}.onnx")
    inputs, wanted = np.load(DATA / folder / "x.npy"), np.load(DATA / folder / f"{name}.want.npy")
    np.testing.assert_allclose(run_imported(imported, inputs), wanted, rtol=0, atol=1e-5)
    if folder == "embedding":
        assert "an embedding, left to the host" in imported.account[0]


@pytest.mark.parametrize("name", ["mask", "m"])
def test_lengths_that_are_computed_beside_the_cut(name: str) -> None:
    """The cut that the user makes leaves the mask alone, and so does the import without a cut."""
    path = DATA / "lengths" / f"{name}.onnx"
    for selection in (None, srnn.Selection(start="x", stop="y4" if name == "mask" else "yh")):
        imported = srnn.load_model(path, selection)
        assert "input 'len': the number of steps that the host sends" in imported.account
    assert imported.network.layers[0].output_size == 16


def test_a_start_state_from_another_network_is_left_to_the_host() -> None:
    """An encoder's last state is given to a decoder from outside, but not within the cut."""
    encoder, decoder = weights(RNG, "LSTM", 3, 5, prefix="e"), weights(RNG, "LSTM", 4, 5, prefix="d")
    nodes = [
        node("LSTM", encoder, "Z", ("", "eh", "ec"), prefix="e", hidden_size=5),
        helper.make_node("Tanh", ["eh"], ["h0"], name="bridge"),
        node("LSTM", decoder, "X", ("Y",), prefix="d", extra={"initial_h": "h0", "initial_c": "ec"}, hidden_size=5),
    ]
    proto = model(nodes, {"Z": ("n", 1, 3), "X": ("steps", 1, 4)}, ["Y"], {**encoder, **decoder})
    imported = load_onnx(proto, srnn.Selection(start="X"))
    account = "\n".join(imported.account)
    assert "input 'h0': the state, which the grid carries" in account
    assert "input 'ec': the state, which the grid carries" in account
    given = {"Z": np.zeros((2, 1, 3), dtype=np.float32), "X": RNG.normal(size=(6, 1, 4)).astype(np.float32)}
    cleared = model(
        [node("LSTM", decoder, "X", ("Y",), prefix="d", hidden_size=5)], {"X": ("steps", 1, 4)}, ["Y"], decoder
    )
    (wanted,) = run_onnxruntime(cleared, {"X": given["X"]})
    np.testing.assert_allclose(run_imported(imported, given["X"][:, 0]), wanted.reshape(6, 5), rtol=0, atol=1e-5)
    own = model(
        [node("LSTM", decoder, "X", ("Y1", "h1"), prefix="d", hidden_size=5),
         node("LSTM", weights(RNG, "LSTM", 4, 5, prefix="f"), "X", ("Y",), prefix="f", extra={"initial_h": "h1"},
              hidden_size=5)],
        {"X": ("steps", 1, 4)}, ["Y"], {**decoder, **weights(RNG, "LSTM", 4, 5, prefix="f")},
    )  # fmt: skip
    with pytest.raises(ModelError, match="initial_h is computed from"):
        load_onnx(own)


@pytest.mark.parametrize("axis", [None, 1, 2])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_stored_integers_are_dequantised(axis: int | None, dtype: Any) -> None:
    """Affine, for a whole tensor or along an axis."""
    proto = model([node("LSTM", STORED, hidden_size=5)], {"X": ("steps", 1, 4)}, ["Y"], STORED)
    graph = proto.graph
    shape = STORED["W"].shape
    count = 1 if axis is None else shape[axis]
    codes = RNG.integers(*((-128, 128) if dtype is np.int8 else (0, 256)), size=shape).astype(dtype)
    scale, zero = RNG.uniform(0.002, 0.01, count), RNG.integers(1, 90, count).astype(dtype)
    form = [1, 1, 1]
    if axis is not None:
        form[axis] = count
    values = (codes.astype(float) - zero.astype(float).reshape(form)) * scale.astype(np.float32).reshape(form)
    del graph.initializer[[one.name for one in graph.initializer].index("W")]
    parts = {"q": codes, "s": (scale if axis is not None else scale[0]).astype(np.float32),
             "z": zero if axis is not None else zero[0]}  # fmt: skip
    for name, array in parts.items():
        graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), name))
    graph.node.insert(0, helper.make_node("DequantizeLinear", ["q", "s", "z"], ["W"], axis=1 if axis is None else axis))
    imported = load_onnx(proto)
    plain = model([node("LSTM", STORED, hidden_size=5)], {"X": ("steps", 1, 4)}, ["Y"], {**STORED, "W": values})
    inputs = RNG.normal(size=(6, 4))
    np.testing.assert_allclose(run_imported(imported, inputs), run_imported(load_onnx(plain), inputs), atol=1e-6)


class Gated(torch.nn.Module):
    """A module without any layer of a grid's."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv1d(1, 2, 3)


class Tagger(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.out = torch.nn.GRU(4, 5), torch.nn.Linear(5, 2)


def quantised_module() -> torch.nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, that it moves to torchao; files of this kind remain
        made: torch.nn.Module = torch.ao.quantization.quantize_dynamic(Tagger(), {torch.nn.GRU, torch.nn.Linear})
    return made


@pytest.mark.parametrize(
    ("made", "messages"),
    [
        (Gated, ["none of them is one that a grid can run"]),
        (Tagger, ["Selection(parts=('encoder', 'out'))", "'out:sigmoid'"]),
        (lambda: torch.nn.Sequential(torch.nn.Embedding(3, 4)), ["Embedding '0' is not supported", "left to the host"]),
        (lambda: torch.nn.Sequential(torch.nn.LSTM(3, 4), torch.nn.SiLU()), ["SiLU '1'", "left to the host"]),
        (quantised_module, ["weights that PyTorch has quantised", "give the model, or its state_dict(), from before"]),
    ],
)
def test_messages_for_modules(made: Callable[[], torch.nn.Module], messages: list[str]) -> None:
    with pytest.raises(ModelError) as refused:
        srnn.simulate(made(), np.ones((3, 4)))
    for message in messages:
        assert message in str(refused.value)
    assert "'lstm', 'fc:sigmoid'" not in str(refused.value)


def quantised_state_dict(path: Path) -> None:
    torch.save(quantised_module().state_dict(), path)


def exported_program(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("m/models/model.json", "m/archive_format", "m/data/sample_inputs/model.pt"):
            archive.writestr(name, "pt2")


FILES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "q.pt": (quantised_state_dict, ["weights that PyTorch has quantised", "from before that"]),
    "m.pt2": (exported_program, ["is a program of torch.export (.pt2)", "save the state_dict()"]),
    "m.zip": (exported_program, ["is a program of torch.export (.pt2)"]),
    "m.mlmodel": (lambda path: path.write_bytes(b"\x08\x04\x12\x20"), ["is a Core ML model"]),
    "m.mlpackage": (lambda path: path.mkdir(), ["is a Core ML model"]),
    "m.pte": (lambda path: path.write_bytes(b"\0\0\0\0ET12"), ["is ExecuTorch"]),
}


@pytest.mark.parametrize("name", FILES)
def test_messages_for_files(name: str, tmp_path: Path) -> None:
    write, messages = FILES[name]
    write(tmp_path / name)
    with pytest.raises(ModelError) as refused:
        srnn.load_model(tmp_path / name)
    for message in messages:
        assert message in str(refused.value)
    assert "save module.state_dict() instead" not in str(refused.value)


def test_messages_for_graphs() -> None:
    for path, messages in {
        "quantised_weights/dynamic.onnx": ["DynamicQuantizeLSTM", "the model from before quantize_dynamic"],
        "cells_written_out/gru.False.onnx": ["its cells, written out", "state_dict (.pt)"],
    }.items():
        with pytest.raises(ModelError) as refused:
            srnn.load_model(DATA / path)
        for message in messages:
            assert message in str(refused.value)


def test_the_cell_of_a_written_out_graph_works_from_its_state_dict() -> None:
    """The way that the message names."""
    place = DATA / "cells_written_out"
    imported = srnn.load_model(place / "gru.pt", srnn.Selection(parts=("c", "fc")))
    inputs, wanted = np.load(place / "x.npy"), np.load(place / "gru.want.npy")
    np.testing.assert_allclose(run_imported(imported, inputs), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([n("Sigmoid", ["Y"], ["g"]), n("Mul", ["Y", "g"], ["out"], name="silu")], "end before it: --to 'Y'"),
        ([n("Squeeze", ["Y", "one"], ["s"]), n("Add", ["s", "X"], ["out"], name="residual")],
         "end before it: --to 's'"),
    ],
)
def test_a_node_without_place_names_the_cut(nodes: list[Any], message: str) -> None:
    proto = model(
        [node("LSTM", weights(RNG, "LSTM", 5, 5), hidden_size=5), *nodes], {"X": ("steps", 1, 5)}, ["out"],
        {**weights(RNG, "LSTM", 5, 5), "one": np.array([1])},
    )
    with pytest.raises(ModelError) as refused:
        load_onnx(proto)
    assert message in str(refused.value)


def test_the_advice_is_not_the_cut_that_was_made() -> None:
    nodes = [n("Celu", ["X"], ["c"], name="odd"), node("LSTM", STORED, x="c", hidden_size=5)]
    proto = model(nodes, {"X": ("steps", 1, 4)}, ["Y"], STORED)
    with pytest.raises(ModelError, match=r"Celu 'odd'; cut out .* takes 'c', its last gives 'Y'"):
        load_onnx(proto)
    load_onnx(proto, srnn.Selection(start="c", stop="Y"))
    # A start state of an unknown operator cannot be cut off by moving start and stop.
    nodes = [
        helper.make_node("RandomNormal", [], ["h"], name="noise", shape=[1, 1, 5], dtype=TensorProto.FLOAT),
        node("LSTM", STORED, extra={"initial_h": "h"}, hidden_size=5),
    ]
    with pytest.raises(ModelError) as refused:
        load_onnx(model(nodes, {"X": ("steps", 1, 4)}, ["Y"], STORED), srnn.Selection(start="X", stop="Y"))
    assert "cut out" not in str(refused.value)
