"""Speech in, decisions out: Silero's voice-activity detector with its LSTM on the grid."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hdl.parameters import load_parameters
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.network.tensors import FloatArray
from rnn_mapper.pretrained import speech
from rnn_mapper.pretrained.silero import FRAME, SAMPLE_RATE, SileroVad
from rnn_mapper.quantisation.accuracy import LayerError, compare_with_float
from rnn_mapper.quantisation.codes import quantise_inputs
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.run.result import Comparison, IntSequence
from rnn_mapper.run.simulate import verify

__all__ = ["PRESET", "SpeechDemo", "run_speech"]

PRESET = "medium"
#: Spoken to set the scale of the inputs, and spoken to be judged; they share no sentence.
CALIBRATION = ("The quick brown fox jumps over the lazy dog.", "Nine voluble wizards examined azure joys.")
SPOKEN = ("A recurrent network runs on a spatial accelerator.", "Every bit and every cycle is as predicted.")
#: Probability above which a frame counts as speech, as in Silero's own examples.
THRESHOLD = 0.5


@dataclass(frozen=True, eq=False)
class SpeechDemo:
    """The result."""

    #: Preset of the grid.
    grid: str
    mapping: Mapping
    comparison: Comparison
    error: LayerError
    #: [frames], by the original model and by the one whose LSTM ran on the grid.
    wanted: FloatArray
    got: FloatArray
    seconds: float

    @property
    def changed(self) -> int:
        """Frames whose decision differs from the original model's."""
        return int(((self.wanted > THRESHOLD) != (self.got > THRESHOLD)).sum())

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        frames = len(self.wanted)
        return {
            "model": "silero-vad 6.2.3, LSTM 128 -> 128",
            "grid": self.grid,
            "frames": frames,
            "seconds_of_audio": frames * FRAME / SAMPLE_RATE,
            "outputs": int(self.comparison.outputs.size),
            "mismatches": self.comparison.mismatches,
            "cycles_predicted": self.comparison.cycles_predicted,
            "cycles_simulated": self.comparison.cycles_simulated,
            "cycles_per_step": self.comparison.cycles_simulated / frames,
            "utilisation": self.comparison.prediction.utilisation,
            "account": dict(vars(self.comparison.prediction.account)),
            "h_rms_error": self.error.rms,
            "frames_of_speech": int((self.got > THRESHOLD).sum()),
            "decisions_changed": self.changed,
            "build_seconds": self.comparison.build_seconds,
            "run_seconds": self.comparison.run_seconds,
            "seconds": self.seconds,
        }


def run_speech(folder: Path, progress: Callable[[str], None], preset: str = PRESET) -> SpeechDemo:
    """Encoder and decoder in onnxruntime, the LSTM in Verilator. Raises the errors of `hdl.errors`."""
    started = time.perf_counter()
    detector = SileroVad()
    parameters = load_parameters(preset)
    typical = detector.encode(_scene(CALIBRATION))
    quantised = quantise(detector.network, typical, parameters.arithmetic)
    mapping = map_network(quantised, parameters)
    audio = _scene(SPOKEN)
    inputs = detector.encode(audio)
    sequence = IntSequence(quantise_inputs(quantised, inputs))
    comparison = verify(mapping, [sequence], "verilator", folder, progress=progress)[0]
    (error,) = compare_with_float(detector.network, quantised, inputs)
    got = detector.decode(comparison.outputs.astype(np.float64) * quantised.output_scale)
    wanted = detector.probabilities(audio)
    return SpeechDemo(preset, mapping, comparison, error, wanted, got, time.perf_counter() - started)


def _scene(sentences: tuple[str, ...]) -> FloatArray:
    """The sentences, half a second of faint noise before, between and after them."""
    pause = np.zeros(SAMPLE_RATE // 2)
    audio = np.concatenate([pause, *(part for text in sentences for part in (speech.speak(text), pause))])
    return audio + 1e-3 * np.random.default_rng(1).standard_normal(len(audio))
