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
from rnn_mapper.pretrained.silero import FRAME, SAMPLE_RATE, THRESHOLD, VOICES, Decisions, SileroTask
from rnn_mapper.quantisation.accuracy import LayerError, compare_with_float
from rnn_mapper.quantisation.codes import quantise_inputs
from rnn_mapper.run.result import Comparison, IntSequence
from rnn_mapper.run.simulate import verify

__all__ = ["PRESET", "SpeechDemo", "run_speech"]

PRESET = SileroTask.facts.grid
#: Sentences that set the scale of the inputs, and sentences that are judged; no sentence is in both.
CALIBRATION = ("The quick brown fox jumps over the lazy dog.", "Nine voluble wizards examined azure joys.")
SPOKEN = ("A recurrent network runs on a spatial accelerator.", "Every bit and every cycle is as predicted.")


@dataclass(frozen=True, eq=False)
class SpeechDemo:
    """The LSTM on the grid, and the decisions that follow from its outputs."""

    #: Preset of the grid.
    grid: str
    mapping: Mapping
    comparison: Comparison
    error: LayerError
    decisions: Decisions
    seconds: float

    @property
    def frames(self) -> int:
        """Frames of the audio, a step each."""
        return len(self.decisions.grid)

    @property
    def frames_of_speech(self) -> int:
        """Frames that count as speech with the LSTM on the grid."""
        return int((self.decisions.grid > THRESHOLD).sum())

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {
            "model": "silero-vad 6.2.3, LSTM 128 -> 128",
            "grid": self.grid,
            "frames": self.frames,
            "seconds_of_audio": self.frames * FRAME / SAMPLE_RATE,
            "outputs": int(self.comparison.outputs.size),
            "mismatches": self.comparison.mismatches,
            "cycles_predicted": self.comparison.cycles_predicted,
            "cycles_simulated": self.comparison.cycles_simulated,
            "cycles_per_step": self.comparison.cycles_simulated / self.frames,
            "utilisation": self.comparison.prediction.utilisation,
            "account": dict(vars(self.comparison.prediction.account)),
            "h_rms_error": self.error.rms,
            "frames_of_speech": self.frames_of_speech,
            "decisions_changed": self.decisions.flipped,
            "build_seconds": self.comparison.build_seconds,
            "run_seconds": self.comparison.run_seconds,
            "seconds": self.seconds,
        }


def run_speech(folder: Path, progress: Callable[[str], None], preset: str = PRESET) -> SpeechDemo:
    """Encoder and decoder in onnxruntime, the LSTM in Verilator. Raises the errors of `hdl.errors`."""
    started = time.perf_counter()
    task, parameters = SileroTask(CALIBRATION, SPOKEN, VOICES[:1]), load_parameters(preset)
    ((network,),) = task.members(task.quantise(parameters.arithmetic))
    mapping = map_network(network, parameters)
    _, audio = task.audio()
    inputs = task.model.encode(audio)
    sequence = IntSequence(quantise_inputs(network, inputs))
    comparison = verify(mapping, [sequence], "verilator", folder, progress=progress)[0]
    (error,) = compare_with_float(task.model.network, network, inputs)
    decisions = task.decide(audio, comparison.outputs.astype(np.float64) * network.output_scale)
    return SpeechDemo(preset, mapping, comparison, error, decisions, time.perf_counter() - started)
