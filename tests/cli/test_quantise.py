"""`spatial-rnn quantise`, its report, and metrics: against counts and figures computed by hand."""

from __future__ import annotations

import json
import wave
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnn_mapper import cells
from rnn_mapper.importers.native import load_network, save_network
from rnn_mapper.network.float_reference import run_float
from rnn_mapper.network.layers import Bidirectional, Dense
from rnn_mapper.network.network import Network
from rnn_mapper.quantisation import reference
from rnn_mapper.quantisation.accuracy import compare_with_float, run_both
from rnn_mapper.quantisation.calibration import Method, ScaleRule
from rnn_mapper.quantisation.codes import quantise_inputs
from rnn_mapper.quantisation.integer_network import prove_accumulators
from rnn_mapper.quantisation.quantise import quantise, quantise_model
from rnn_mapper.quantisation.reference import run_model, run_reference
from rnn_mapper.report.quantisation import narrowed_values, report_on
from tests.support.cli_runner import Run
from tests.support.random_networks import ALL_CELLS, random_network

METRICS = """
import numpy as np
calls = []
def share(outputs, reference, inputs):
    assert outputs.dtype == reference.dtype == inputs.dtype == np.float64
    print("the report must not hold this")
    calls.append((outputs.copy(), reference.copy(), inputs.copy()))
    np.save(f"call{len(calls)}.npy", np.concatenate([outputs.ravel(), reference.ravel(), inputs.ravel()]))
    outputs[:] = 7  # harms nobody
    return float((calls[-1][0].argmax(-1) == reference.argmax(-1)).mean())
def several(outputs, reference, inputs):
    with np.errstate(divide="ignore"):
        return {"worst": abs(outputs - reference).max(), "db": np.log10(1 / ((outputs - reference) ** 2).mean())}
def fails(outputs, reference, inputs):
    return helper(outputs)
def helper(values):
    return values[0] / "2"
def text(outputs, reference, inputs):
    return {"good": 1, "bad": "yes"}
def whole(outputs, reference, inputs):
    return outputs
def nothing(outputs, reference, inputs):
    return {}
def other_names(outputs, reference, inputs):
    return {"same": 1.0} if (outputs == reference).all() else {"different": 0.0}
NUMBER = 3
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Starts in a folder with gru.npz (two layers and a head), both.npz (bidirectional), x.npy and metrics.py."""
    save_network(tmp_path / "gru.npz", random_network(2, cells.gru, 5, (6, 4), 3))
    save_network(tmp_path / "both.npz", bidirectional())
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_t(3, size=(120, 5)))
    (tmp_path / "metrics.py").write_text(METRICS)
    monkeypatch.chdir(tmp_path)
    return Run(capsys)


def bidirectional() -> Network:
    forward, backward = (random_network(seed, cells.lstm, 5, (6,)).single_layers[0] for seed in (1, 2))
    return Network((Bidirectional(forward, backward), random_network(3, cells.gru, 12, (7,)).layers[0]),
                                Dense(np.random.default_rng(0).normal(size=(2, 7))))


def test_the_report_holds_the_figures_of_both_references(run: Run) -> None:
    text = run("quantise", "--model", "gru.npz", "--input", "x.npy", "--json", "r.json", "--picture", "e.svg",
               "--accumulator-bits", 24, "--calibration-method", "percentile", "--percentile", 99)
    values = json.loads(Path("r.json").read_text())
    network, inputs = load_network("gru.npz"), np.load("x.npy")
    quantised = quantise(network, inputs, rule=ScaleRule(Method.PERCENTILE, 99))
    errors = compare_with_float(network, quantised, inputs)
    assert (values["steps"], values["sequences"], values["accumulator_bits"]) == (120, [120], 24)
    for layer, error in zip(values["layers"], errors, strict=True):
        assert layer["name"] == error.name
        assert layer["error"]["rms"] == pytest.approx(error.rms)
        assert layer["error"]["snr_db"] == pytest.approx(20 * np.log10(error.signal_rms / error.rms))
        assert (layer["error"]["max"], layer["error"]["drift"]) == pytest.approx((error.max, error.drift))
        assert f"{error.rms:.5f}" in text
    assert [one["product"] for one in values["products"]] == list(quantised.products())
    for one, bound in zip(values["products"], prove_accumulators(quantised), strict=True):
        assert (one["worst"], one["bits"], one["margin"]) == (bound.worst, bound.bits, 24 - bound.bits)
        scales = quantised.products()[bound.product].row_scale
        assert list(one["row_scales"].values()) == pytest.approx([scales.min(), np.median(scales), scales.max()])
    (made,) = values["calibration"]
    assert (made["method"], made["automatic"]) == ("percentile", False)
    assert set(made["compared"]["errors"]) == {"minmax", "percentile 99.99", "percentile 99.9", "percentile 99", "mse"}
    assert made["compared"]["errors"]["percentile 99"] == pytest.approx(errors[-1].rms)
    assert "(taken" in text
    assert "judged from 5,000 steps on, this run has 120" in text
    assert Path("e.svg").read_text().count("signal, RMS") <= 1
    assert "metric" not in values


def test_errors_per_step_are_told_by_stretches(run: Run) -> None:
    run("quantise", "--model", "gru.npz", "--input", "x.npy", "--json", "r.json")
    network, inputs = load_network("gru.npz"), np.load("x.npy")
    quantised = quantise(network, inputs)
    got = run_reference(quantised, quantise_inputs(quantised, inputs)).outputs * quantised.output_scale
    wanted = run_float(network, inputs).outputs
    windows = json.loads(Path("r.json").read_text())["layers"][-1]["windows"]
    assert len(windows) == 100
    steps = [step for window in windows for step in range(window["first"], window["last"] + 1)]
    assert steps == list(range(120))
    for window in windows:
        part = slice(window["first"], window["last"] + 1)
        error = (got - wanted)[part]
        assert window["rms"] == pytest.approx(np.sqrt((error**2).mean()))
        assert window["max"] == pytest.approx(np.abs(error).max())
        assert window["signal_rms"] == pytest.approx(np.sqrt((wanted[part] ** 2).mean()))


def test_formats_and_ranges(run: Run) -> None:
    run("quantise", "--model", "both.npz", "--input", "x.npy", "--json", "r.json")
    layers = json.loads(Path("r.json").read_text())["layers"]
    assert [layer["name"] for layer in layers] == ["layer 0 forward", "layer 0 backward", "layer 1", "head"]
    inputs = np.load("x.npy")
    x, h, c = layers[1]["vectors"]
    assert (x["name"], x["low"], x["high"], x["words"]) == ("x", inputs.min(), inputs.max(), None)
    assert x["operand_scale"] == pytest.approx(np.abs(inputs).max() / 127)
    assert (h["name"], h["words"], h["operand"], h["operand_scale"]) == ("h, output", "Q0.15", "Q0.7", 2**-7)
    assert (c["name"], c["words"], c["operand"]) == ("c", "Q5.10", None)
    backward = run_float(Network((bidirectional().layers[0].backward,)), inputs[::-1])  # type: ignore[union-attr]
    assert (h["low"], h["high"]) == (backward.outputs.min(), backward.outputs.max())
    head = quantise_model(bidirectional(), inputs).segments[-1].members[0].head
    assert head is not None
    scores = layers[3]["vectors"][1]
    assert scores["words"] == f"Q{15 - head.output_fraction}.{head.output_fraction}"
    assert layers[3]["vectors"][0]["operand"] == "Q0.7"


def test_a_bidirectional_network_ends_with_the_errors_of_its_outputs(run: Run) -> None:
    run("quantise", "--model", "both.npz", "--input", "x.npy", "--json", "r.json", "--metric", "metrics.py:several")
    values = json.loads(Path("r.json").read_text())
    inputs, network = np.load("x.npy"), bidirectional()
    quantised = quantise_model(network, inputs)
    error = run_model(quantised, inputs).outputs * quantised.output_scale
    error -= run_float(network, inputs).outputs
    assert values["layers"][-1]["error"]["rms"] == pytest.approx(np.sqrt(np.mean(error**2)))
    assert values["metric"]["worst"] == {"float": 0.0, "grid": pytest.approx(np.abs(error).max())}
    assert values["metric"]["db"]["float"] is None, "infinite"


class _Counting:
    """Replaces `reference._saturate` and counts the values that pass through, with their shape."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.limited: Counter[str] = Counter()

    def __call__(self, value: Any, bits: int, counts: Counter[str], name: str) -> Any:
        low, high = -(1 << bits - 1), (1 << bits - 1) - 1
        self.seen[name] += np.size(value)
        self.limited[name] += int(((value < low) | (value > high)).sum())
        return np.clip(value, low, high)


@pytest.mark.parametrize("cell", ALL_CELLS, ids=lambda cell: cell.name)
def test_narrowings_are_counted(cell: cells.Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a count at the only place where the reference narrows values."""
    network = Network((random_network(0, cell, 5, (6,), scale=2.5).layers[0],))
    inputs = 4 * np.random.default_rng(0).normal(size=(30, 5))
    quantised = quantise(network, inputs[:2] / 8)
    report = report_on(run_both(network, quantised, [inputs, inputs[::-1]])).layers[0]
    counting = _Counting()
    monkeypatch.setattr(reference, "_saturate", counting)
    codes = [quantise_inputs(quantised, one) for one in (inputs, inputs[::-1])]
    for one in codes:
        run_reference(quantised, one)
    inside = {one.label: (one.count, one.of) for one in report.limited if one.label not in ("input", "output")}
    assert {label: of for label, (_, of) in inside.items()} == dict(counting.seen)
    assert {label: count for label, (count, _) in inside.items()} == {
        label: counting.limited[label] for label in counting.seen
    }
    first = report.limited[0]
    clipped = sum(int((np.abs(np.rint(inputs / quantised.input_scale)) > 127).sum()) for _ in codes)
    assert (first.label, first.count, first.of) == ("input", clipped, 300)
    assert clipped
    assert sum(narrowed_values(quantised.layers[0], 60).values()) == sum(counting.seen.values())


def test_operands_of_the_layer_above_are_counted() -> None:
    network = Network((Dense(np.ones((3, 4))), Dense(np.ones((1, 3)))))
    inputs = np.random.default_rng(0).standard_t(2, size=(200, 4))
    quantised = quantise(network, inputs, rule=ScaleRule(Method.PERCENTILE, 60))
    shift = quantised.layers[0].feedback_shift
    assert shift is not None
    words = run_reference(quantised, quantise_inputs(quantised, inputs)).layer_outputs[0].tolist()
    wanted = sum(not -128 <= (word + 2 ** (shift - 1)) // 2**shift <= 127 for row in words for word in row)
    above = report_on(run_both(network, quantised, [inputs])).layers[0].limited[-1]
    assert (above.label, above.count, above.of) == ("output", wanted, 600)
    assert wanted


def test_drift_is_judged_over_long_sequences() -> None:
    network = random_network(0, cells.rnn_tanh, 1, (3,))
    rng = np.random.default_rng(0)
    calm, wild = rng.normal(size=(2500, 1)) / 10, rng.normal(size=(2500, 1)) * 30
    quantised = quantise(network, calm)
    assert report_on(run_both(network, quantised, [np.concatenate([calm, wild])])).drifting == ("layer 0",)
    assert report_on(run_both(network, quantised, [np.concatenate([calm, calm])])).drifting == ()
    short = report_on(run_both(network, quantised, [np.concatenate([calm, wild])[1:]]))
    assert (short.is_judged_for_drift, short.drifting) == (False, ())
    assert short.layers[0].error.drift > 1.5


def test_streams_and_start_states_each_run_on_their_own() -> None:
    network = random_network(2, cells.gru, 5, (6,))
    streams = list(np.random.default_rng(0).normal(size=(3, 20, 5)))
    quantised = quantise(network, streams[0])
    start = [{"h": np.full(6, 0.5)}]
    together = report_on(run_both(network, quantised, streams, start))
    alone = [compare_with_float(network, quantised, one, start)[0] for one in streams]
    assert together.lengths == (20, 20, 20)
    assert together.layers[0].error.rms == pytest.approx(np.sqrt(np.mean([one.rms**2 for one in alone])))
    assert together.layers[0].error.max == max(one.max for one in alone)
    cleared = report_on(run_both(network, quantised, streams))
    assert cleared.layers[0].error.rms != together.layers[0].error.rms


@pytest.mark.parametrize("streams", [1, 2])
def test_a_metric_gets_what_is_promised(run: Run, streams: int) -> None:
    text = run("quantise", "--model", "gru.npz", *["--input", "x.npy"] * streams, "--json", "-",
               "--metric", "metrics.py:share")
    values = json.loads(text)
    network, inputs = load_network("gru.npz"), np.load("x.npy")
    quantised = quantise(network, np.concatenate([inputs] * streams))
    got = run_reference(quantised, quantise_inputs(quantised, inputs)).outputs * quantised.output_scale
    wanted = run_float(network, inputs).outputs
    calls = [np.load(f"call{number}.npy") for number in (1, 2)]
    assert not Path("call3.npy").exists()
    for call, outputs in zip(calls, (wanted, got), strict=True):
        parts = [np.stack([one] * streams).ravel() for one in (outputs, wanted, inputs)]
        np.testing.assert_array_equal(call, np.concatenate(parts))
    share = float((got.argmax(1) == wanted.argmax(1)).mean())
    assert values["metric"] == {"share": {"float": 1.0, "grid": share}}
    assert "the report must not hold this" in run.errors


def test_simulate_judges_what_came_out_of_the_grid(run: Run) -> None:
    np.save("x.npy", np.load("x.npy")[:4])
    run("simulate", "--model", "gru.npz", "--input", "x.npy", "--metric", "metrics.py:several", "--json", "r.json",
        "--outputs", "y.npy", "--calibration-method", "auto")
    values = json.loads(Path("r.json").read_text())
    network, inputs = load_network("gru.npz"), np.load("x.npy")
    quantised = quantise(network, inputs, rule=ScaleRule(Method.AUTO))
    assert values["calibration"] == [quantised.choice.to_json()]
    error = np.load("y.npy") * quantised.output_scale - run_float(network, inputs).outputs
    assert values["metric"]["worst"]["grid"] == pytest.approx(np.abs(error).max())


def test_map_takes_a_method_and_sound(run: Run, tmp_path: Path) -> None:
    with wave.open("speech.wav", "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        samples = (1000 * np.random.default_rng(0).standard_t(2, size=2000)).clip(-32768, 32767)
        file.writeframes(samples.astype("<i2").tobytes())
    arguments = ("map", "--model", "gru.npz", "--input", "speech.wav", "-o", "out")
    text = run(*arguments, "--calibration-method", "percentile", "--percentile", 98, "--json", "r.json")
    (chosen,) = json.loads(Path("r.json").read_text())["calibration"]
    assert (chosen["method"], chosen["percentile"]) == ("percentile", 98.0)
    assert "Scales     percentile 98: as requested" in text
    assert json.loads(Path("r.json").read_text())["steps"] == 400
    refused = run.refusal(*arguments, "--force", "--rate", 16000)
    assert refused == "speech.wav: has 8000 samples per second, must have 16000"


REFUSALS = {
    ("--metric", "metrics.py:fails"): "metrics.py:17: TypeError: ",
    ("--metric", "metrics.py:text"): "metrics.py: text returns str as 'bad', must return a number or a dict of numbers",
    ("--metric", "metrics.py:whole"):
        "metrics.py: whole returns ndarray as 'whole', must return a number or a dict of numbers",
    ("--metric", "metrics.py:nothing"): "metrics.py: nothing returns no figure, must return a number or more",
    ("--metric", "metrics.py:other_names"):
        "metrics.py: other_names returns same for floating point and different for the integers, must return the same",
    ("--metric", "metrics.py:NUMBER"): "metrics.py: defines no function NUMBER; it defines share, several, fails",
    ("--metric", "metrics.py"): "--metric metrics.py: must be FILE.py:function",
    ("--metric", "no.py:f"): "no.py: no such file, must be a Python file",
    ("--metric", "broken.py:f"): "broken.py:2: ",
    ("--calibration", "zeros.npy"): "calibration holds only zeros: no scale of the inputs follows from it",
    ("--calibration", "narrow.npy"): "narrow.npy: inputs has shape 9 x 4, must have 5 features per step",
    ("--calibration", "nan.npy"): "nan.npy: inputs[2, 1] is nan, must be finite",
    ("--calibration", "text.wav"): "text.wav: is not a PCM WAV file",
    ("--percentile", "20"): "percentile is 20, must be above 50 and at most 100",
    ("--picture", "e.pdf"): "--picture e.pdf: the name must end in .svg or .png",
}


@pytest.mark.parametrize("arguments", REFUSALS)
def test_wrong_input_is_one_line(run: Run, arguments: tuple[str, str]) -> None:
    np.save("zeros.npy", np.zeros((9, 5)))
    np.save("narrow.npy", np.ones((9, 4)))
    values = np.ones((9, 5))
    values[2, 1] = np.nan
    np.save("nan.npy", values)
    Path("broken.py").write_text("x = 1\ndef f(:\n")
    Path("text.wav").write_text("no sound")
    np.save("x.npy", np.load("x.npy")[:10])
    refused = run.refusal("quantise", "--model", "gru.npz", "--input", "x.npy", "--json", "r.json", *arguments)
    assert refused.startswith(REFUSALS[arguments])
    assert not Path("r.json").exists()
