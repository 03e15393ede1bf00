"""Words to phonemes with the two GRUs of g2p_en, an encoder over letters and an autoregressive decoder; its task.

The weights are checkpoint20.npz of the g2p-en package (Apache-2.0), the procedure is its ``G2p.predict``.
The decoder starts from the encoder's last h; in integers the 16-bit codes are handed over unchanged (both are Q0.15).
The task is to pronounce the words of the package's own list, which gives their pronunciations.
"""

from __future__ import annotations

from collections import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rnn_mapper import cells
from rnn_mapper.errors import ModelError
from rnn_mapper.importers.arrays import load_arrays
from rnn_mapper.network.float_reference import run_float
from rnn_mapper.network.layers import Dense, RecurrentLayer
from rnn_mapper.network.network import Network
from rnn_mapper.network.tensors import FloatArray, check_tensor
from rnn_mapper.pretrained.model import Quantised, RealModel
from rnn_mapper.pretrained.outcome import Accuracy, Facts, Task
from rnn_mapper.pretrained.packages import REQUIREMENTS, package_file
from rnn_mapper.quantisation.accuracy import LayerError, measure_error
from rnn_mapper.quantisation.codes import quantise_inputs
from rnn_mapper.quantisation.integer_network import LayerState, QuantisedNetwork
from rnn_mapper.quantisation.reference import Reference, run_model
from rnn_mapper.run.result import IntSequence

__all__ = [
    "LETTERS", "MAX_PHONEMES", "PHONEMES", "G2pEn", "G2pTask", "Pronunciation", "Runner", "distance", "float_runner",
    "hidden_errors", "integer_runner", "spell", "word_list",
]

#: Runs a network: (inputs [steps, I] in real units, state or None) to (outputs [steps, O] in real units, state).
Runner = Callable[[FloatArray, Any], tuple[FloatArray, Any]]

LETTERS = ("<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz")
_ARPABET = """
AA0 AA1 AA2 AE0 AE1 AE2 AH0 AH1 AH2 AO0 AO1 AO2 AW0 AW1 AW2 AY0 AY1 AY2 B CH D DH EH0 EH1 EH2 ER0 ER1 ER2 EY0 EY1 EY2
F G HH IH0 IH1 IH2 IY0 IY1 IY2 JH K L M N NG OW0 OW1 OW2 OY0 OY1 OY2 P R S SH T TH UH0 UH1 UH2 UW UW0 UW1 UW2 V W Y Z ZH
"""
PHONEMES = ("<pad>", "<unk>", "<s>", "</s>", *_ARPABET.split())
#: The decoder stops after this many phonemes at the latest.
MAX_PHONEMES = 20
#: The words that run in simulation.
SIMULATED = ("light", "grid")

_START, _END = PHONEMES.index("<s>"), PHONEMES.index("</s>")
_CALIBRATION_SENTENCE = "the quick brown fox jumps over lazy dogs while voluble wizards examine strange azure joys"


class G2pEn:
    """The networks and embeddings. Reads the installed package, or one unpacked at `directory`.

    Raises ToolError or ModelError if it is not there or not the expected file.
    """

    def __init__(self, directory: str | Path | None = None) -> None:
        path = package_file("g2p_en", "checkpoint20.npz", directory)
        arrays = load_arrays(path)
        try:
            encoder, decoder = (
                RecurrentLayer(cells.gru, *(arrays[f"{part}_{name}"] for name in ("w_ih", "w_hh", "b_ih", "b_hh")))
                for part in ("enc", "dec")
            )
            #: GRU over letters, 256 to 256.
            self.encoder = Network((encoder,))
            #: GRU over phonemes, 256 to 256, with the dense head that scores the 74 phonemes.
            self.decoder = Network((decoder,), Dense(arrays["fc_w"], arrays["fc_b"]))
            #: [29, 256] and [74, 256].
            self.letter_embedding = check_tensor("enc_emb", arrays["enc_emb"], 2)
            self.phoneme_embedding = check_tensor("dec_emb", arrays["dec_emb"], 2)
        except KeyError as error:
            raise ModelError(f"{path}: tensor {error.args[0]} is missing, must be the file of g2p-en") from None

    def encoder_inputs(self, word: str) -> FloatArray:
        """The embedded letters of a lower-case word and the end mark, [len(word) + 1, 256]."""
        unknown = LETTERS.index("<unk>")
        letters = [LETTERS.index(c) if c in LETTERS else unknown for c in word] + [LETTERS.index("</s>")]
        return self.letter_embedding[letters]

    def decoder_inputs(self, phonemes: Sequence[int]) -> FloatArray:
        """The decoder's inputs while it produces `phonemes` (indices): the start mark and the phonemes, at most
        MAX_PHONEMES in all, embedded, [steps, 256]."""
        return self.phoneme_embedding[[_START, *phonemes][:MAX_PHONEMES]]

    def pronounce(self, word: str, run_encoder: Runner, run_decoder: Runner) -> list[int]:
        """Greedy decoding of one word with any implementation of the two networks; indices into PHONEMES."""
        _, state = run_encoder(self.encoder_inputs(word), None)
        phonemes: list[int] = []
        while len(phonemes) < MAX_PHONEMES:
            scores, state = run_decoder(self.phoneme_embedding[[([_START, *phonemes])[-1]]], state)
            best = int(scores[0].argmax())
            if best == _END:
                break
            phonemes.append(best)
        return phonemes


def float_runner(network: Network) -> Runner:
    """Runs `network` in float64; its state is a tuple of FloatState."""

    def run(inputs: FloatArray, state: Any) -> tuple[FloatArray, Any]:
        trace = run_float(network, inputs, state)
        return trace.outputs, trace.state

    return run


def integer_runner(network: QuantisedNetwork) -> Runner:
    """Runs `network` on the integer reference; its state is a tuple of LayerState."""
    reference = Reference(network)

    def run(inputs: FloatArray, state: Any) -> tuple[FloatArray, Any]:
        trace = reference.run(quantise_inputs(network, inputs), state)
        return trace.outputs.astype(np.float64) * network.output_scale, trace.state

    return run


def spell(phonemes: Sequence[int]) -> str:
    """Indices into PHONEMES as text."""
    return " ".join(PHONEMES[index] for index in phonemes)


def word_list() -> dict[str, list[list[str]]]:
    """The package's words with two pronunciations each; phonemes as the model writes them."""
    words: dict[str, list[list[str]]] = {}
    for line in package_file("g2p_en", "homographs.en").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            word, *spoken = line.split("|")[:3]
            words.setdefault(word.lower(), []).extend(text.split() for text in spoken)
    return words


def distance(one: Sequence[str], other: Sequence[str]) -> int:
    """The number of phonemes to insert, delete or replace to make one sequence of the other."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


@dataclass(frozen=True, eq=False)
class Pronunciation:
    """A word in floating point, and in integers that are fed the phonemes of floating point."""

    #: Indices into PHONEMES by the float model.
    phonemes: list[int]
    #: h of encoder and decoder [steps, 256] in floating point and in integers.
    exact: list[FloatArray]
    integer: list[FloatArray]
    #: The decoder's scores in integers [steps, 74].
    scores: FloatArray


class G2pTask(RealModel):
    """How words are pronounced; `words` are those that run in simulation."""

    facts: ClassVar[Facts] = Facts(
        "g2p_en", "g2p_en", REQUIREMENTS["g2p_en"], "Apache-2.0", "GRU 256 encoder, GRU 256 decoder", "large",
        "a letter and a phoneme", 0.012, 0.085,
    )

    def __init__(self, words: Sequence[str] = SIMULATED) -> None:
        self.model = G2pEn()
        self.networks = {"encoder": self.model.encoder, "decoder": self.model.decoder}
        self.words = words

    def calibration(self) -> abc.Mapping[str, FloatArray]:
        # All embeddings, and the embeddings of a sentence.
        model, words = self.model, _CALIBRATION_SENTENCE.split()
        letters = [model.letter_embedding, *map(model.encoder_inputs, words)]
        phonemes = [model.phoneme_embedding, *(model.decoder_inputs(self.pronounce(word)) for word in words)]
        return {"encoder": np.concatenate(letters), "decoder": np.concatenate(phonemes)}

    def example(self) -> abc.Mapping[str, FloatArray]:
        word = self.words[0]
        return {
            "encoder": self.model.encoder_inputs(word), "decoder": self.model.decoder_inputs(self.pronounce(word)),
        }

    def pronounce(self, word: str) -> list[int]:
        """The phonemes of the float model, as indices into PHONEMES."""
        return self.model.pronounce(word, float_runner(self.model.encoder), float_runner(self.model.decoder))

    def accuracy(self, quantised: Quantised) -> Accuracy:
        integer = self._runners(quantised)
        words = word_list()
        wrong, changed, phonemes = [0, 0], 0, 0
        found: list[Pronunciation] = []
        for word, right in words.items():
            found.append(one := self.compare(word, quantised))
            wanted = one.phonemes
            # As long as the best scores name what the float model chose, the integers are fed the same phonemes.
            same = one.scores.argmax(axis=1).tolist() == [*wanted, _END][:MAX_PHONEMES]
            got = wanted if same else self.model.pronounce(word, *integer)
            changed += wanted != got
            for which, spoken in enumerate((wanted, got)):
                wrong[which] += min(distance([PHONEMES[i] for i in spoken], other) for other in right)
            phonemes += min(map(len, right))
        error, layers = hidden_errors(found)
        task = Task(
            metric="phoneme errors", unit=" %", more_is_better=False, original=100 * wrong[0] / phonemes,
            grid=100 * wrong[1] / phonemes, change="words changed", change_unit=" %",
            changed=100 * changed / len(words), bound=2.5, loss_bound=0.3,
        )
        note = f"{changed} of {len(words)} words changed; errors against the nearer of two pronunciations"
        return Accuracy(sum(len(h) for one in found for h in one.exact), error, layers, task, note=note)

    def sequences(self, quantised: Quantised) -> list[IntSequence]:
        (encoder,), _ = self.members(quantised)
        letters = self.encoder_sequences(quantised)
        states = [Reference(encoder).run(one.member_codes[0]).state for one in letters]
        phonemes = self.decoder_sequences(quantised, states, model=1)
        return [one for pair in zip(letters, phonemes, strict=True) for one in pair]

    def encoder_sequences(self, quantised: Quantised) -> list[IntSequence]:
        """The letters of each of `words`."""
        (encoder,), _ = self.members(quantised)
        return [IntSequence(quantise_inputs(encoder, self.model.encoder_inputs(word))) for word in self.words]

    def decoder_sequences(
        self, quantised: Quantised, states: Sequence[Sequence[LayerState]], model: int = 0
    ) -> list[IntSequence]:
        """The phonemes that the integers choose for each of `words`, from the state that the encoder left."""
        _, (decoder,) = self.members(quantised)
        runners = self._runners(quantised)
        chosen = [self.model.decoder_inputs(self.model.pronounce(word, *runners)) for word in self.words]
        return [
            IntSequence(quantise_inputs(decoder, one), state, model) for one, state in zip(chosen, states, strict=True)
        ]

    def compare(self, word: str, quantised: Quantised) -> Pronunciation:
        """The word by the float model, and by both networks in integers on the same letters and phonemes."""
        exact: tuple[list[FloatArray], list[FloatArray]] = [], []

        def recorder(network: Network, h: list[FloatArray]) -> Runner:
            def run(inputs: FloatArray, state: Any) -> tuple[FloatArray, Any]:
                trace = run_float(network, inputs, state)
                h.append(trace.layer_outputs[0])
                return trace.outputs, trace.state

            return run

        phonemes = self.model.pronounce(word, *map(recorder, (self.model.encoder, self.model.decoder), exact))
        first = run_model(quantised["encoder"], self.model.encoder_inputs(word))
        (left,) = first.segments[0].traces
        second = run_model(quantised["decoder"], self.model.decoder_inputs(phonemes), left.state)
        integer = [first.layer_outputs[0], second.layer_outputs[0]]
        return Pronunciation(phonemes, [np.concatenate(one) for one in exact], integer, second.layer_outputs[-1])

    def _runners(self, quantised: Quantised) -> tuple[Runner, Runner]:
        (encoder,), (decoder,) = self.members(quantised)
        return integer_runner(encoder), integer_runner(decoder)


def hidden_errors(found: Sequence[Pronunciation]) -> tuple[LayerError, tuple[LayerError, LayerError]]:
    """Error of h over these words, of both networks together and of encoder and decoder alone."""
    exact, integer = ([np.concatenate(one) for one in zip(*words, strict=True)]
                      for words in ([one.exact for one in found], [one.integer for one in found]))
    encoder, decoder = map(measure_error, ("encoder", "decoder"), exact, integer)
    return measure_error("all", np.concatenate(exact), np.concatenate(integer)), (encoder, decoder)
