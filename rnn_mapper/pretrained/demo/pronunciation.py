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
from rnn_mapper.pretrained.g2p import PHONEMES, G2pEn, float_runner, integer_runner
from rnn_mapper.quantisation.codes import quantise_inputs
from rnn_mapper.run.result import Comparison, IntSequence
from rnn_mapper.run.simulate import verify

__all__ = ["PRESET", "PronunciationDemo", "Word", "run_pronunciation"]

PRESET = "large"
WORDS = ("recurrent", "network", "spatial", "accelerator", "verilog", "prediction", "phoneme", "light")


@dataclass(frozen=True, eq=False)
class Word:
    """One word through encoder and decoder."""

    text: str
    encoder: Comparison
    decoder: Comparison
    #: By the float model, and as the decoder's outputs from the grid say.
    wanted: str
    got: str


@dataclass(frozen=True, eq=False)
class PronunciationDemo:
    """The result."""

    #: Preset of the grid.
    grid: str
    encoder: Mapping
    decoder: Mapping
    words: list[Word]
    seconds: float

    @property
    def comparisons(self) -> list[Comparison]:
        """All sequences."""
        return [comparison for word in self.words for comparison in (word.encoder, word.decoder)]

    @property
    def changed(self) -> int:
        """Words that the float model pronounces otherwise."""
        return sum(word.wanted != word.got for word in self.words)

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {
            "model": "g2p-en 2.1.0, encoder and decoder GRU 256 -> 256, dense head to 74",
            "grid": self.grid,
            "outputs": sum(int(c.outputs.size) for c in self.comparisons),
            "mismatches": sum(c.mismatches for c in self.comparisons),
            "cycles_predicted": sum(c.cycles_predicted for c in self.comparisons),
            "cycles_simulated": sum(c.cycles_simulated for c in self.comparisons),
            "words": [
                {"word": w.text, "phonemes": w.got, "float_phonemes": w.wanted,
                 "encoder_cycles": w.encoder.cycles_simulated, "decoder_cycles": w.decoder.cycles_simulated}
                for w in self.words
            ],
            "words_changed": self.changed,
            "build_seconds": max(c.build_seconds for c in self.comparisons),
            "run_seconds": self.words[0].encoder.run_seconds + self.words[0].decoder.run_seconds,
            "seconds": self.seconds,
        }


def run_pronunciation(
    folder: Path, progress: Callable[[str], None], preset: str = PRESET, texts: Sequence[str] = WORDS
) -> PronunciationDemo:
    """Decode with the integer reference, then run the same sequences through Verilator.

    The decoder's initial state is the encoder's last output as it came out of the Verilog.
    """
    started = time.perf_counter()
    model, parameters = G2pEn(), load_parameters(preset)
    encoder, decoder = model.quantise(parameters.arithmetic)
    exact = float_runner(model.encoder), float_runner(model.decoder)
    integer = integer_runner(encoder), integer_runner(decoder)
    mappings = map_network(encoder, parameters), map_network(decoder, parameters)

    sequences = [IntSequence(quantise_inputs(encoder, model.encoder_inputs(word))) for word in texts]
    encoded = verify(mappings[0], sequences, "verilator", folder / "encoder", progress=progress)
    sequences = []
    for word, run in zip(texts, encoded, strict=True):
        phonemes = model.pronounce(word, *integer)
        inputs = quantise_inputs(decoder, model.decoder_inputs(phonemes))
        sequences.append(IntSequence(inputs, ({"h": run.outputs[-1]},)))
    decoded = verify(mappings[1], sequences, "verilator", folder / "decoder", progress=progress)
    words = [
        Word(word, first, second, _spell(model.pronounce(word, *exact)), _spell(_read(second)))
        for word, first, second in zip(texts, encoded, decoded, strict=True)
    ]
    return PronunciationDemo(preset, *mappings, words, time.perf_counter() - started)


def _read(decoded: Comparison) -> list[int]:
    """The best-scored phoneme of every step up to the end mark."""
    best = [int(index) for index in np.argmax(decoded.outputs, axis=1)]
    end = PHONEMES.index("</s>")
    return best[: best.index(end)] if end in best else best


def _spell(phonemes: list[int]) -> str:
    return " ".join(PHONEMES[index] for index in phonemes)
