"""Words in, phonemes out: both GRUs of g2p_en on the grid, the decoder from the state that the encoder left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hdl.parameters import load_parameters
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.pretrained.g2p import PHONEMES, G2pTask, spell
from rnn_mapper.pretrained.outcome import Simulated
from rnn_mapper.run.result import Comparison
from rnn_mapper.run.simulate import verify

__all__ = ["PRESET", "PronunciationDemo", "Word", "run_pronunciation"]

PRESET = G2pTask.facts.grid
WORDS = ("recurrent", "network", "spatial", "accelerator", "verilog", "prediction", "phoneme", "light")


@dataclass(frozen=True, eq=False)
class Word:
    """One word through encoder and decoder."""

    text: str
    encoder: Comparison
    decoder: Comparison
    #: Phonemes by the float model, and by the decoder's outputs from the grid.
    wanted: str
    got: str


@dataclass(frozen=True, eq=False)
class PronunciationDemo:
    """Both GRUs on the grid, word by word."""

    #: Preset of the grid.
    grid: str
    encoder: Mapping
    decoder: Mapping
    words: list[Word]
    seconds: float

    @property
    def simulated(self) -> Simulated:
        """All sequences together."""
        compared = [comparison for word in self.words for comparison in (word.encoder, word.decoder)]
        return Simulated("verilator", compared, sum(len(one.outputs) for one in compared))

    @property
    def changed(self) -> int:
        """Words that the float model pronounces differently."""
        return sum(word.wanted != word.got for word in self.words)

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        simulated = self.simulated
        return {
            "model": "g2p-en 2.1.0, encoder and decoder GRU 256 -> 256, dense head to 74",
            "grid": self.grid,
            "outputs": simulated.outputs,
            "mismatches": simulated.mismatches,
            "cycles_predicted": simulated.predicted,
            "cycles_simulated": simulated.cycles,
            "words": [
                {"word": w.text, "phonemes": w.got, "float_phonemes": w.wanted,
                 "encoder_cycles": w.encoder.cycles_simulated, "decoder_cycles": w.decoder.cycles_simulated}
                for w in self.words
            ],
            "words_changed": self.changed,
            "build_seconds": max(c.build_seconds for c in simulated.comparisons),
            "run_seconds": self.words[0].encoder.run_seconds + self.words[0].decoder.run_seconds,
            "seconds": self.seconds,
        }


def run_pronunciation(
    folder: Path, progress: Callable[[str], None], preset: str = PRESET, words: Sequence[str] = WORDS
) -> PronunciationDemo:
    """Decode with the integer reference, then run the same sequences through Verilator.

    The decoder's initial state is the encoder's last output as it came out of the Verilog.
    """
    started = time.perf_counter()
    task, parameters = G2pTask(words), load_parameters(preset)
    quantised = task.quantise(parameters.arithmetic)
    encoder, decoder = (map_network(network, parameters) for (network,) in task.members(quantised))
    encoded = verify(encoder, task.encoder_sequences(quantised), "verilator", folder / "encoder", progress=progress)
    states = [({"h": run.outputs[-1]},) for run in encoded]
    sequences = task.decoder_sequences(quantised, states)
    decoded = verify(decoder, sequences, "verilator", folder / "decoder", progress=progress)
    found = [
        Word(text, first, second, spell(task.pronounce(text)), spell(_read(second)))
        for text, first, second in zip(words, encoded, decoded, strict=True)
    ]
    return PronunciationDemo(preset, encoder, decoder, found, time.perf_counter() - started)


def _read(decoded: Comparison) -> list[int]:
    """The best-scored phoneme of every step up to the end mark."""
    best = [int(index) for index in np.argmax(decoded.outputs, axis=1)]
    end = PHONEMES.index("</s>")
    return best[: best.index(end)] if end in best else best
