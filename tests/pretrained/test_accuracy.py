"""Accuracy of the integers on real trained networks, with the bounds by which the arithmetic was chosen."""

import io
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

from hdl.numerics import Arithmetic
from rnn_mapper.errors import ModelError, ToolError
from rnn_mapper.network.float_reference import run_float
from rnn_mapper.pretrained import speech
from rnn_mapper.pretrained.g2p import (
    LETTERS,
    MAX_PHONEMES,
    PHONEMES,
    G2pEn,
    G2pTask,
    float_runner,
    integer_runner,
    spell,
    word_list,
)
from rnn_mapper.pretrained.packages import package_file
from rnn_mapper.pretrained.silero import FRAME, SileroVad
from rnn_mapper.quantisation.accuracy import compare_with_float, measure_error
from rnn_mapper.quantisation.codes import quantise_inputs
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.quantisation.reference import Reference

SPOKEN = (
    "A trained recurrent network runs on a generated grid, bit for bit and cycle for cycle.",
    "Please call Stella, and ask her to bring these things with her from the store.",
    "How much wood would a woodchuck chuck, if a woodchuck could chuck wood?",
)


@pytest.fixture(scope="module")
def silero() -> SileroVad:
    return SileroVad()


@pytest.fixture(scope="module")
def g2p() -> G2pEn:
    return G2pEn()


@pytest.fixture(scope="module")
def g2p_quantised() -> tuple[QuantisedNetwork, QuantisedNetwork]:
    task = G2pTask()
    (encoder,), (decoder,) = task.members(task.quantise())
    return encoder, decoder


def scene(*sentences: str) -> np.ndarray:
    """Sentences with half a second of faint noise after each."""
    audio = np.concatenate([part for text in sentences for part in (speech.speak(text), np.zeros(8000))])
    return audio + 1e-3 * np.random.default_rng(1).standard_normal(len(audio))


def test_silero_in_parts_equals_the_original(silero: SileroVad) -> None:
    audio = scene(*SPOKEN)
    inputs = silero.encode(audio)
    assert inputs.shape == (-(-len(audio) // FRAME), 128)
    whole = silero.probabilities(audio)
    parts = silero.decode(run_float(silero.network, inputs).outputs)
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-5)
    assert 0.5 < (whole > 0.5).mean() < 0.95


def test_operands_of_16_bits_are_more_exact(silero: SileroVad) -> None:
    """The gain from the wider operands (docs/numerics.md); the rest of the error comes from the 8-bit weights."""
    typical, spoken = silero.encode(scene(SPOKEN[0])), silero.encode(scene(*SPOKEN[1:]))
    narrow, wide = (
        compare_with_float(silero.network, quantise(silero.network, typical, arithmetic), spoken)[0]
        for arithmetic in (Arithmetic(), Arithmetic(accumulator_bits=36, operand_bits=16))
    )
    assert wide.rms <= 0.0065
    assert wide.rms <= 0.8 * narrow.rms
    assert wide.p999 < narrow.p999


def test_silero_from_a_directory() -> None:
    network = SileroVad(package_file("silero_vad", "__init__.py").parent).network
    assert (network.input_size, network.hidden_size, len(network.layers), network.head) == (128, 128, 1, None)


def test_g2p_pronounces_in_float(g2p: G2pEn) -> None:
    run = float_runner(g2p.encoder), float_runner(g2p.decoder)
    spoken = {word: spell(g2p.pronounce(word, *run)) for word in ("activationist", "grid")}
    # The first is the example in the package's own documentation.
    assert spoken == {"activationist": "AE2 K T IH0 V EY1 SH AH0 N IH0 S T", "grid": "G R IH1 D"}
    assert (len(LETTERS), len(PHONEMES)) == (len(g2p.letter_embedding), len(g2p.phoneme_embedding))


def test_g2p_scores(g2p: G2pEn, g2p_quantised: tuple[QuantisedNetwork, QuantisedNetwork]) -> None:
    """The outputs of the decoder's head on the float model's choices, within its calibrated position."""
    words = sorted(word_list())[::12]
    float_run = float_runner(g2p.encoder), float_runner(g2p.decoder)
    encoder, decoder = map(Reference, g2p_quantised)
    wanted, got = [], []
    for word in words:
        letters, phonemes = g2p.encoder_inputs(word), g2p.decoder_inputs(g2p.pronounce(word, *float_run))
        state = encoder.run(quantise_inputs(encoder.network, letters)).state
        trace = decoder.run(quantise_inputs(decoder.network, phonemes), state)
        wanted.append(run_float(g2p.decoder, phonemes, run_float(g2p.encoder, letters).state).outputs)
        got.append(trace.outputs * decoder.network.output_scale)
        assert not trace.saturations[-1], f"the scores of '{word}' exceed the calibrated position"
    assert measure_error("scores", np.concatenate(wanted), np.concatenate(got)).rms <= 0.1


def test_g2p_decoder_sequence_equals_its_steps(
    g2p: G2pEn, g2p_quantised: tuple[QuantisedNetwork, QuantisedNetwork]
) -> None:
    """Fed its own choices as one sequence, the decoder chooses them again, so a simulation can run it as a whole."""
    encoder, decoder = map(Reference, g2p_quantised)
    lengths = []
    for word in ("accelerator", "a", "pneumonoultramicroscopicsilicovolcanoconiosis"):
        chosen = g2p.pronounce(word, *map(integer_runner, g2p_quantised))
        state = encoder.run(quantise_inputs(encoder.network, g2p.encoder_inputs(word))).state
        inputs = g2p.decoder_inputs(chosen)
        scores = decoder.run(quantise_inputs(decoder.network, inputs), state).outputs
        end = [PHONEMES.index("</s>")] if len(chosen) < MAX_PHONEMES else []
        assert scores.argmax(axis=1).tolist() == chosen + end
        lengths.append(len(chosen))
    assert lengths[-1] == MAX_PHONEMES


def test_unknown_letters() -> None:
    g2p = G2pEn()
    assert (g2p.encoder_inputs("é")[0] == g2p.letter_embedding[1]).all()


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"^package g2p_en is missing: pip install --no-deps g2p-en==2\.1\.0$"):
        G2pEn()
    with pytest.raises(ModelError, match=r"silero_vad_16k_sequence\.onnx: no such file, must be that of silero-vad"):
        SileroVad(tmp_path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "checkpoint20.npz", enc_w_ih=np.ones(3))
    with pytest.raises(ModelError, match=r"tensor enc_w_hh is missing, must be the file of g2p-en$"):
        G2pEn(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "silero_vad_16k_sequence.onnx").write_bytes(b"\xff" * 100)
    with pytest.raises(ModelError, match=r"is not an ONNX model"):
        SileroVad(tmp_path)


def test_packages_are_not_imported() -> None:
    code = (
        "import sys; from rnn_mapper.pretrained.silero import SileroVad; from rnn_mapper.pretrained.g2p import G2pEn; "
        "SileroVad(); G2pEn(); "
        "assert not {'torch', 'silero_vad', 'g2p_en', 'nltk'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def wav(rate: int, samples: np.ndarray, channels: int = 1) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(samples * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 48000])
def test_wav_files_of_any_rate(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "tone.wav"
    path.write_bytes(wav(rate, 0.5 * np.sin(2 * np.pi * 1000 * np.arange(rate) / rate)))
    audio = speech.read_wav(path)
    np.testing.assert_allclose(audio, 0.5 * np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000), atol=1e-3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no audio", "is not a PCM WAV file (file does not start with RIFF id)"),
        (wav(16000, np.zeros(4), 2), "has 2 channels of 16 bits, must be mono of 8, 16, 24 or 32 bits"),
        (wav(16000, np.zeros(0)), "holds no samples, must hold at least one"),
    ],
)
def test_other_audio_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "audio.wav"
    path.write_bytes(content)
    with pytest.raises(ModelError) as error:
        speech.read_wav(path)
    assert str(error.value) == f"{path}: {message}"


def test_missing_espeak_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match=r"^espeak-ng is missing: apt-get install espeak-ng$"):
        speech.speak("hello")


def test_failing_espeak_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "espeak-ng").write_text("#!/bin/sh\necho no data files >&2\nexit 1\n")
    (tmp_path / "espeak-ng").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"^espeak-ng failed: no data files$"):
        speech.speak("hello")


def test_torch_agrees_with_silero_gate_order(silero: SileroVad) -> None:
    layer = silero.network.single_layers[0]
    module = torch.nn.LSTM(128, 128).double()
    w, u, b = (np.concatenate([layer.tensors[f"{kind}_{gate}"] for gate in "ifgo"]) for kind in "WUb")
    tensors = {"weight_ih_l0": w, "weight_hh_l0": u, "bias_ih_l0": b, "bias_hh_l0": np.zeros_like(b)}
    module.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()})
    inputs = silero.encode(scene("Hello there."))
    with torch.no_grad():
        h = module(torch.from_numpy(inputs))[0].numpy()
    np.testing.assert_allclose(run_float(silero.network, inputs).outputs, h, rtol=0, atol=1e-9)
