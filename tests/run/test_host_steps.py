"""Steps left to the host are part of the result: named, and applied to the outputs in real units."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

import rnn_mapper as srnn
from sim_tests.bench.grids import RESIDENT_GRID
from tests.support.cli_runner import spatial_rnn
from tests.support.onnx_models import model, node, run_onnxruntime, weights

RNG = np.random.default_rng(0)
STORED = {
    **weights(RNG, "LSTM", 3, 4), "zero": np.array([0]), "last": np.array(-1), "V": RNG.normal(size=(4, 2)),
}


def softmax_graph(last: bool) -> onnx.ModelProto:
    """An LSTM, a linear layer and a softmax over the outputs of every step, or of the last."""
    nodes = [node("LSTM", STORED, outputs=["Y"], hidden_size=4), helper.make_node("Squeeze", ["Y", "one"], ["s"])]
    if last:
        nodes.append(helper.make_node("Gather", ["s", "last"], ["g"], axis=0))
    nodes += [
        helper.make_node("MatMul", ["g" if last else "s", "V"], ["m"]),
        helper.make_node("Softmax", ["m"], ["Z"], name="/out", axis=-1),
    ]
    return model(nodes, {"X": ("steps", "batch", 3)}, ["Z"], {**STORED, "one": np.array([1])})


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("batch", [1, 3])
def test_outputs_float_are_the_outputs_of_the_graph(last: bool, batch: int, tmp_path: Path) -> None:
    proto = softmax_graph(last)
    onnx.save(proto, tmp_path / "m.onnx")
    inputs = RNG.normal(size=(5, batch, 3)).astype(np.float32)
    result = srnn.simulate(tmp_path / "m.onnx", inputs, RESIDENT_GRID, simulator="verilator")
    (wanted,) = run_onnxruntime(proto, {"X": inputs})
    assert any("/out" in name for name in result.host)
    np.testing.assert_allclose(result.outputs_float.reshape(wanted.shape), wanted, atol=0.02)
    np.testing.assert_allclose(result.outputs_float.sum(-1), 1)
    assert result.outputs.dtype == np.int16
    assert result.outputs.shape[:2] == (5, batch)


def test_a_module_with_a_softmax(tmp_path: Path) -> None:
    parts = torch.nn.ModuleDict({"lstm": torch.nn.LSTM(3, 4), "fc": torch.nn.Linear(4, 2)})
    inputs = torch.randn(6, 3)
    selection = srnn.Selection(parts=("lstm", "fc:softmax"))
    result = srnn.simulate(parts, inputs, RESIDENT_GRID, selection=selection, simulator="verilator")
    with torch.no_grad():
        wanted = torch.softmax(parts["fc"](parts["lstm"](inputs)[0]), -1).numpy()
    np.testing.assert_allclose(result.outputs_float, wanted, atol=0.02)
    assert result.host == ("softmax ('fc:softmax')",)
    torch.save(parts.state_dict(), tmp_path / "m.pt")
    np.save(tmp_path / "x.npy", inputs.numpy())
    done = spatial_rnn("simulate", "--model", "m.pt", "--input", "x.npy", "--part", "lstm", "--part", "fc:softmax",
                       "--preset", "tiny", "--sim", "verilator", "--json", "r.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "left to the host: softmax ('fc:softmax')" in done.stdout
    assert json.loads((tmp_path / "r.json").read_text())["host"] == ["softmax ('fc:softmax')"]
