"""Silero's voice-activity detector on spoken sentences."""

from __future__ import annotations

from collections import abc
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from rnn_mapper.network.tensors import FloatArray
from rnn_mapper.pretrained import speech
from rnn_mapper.pretrained.model import Quantised, RealModel
from rnn_mapper.pretrained.outcome import DRIFT_STEPS, Accuracy, Facts, Task
from rnn_mapper.pretrained.silero import FRAME, SAMPLE_RATE, SileroVad
from rnn_mapper.quantisation.accuracy import compare_with_float
from rnn_mapper.quantisation.codes import quantise_inputs
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.quantisation.reference import run_reference
from rnn_mapper.run.result import IntSequence

__all__ = ["SileroTask", "scene"]

CALIBRATION = ("The quick brown fox jumps over the lazy dog.", "She sells sea shells by the sea shore.")
SPOKEN = (
    "A trained recurrent network runs on a generated grid, bit for bit and cycle for cycle.",
    "Please call Stella, and ask her to bring these things with her from the store.",
    "How much wood would a woodchuck chuck, if a woodchuck could chuck wood?",
    "Six spoons of fresh snow peas, five thick slabs of blue cheese, and maybe a snack for her brother Bob.",
)
VOICES = ("en", "en-us+f3", "en-gb-scotland+m3")
#: Probability above which a frame counts as speech, as in Silero's own examples.
THRESHOLD = 0.5

_PAUSE = SAMPLE_RATE // 2
_LOUD = 0.01  # RMS of a frame above which something is being said
_SIMULATED = 24  # frames


def scene(sentences: Sequence[str], voice: str) -> tuple[FloatArray, FloatArray]:
    """The sentences with half a second before, between and after them, and the same with faint noise, [samples]."""
    pause = np.zeros(_PAUSE)
    clean = np.concatenate([pause, *(part for text in sentences for part in (speech.speak(text, voice), pause))])
    return clean, clean + 1e-3 * np.random.default_rng(1).standard_normal(len(clean))


class SileroTask(RealModel):
    """Which frames of 32 ms are speech."""

    facts: ClassVar[Facts] = Facts(
        "silero", "Silero VAD", "silero-vad==6.2.3", "MIT", "LSTM 128", "medium", "32 ms of speech", 0.010, 0.055
    )

    def __init__(self) -> None:
        self.model = SileroVad()
        self.networks = {"lstm": self.model.network}

    def calibration(self) -> abc.Mapping[str, FloatArray]:
        return {"lstm": np.concatenate([self.model.encode(scene(CALIBRATION, voice)[1]) for voice in VOICES])}

    def example(self) -> abc.Mapping[str, FloatArray]:
        # From within the first sentence, so that the detector decides both ways.
        return {"lstm": self.model.encode(scene(SPOKEN[:1], VOICES[0])[1])[:_SIMULATED]}

    def accuracy(self, quantised: Quantised) -> Accuracy:
        network = quantised["lstm"]
        assert isinstance(network, QuantisedNetwork)
        parts = [scene(SPOKEN, voice) for voice in VOICES]
        clean, audio = (np.concatenate(one) for one in zip(*parts, strict=True))
        inputs = self.model.encode(audio)
        (error,) = compare_with_float(self.model.network, network, inputs)
        wanted = self.model.probabilities(audio) > THRESHOLD
        outputs = run_reference(network, quantise_inputs(network, inputs)).outputs
        got = self.model.decode(outputs.astype(np.float64) * network.output_scale) > THRESHOLD
        frames = np.zeros((len(inputs), FRAME))
        frames.reshape(-1)[: len(clean)] = clean
        said = np.sqrt(np.mean(frames**2, axis=1)) > _LOUD
        repeated = np.tile(inputs, (-(-DRIFT_STEPS // len(inputs)), 1))
        (long,) = compare_with_float(self.model.network, network, repeated)
        task = Task(
            metric="frames told right", unit=" %", more_is_better=True,
            original=100 * float(np.mean(wanted == said)), grid=100 * float(np.mean(got == said)),
            change="decisions flipped", change_unit=" %", changed=100 * float(np.mean(got != wanted)), bound=0.25,
        )
        note = f"{wanted.sum()} of {len(wanted)} frames are speech to the original, {(got != wanted).sum()} flipped"
        return Accuracy(len(inputs), error, (error,), task, long.drift, len(repeated), note)

    def members(self, quantised: Quantised) -> Sequence[Sequence[QuantisedNetwork]]:
        network = quantised["lstm"]
        assert isinstance(network, QuantisedNetwork)
        return [[network]]

    def sequences(self, quantised: Quantised) -> list[IntSequence]:
        ((network,),) = self.members(quantised)
        return [IntSequence(quantise_inputs(network, self.example()["lstm"]))]
