"""The Silero voice-activity detector: its LSTM as a network, its encoder and decoder in onnxruntime; its task.

The model is silero_vad_16k_sequence.onnx of the silero-vad package (MIT licence). The safetensors file beside it holds
another checkpoint. The task is to decide which frames of spoken sentences are speech.
"""

from __future__ import annotations

from collections import abc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import onnx

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.imported import Selection
from rnn_mapper.importers.onnx.load import load_onnx
from rnn_mapper.network.tensors import FloatArray, check_inputs, check_tensor
from rnn_mapper.pretrained import speech
from rnn_mapper.pretrained.model import Quantised, RealModel
from rnn_mapper.pretrained.onnx_sessions import part_session, session
from rnn_mapper.pretrained.outcome import Accuracy, Facts, Task
from rnn_mapper.pretrained.packages import REQUIREMENTS, package_file
from rnn_mapper.quantisation.accuracy import compare_with_float
from rnn_mapper.quantisation.reference import run_model
from rnn_mapper.report.quantisation import DRIFT_STEPS

__all__ = ["FRAME", "SAMPLE_RATE", "THRESHOLD", "Decisions", "SileroTask", "SileroVad", "scene"]

#: Samples per second of the audio.
SAMPLE_RATE = 16000
#: Samples per decision.
FRAME = 512
#: Probability above which a frame counts as speech, as in Silero's own examples.
THRESHOLD = 0.5

#: Sentences that set the scale of the LSTM's inputs, and sentences that are judged.
CALIBRATION = ("The quick brown fox jumps over the lazy dog.", "She sells sea shells by the sea shore.")
SPOKEN = (
    "A trained recurrent network runs on a generated grid, bit for bit and cycle for cycle.",
    "Please call Stella, and ask her to bring these things with her from the store.",
    "How much wood would a woodchuck chuck, if a woodchuck could chuck wood?",
    "Six spoons of fresh snow peas, five thick slabs of blue cheese, and maybe a snack for her brother Bob.",
)
#: Voices of espeak-ng.
VOICES = ("en", "en-us+f3", "en-gb-scotland+m3")

_CONTEXT = 64  # samples of the previous frame that the encoder sees
_BLOCK = 256  # frames per encoder call, bounds its memory
_LSTM_INPUT = "/Transpose_output_0"
_LSTM_OUTPUT = "/recurrent/LSTM_output_0"
_PAUSE = SAMPLE_RATE // 2
_LOUD = 0.01  # RMS of a frame above which something is being said
_SIMULATED = 24  # frames


class SileroVad:
    """The detector in three parts: ``probabilities(audio) == decode(LSTM(encode(audio)))``.

    Reads the installed package, or one unpacked at `directory`. Raises ToolError or ModelError if it is not there.
    """

    def __init__(self, directory: str | Path | None = None) -> None:
        path = package_file("silero_vad", "data/silero_vad_16k_sequence.onnx", directory)
        try:
            model = onnx.load(str(path))
        except Exception as error:  # protobuf's and the system's, undocumented
            raise ModelError(f"{path}: is not an ONNX model ({type(error).__name__})") from None
        #: The LSTM, 128 inputs and 128 hidden units.
        self.network = load_onnx(path, Selection(start=_LSTM_INPUT, stop=_LSTM_OUTPUT)).network
        self._encoder = part_session(model, ["input"], [_LSTM_INPUT])
        self._decoder = part_session(model, [_LSTM_OUTPUT], ["speech_probs"])
        self._whole = session(model)

    def encode(self, audio: npt.ArrayLike) -> FloatArray:
        """The LSTM's inputs [frames, 128] of 16 kHz audio [samples] in -1..1; the last frame is padded with zeros."""
        frames = _frames(audio)
        blocks = [frames[i : i + _BLOCK] for i in range(0, len(frames), _BLOCK)]
        encoded = [self._encoder.run(None, {"input": block})[0] for block in blocks]
        return np.concatenate(encoded).reshape(len(frames), -1).astype(np.float64)

    def decode(self, h: FloatArray) -> FloatArray:
        """Speech probability of every frame [frames] from the LSTM's outputs [frames, 128]."""
        h = check_inputs(h, self.network.hidden_size, "h")
        sequence = h.astype(np.float32)[:, None, None]  # ONNX: steps, directions, batch, hidden
        return np.asarray(self._decoder.run(None, {_LSTM_OUTPUT: sequence})[0], dtype=np.float64).reshape(-1)

    def probabilities(self, audio: npt.ArrayLike) -> FloatArray:
        """Speech probability of every frame [frames] by the original model as a whole."""
        zeros = np.zeros((1, 1, self.network.hidden_size), dtype=np.float32)
        result = self._whole.run(["speech_probs"], {"input": _frames(audio), "h": zeros, "c": zeros})
        return np.asarray(result[0], dtype=np.float64).reshape(-1)


def _frames(audio: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """[frames, context + frame]: each frame behind the end of the previous one, the first behind zeros."""
    samples = check_tensor("audio", audio, 1)
    count = -(-len(samples) // FRAME)
    padded = np.zeros(_CONTEXT + count * FRAME, dtype=np.float32)
    padded[_CONTEXT : _CONTEXT + len(samples)] = samples
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(padded, _CONTEXT + FRAME)[::FRAME])


def scene(sentences: Sequence[str], voice: str) -> tuple[FloatArray, FloatArray]:
    """The sentences with pauses of half a second around them, and the same with faint noise, [samples]."""
    pause = np.zeros(_PAUSE)
    clean = np.concatenate([pause, *(part for text in sentences for part in (speech.speak(text, voice), pause))])
    return clean, clean + 1e-3 * np.random.default_rng(1).standard_normal(len(clean))


@dataclass(frozen=True, eq=False)
class Decisions:
    """Speech probability of every frame [frames], by the original model and with the LSTM in the grid's integers."""

    original: FloatArray
    grid: FloatArray

    @property
    def flipped(self) -> int:
        """Frames whose decision differs from the original model's."""
        return int(((self.original > THRESHOLD) != (self.grid > THRESHOLD)).sum())


class SileroTask(RealModel):
    """Which frames of 32 ms are speech: every sentence is spoken by every voice."""

    facts: ClassVar[Facts] = Facts(
        "silero", "Silero VAD", REQUIREMENTS["silero_vad"], "MIT", "LSTM 128", "medium", "32 ms of speech", 0.010, 0.055
    )

    def __init__(
        self, calibration: Sequence[str] = CALIBRATION, spoken: Sequence[str] = SPOKEN, voices: Sequence[str] = VOICES
    ) -> None:
        self.model = SileroVad()
        self.networks = {"lstm": self.model.network}
        self.spoken, self.voices = spoken, voices
        self._calibration = calibration

    def calibration(self) -> abc.Mapping[str, FloatArray]:
        audio = [scene(self._calibration, voice)[1] for voice in self.voices]
        return {"lstm": np.concatenate([self.model.encode(one) for one in audio])}

    def example(self) -> abc.Mapping[str, FloatArray]:
        # From within the first sentence, so that the detector decides both ways.
        return {"lstm": self.model.encode(scene(self.spoken[:1], self.voices[0])[1])[:_SIMULATED]}

    def audio(self) -> tuple[FloatArray, FloatArray]:
        """The judged sentences by all voices, without and with noise, [samples]."""
        clean, noisy = zip(*(scene(self.spoken, voice) for voice in self.voices), strict=True)
        return np.concatenate(clean), np.concatenate(noisy)

    def decide(self, audio: FloatArray, h: FloatArray) -> Decisions:
        """Both decisions on `audio`; `h` [frames, 128] are the outputs of the LSTM in integers, in real units."""
        return Decisions(self.model.probabilities(audio), self.model.decode(h))

    def accuracy(self, quantised: Quantised) -> Accuracy:
        network = quantised["lstm"]
        clean, audio = self.audio()
        inputs = self.model.encode(audio)
        (error,) = compare_with_float(self.model.network, network, inputs)
        decisions = self.decide(audio, run_model(network, inputs).layer_outputs[-1])
        wanted, got = decisions.original > THRESHOLD, decisions.grid > THRESHOLD
        frames = np.zeros((len(inputs), FRAME))
        frames.reshape(-1)[: len(clean)] = clean
        said = np.sqrt(np.mean(frames**2, axis=1)) > _LOUD
        repeated = np.tile(inputs, (-(-DRIFT_STEPS // len(inputs)), 1))
        (long,) = compare_with_float(self.model.network, network, repeated)
        task = Task(
            metric="frames correct", unit=" %", more_is_better=True,
            original=100 * float(np.mean(wanted == said)), grid=100 * float(np.mean(got == said)),
            change="decisions flipped", change_unit=" %", changed=100 * float(np.mean(got != wanted)), bound=0.25,
        )
        note = f"{wanted.sum()} of {len(wanted)} frames are speech to the original, {decisions.flipped} flipped"
        return Accuracy(len(inputs), error, (error,), task, long.drift, len(repeated), note)
