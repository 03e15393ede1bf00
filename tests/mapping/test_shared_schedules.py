"""The Verilog of stacked layers of different kinds and sizes, of streams, and of models that share a schedule."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

import rnn_mapper as srnn
from rnn_mapper import cells
from rnn_mapper.cli.mapped import streams_line
from rnn_mapper.mapping.deployment import Deployment, deploy
from rnn_mapper.network.random import LayerShape, random_network
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.quantisation.reference import Reference
from rnn_mapper.schedule.phases import PhaseOrder
from sim_tests.bench.grids import RESIDENT_GRID
from tests.support.cli_runner import refusal, spatial_rnn

GRID_OPTIONS = (
    "--preset", "small", "--models", 8, "--state-words", 8, "--phases", 32, "--schedule-depth", 64, "--program-length",
    64,
)


def quantised(*layers: tuple[cells.Cell, int], inputs: int = 5, head: int | None = None) -> QuantisedNetwork:
    rng = np.random.default_rng(len(layers) + inputs)
    network = random_network(rng, inputs, [LayerShape(*layer) for layer in layers], head, scale=0.6)
    return srnn.quantise(network, rng.normal(size=(30, inputs)))


STACK = quantised((cells.lstm, 9), (cells.dense_relu, 6), (cells.gru, 7), (cells.qrnn, 10), head=3)
SMALL = quantised((cells.gru_reset_before, 6), inputs=7)
LSTM = quantised((cells.lstm, 7))
TWO = quantised((cells.sru, 6), (cells.rnn_tanh, 4))


@pytest.mark.parametrize(("models", "schedule"), [
    ([STACK], PhaseOrder.FUSED), ([STACK], PhaseOrder.SEQUENTIAL), ([LSTM] * 2, PhaseOrder.FUSED),
    ([LSTM] * 4, PhaseOrder.FUSED), ([LSTM, SMALL], PhaseOrder.FUSED), ([SMALL, TWO, LSTM], PhaseOrder.FUSED),
    ([LSTM, SMALL], PhaseOrder.BLAS),
], ids=["stack", "stack, sequential", "2 streams", "4 streams", "2 models", "3 models", "2 models, blas"])  # fmt: skip
def test_networks_that_share_a_schedule(models: list[QuantisedNetwork], schedule: PhaseOrder, tmp_path: Path) -> None:
    """All bits and cycles, from a cleared and from a loaded state."""
    mapping = srnn.map_network(models, RESIDENT_GRID, schedule=schedule)
    rng = np.random.default_rng(1)
    codes = tuple(rng.integers(-128, 128, size=(8, model.input_size), dtype=np.int8) for model in models)
    states = tuple(Reference(model).run(one).state for model, one in zip(models, codes, strict=True))
    sequences = [srnn.IntSequence(codes), srnn.IntSequence(codes, states), srnn.IntSequence(tuple(codes))]
    for compared in srnn.verify(mapping, sequences, "verilator", tmp_path):
        assert compared.mismatches == 0
        assert compared.cycles_simulated == compared.cycles_predicted
        assert compared.outputs.shape == (8, sum(model.output_size for model in models))


def test_networks_of_very_different_depth_do_not_share_a_schedule() -> None:
    with pytest.raises(srnn.SpatialRnnError, match=r"1 and 5 iterations late cannot share a schedule"):
        srnn.map_network([STACK, LSTM], RESIDENT_GRID)


def test_resident_models_take_turns(tmp_path: Path) -> None:
    """Several models, one of them shared by streams; each sequence names its model."""
    groups = [[STACK], [LSTM, LSTM], [SMALL]]
    resident: Deployment = deploy(groups, RESIDENT_GRID)
    rng = np.random.default_rng(1)
    sequences = [
        srnn.IntSequence(
            tuple(rng.integers(-128, 128, size=(4, one.input_size), dtype=np.int8) for one in groups[model]),
            model=model,
        )
        for model in (2, 0, 1, 1, 0, 2)
    ]
    assert all(compared.is_exact for compared in srnn.verify(resident, sequences, "verilator", tmp_path))


def test_simulate_takes_streams() -> None:
    """A batch in the module's layout, or a list; each stream gives the same outputs as alone."""
    module = torch.nn.GRU(5, 6, batch_first=True)
    inputs = torch.randn(3, 7, 5)
    result = srnn.simulate(module, inputs, RESIDENT_GRID, simulator="verilator")
    assert isinstance(result, srnn.SimulationResult)
    assert result.is_exact
    assert (result.streams, result.outputs.shape) == (3, (3, 7, 6))
    with torch.no_grad():
        exact = module(inputs)[0].numpy()
    np.testing.assert_allclose(result.outputs_float, exact, atol=0.02)
    listed = srnn.simulate(module, list(inputs), RESIDENT_GRID, simulator="verilator")
    np.testing.assert_array_equal(listed.outputs, result.outputs)
    with pytest.raises(srnn.SpatialRnnError, match=r"^streams = 2: sequences of 3 and 7 steps cannot run at once"):
        srnn.simulate(module, [inputs[0], inputs[1, :3]], RESIDENT_GRID, streams=2)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Model files and inputs."""
    lstm = torch.nn.LSTM(5, 6)
    srnn.save_network(tmp_path / "lstm.npz", srnn.network_from_torch(lstm))
    both = srnn.network_from_torch(torch.nn.GRU(5, 4, bidirectional=True), torch.nn.Linear(8, 2))
    srnn.save_network(tmp_path / "both.npz", both)
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.normal(size=(6, 5)))
    np.save(tmp_path / "xs.npy", rng.normal(size=(2, 6, 5)))
    return tmp_path


def test_simulate_command(files: Path) -> None:
    done = spatial_rnn("simulate", "--model", "lstm.npz", "--input", "xs.npy", "--streams", 2, *GRID_OPTIONS,
                       "--sim", "verilator", "--json", "r.json", "--outputs", "o.npy", cwd=files)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((files / "r.json").read_text())
    assert (figures["streams"], figures["mismatches"]) == (2, 0)
    together, alone = figures["cycles_per_step_and_stream"], figures["cycles_per_step_of_one_stream_alone"]
    assert together < alone
    assert f"hide latency: {alone:.1f} -> {together:.1f} cycles per step and stream" in done.stdout
    assert np.load(files / "o.npy").shape == (2, 6, 6)
    done = spatial_rnn("simulate", "--model", "both.npz", "--input", "xs.npy", *GRID_OPTIONS, "--sim", "verilator",
                       "--json", "r.json", "--outputs", "o.npy", "--picture", "p.svg", cwd=files)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((files / "r.json").read_text())
    assert [segment["name"] for segment in figures["segments"]] == ["layer 0", "head"]
    assert (figures["streams"], figures["mismatches"]) == (2, 0)
    assert sum(figures["account"].values()) == pytest.approx(figures["cycles_simulated"])
    assert np.load(files / "o.npy").shape == (2, 6, 2)
    text = refusal("simulate", "--model", "lstm.npz", "--input", "x.npy", "--streams", 2, cwd=files)
    assert text == "streams = 2: there is 1 sequence of 6 steps; must divide 1, as so many run at once"


def test_map_command(files: Path) -> None:
    done = spatial_rnn("map", "--model", "lstm.npz", "--model", "both.npz", *GRID_OPTIONS, "-o", "out", "--json",
                       "r.json", cwd=files)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((files / "r.json").read_text())
    assert [(one["model"], one["name"]) for one in figures["models"]] == [
        (0, "lstm"), (1, "both layer 0"), (2, "both head"),
    ]
    for one in figures["models"]:
        assert f"MODEL {one['model']}    {one['name']}: {one['cycles']['total']:,} cycles" in done.stdout
        assert f"units {one['memories_left']['units']:,} of 64" in done.stdout
    left = [one["memories_left"]["weight_depth"] for one in figures["models"]]
    assert left == sorted(left, reverse=True)
    for number in range(3):
        text = (files / "out" / "listing" / f"model_{number}" / "schedule.txt").read_text()
        assert f"header of model {number}" in text
    done = spatial_rnn("map", "--model", "lstm.npz", "--streams", 3, *GRID_OPTIONS, "-o", "streams", cwd=files)
    assert "Streams    3 at once hide latency: " in done.stdout, done.stderr
    text = refusal("map", "--model", "lstm.npz", "--model", "both.npz", "--input", "x.npy", "-o", "no", cwd=files)
    assert text == "1 --input for 2 --model: give one for each, or none"
    done = spatial_rnn("map", "--model", "both.npz", "--streams", 2, *GRID_OPTIONS, "-o", "both", "--picture", "m.svg",
                       "--json", "r.json", cwd=files)
    assert "Streams    2 at once hide latency: " in done.stdout, done.stderr
    assert [one["streams"] for one in json.loads((files / "r.json").read_text())["models"]] == [2, 2]
    spatial_rnn("map", "--model", "lstm.npz", *GRID_OPTIONS, "-o", "lstm", "--picture", "l.svg", cwd=files)
    one, two = (float((files / name).read_text().split('height="')[1].split("pt")[0]) for name in ("l.svg", "m.svg"))
    assert two == pytest.approx(2 * one), "a panel for each of the two models"


def test_a_slowdown_is_not_called_a_gain() -> None:
    prepared = srnn.prepare(srnn.network_from_torch(torch.nn.GRU(5, 6)), grid=RESIDENT_GRID, streams=2)
    for cycles, text in ((1, "2 at once hide latency: "), (10**6, "2 at once bring nothing: ")):
        printed = io.StringIO()
        figures = streams_line(prepared, cycles, 10, Console(file=printed, width=200))
        assert text in printed.getvalue()
        assert figures["cycles_per_step_and_stream"] == cycles / 20
