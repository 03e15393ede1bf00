"""g2p_en on the words of its own list, whose pronunciations it names."""

from __future__ import annotations

from collections import abc
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from rnn_mapper.network.float_reference import run_float
from rnn_mapper.network.network import Network
from rnn_mapper.network.tensors import FloatArray
from rnn_mapper.pretrained.g2p import MAX_PHONEMES, PHONEMES, G2pEn, Runner, float_runner, integer_runner
from rnn_mapper.pretrained.model import Quantised, RealModel
from rnn_mapper.pretrained.outcome import Accuracy, Facts, Task
from rnn_mapper.pretrained.packages import package_file
from rnn_mapper.quantisation.accuracy import measure_error
from rnn_mapper.quantisation.codes import quantise_inputs
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.quantisation.reference import Reference
from rnn_mapper.run.result import IntSequence

__all__ = ["G2pTask", "distance", "word_list"]

#: The words that run in simulation.
SIMULATED = ("light", "grid")


def word_list() -> dict[str, list[list[str]]]:
    """The package's words with two pronunciations each; phonemes as the model writes them."""
    words: dict[str, list[list[str]]] = {}
    for line in package_file("g2p_en", "homographs.en").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            word, *spoken = line.split("|")[:3]
            words.setdefault(word.lower(), []).extend(text.split() for text in spoken)
    return words


def distance(one: Sequence[str], other: Sequence[str]) -> int:
    """Phonemes to insert, delete or replace to make one of the other."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


class G2pTask(RealModel):
    """How words are pronounced."""

    facts: ClassVar[Facts] = Facts(
        "g2p_en", "g2p_en", "g2p-en==2.1.0", "Apache-2.0", "GRU 256 encoder, GRU 256 decoder", "large",
        "a letter and a phoneme", 0.012, 0.085,
    )

    def __init__(self) -> None:
        self.model = G2pEn()
        self.networks = {"encoder": self.model.encoder, "decoder": self.model.decoder}
        self._float = float_runner(self.model.encoder), float_runner(self.model.decoder)

    def calibration(self) -> abc.Mapping[str, FloatArray]:
        return self.model.calibration()

    def example(self) -> abc.Mapping[str, FloatArray]:
        word = SIMULATED[0]
        phonemes = self.model.pronounce(word, *self._float)
        return {"encoder": self.model.encoder_inputs(word), "decoder": self.model.decoder_inputs(phonemes)}

    def accuracy(self, quantised: Quantised) -> Accuracy:
        networks = self._networks(quantised)
        integer = integer_runner(networks[0]), integer_runner(networks[1])
        words = word_list()
        wrong, changed, phonemes = [0, 0], 0, 0
        pairs: dict[str, list[tuple[FloatArray, FloatArray]]] = {"encoder": [], "decoder": []}
        for word, right in words.items():
            wanted, exact = self._pronounce(word)
            codes, scores = self._follow(word, wanted, networks)
            # As long as the best scores name what the float model chose, the integers are fed the same phonemes.
            same = scores.argmax(axis=1).tolist() == [*wanted, PHONEMES.index("</s>")][:MAX_PHONEMES]
            got = wanted if same else self.model.pronounce(word, *integer)
            changed += wanted != got
            for name, one, other in zip(pairs, exact, codes, strict=True):
                pairs[name].append((one, other))
            for which, spoken in enumerate((wanted, got)):
                wrong[which] += min(distance([PHONEMES[i] for i in spoken], one) for one in right)
            phonemes += min(map(len, right))
        joined = {name: tuple(map(np.concatenate, zip(*one, strict=True))) for name, one in pairs.items()}
        layers = tuple(measure_error(name, *one) for name, one in joined.items())
        error = measure_error("all", *(np.concatenate(one) for one in zip(*joined.values(), strict=True)))
        task = Task(
            metric="phoneme errors", unit=" %", more_is_better=False, original=100 * wrong[0] / phonemes,
            grid=100 * wrong[1] / phonemes, change="words changed", change_unit=" %",
            changed=100 * changed / len(words), bound=2.5, loss_bound=0.3,
        )
        note = f"{changed} of {len(words)} words changed; errors against the nearer of two pronunciations"
        return Accuracy(sum(len(one) for one, _ in joined.values()), error, layers, task, note=note)

    def members(self, quantised: Quantised) -> Sequence[Sequence[QuantisedNetwork]]:
        return [[network] for network in self._networks(quantised)]

    def sequences(self, quantised: Quantised) -> list[IntSequence]:
        networks = self._networks(quantised)
        integer = integer_runner(networks[0]), integer_runner(networks[1])
        found = []
        for word in SIMULATED:
            letters = quantise_inputs(networks[0], self.model.encoder_inputs(word))
            chosen = self.model.decoder_inputs(self.model.pronounce(word, *integer))
            state = Reference(networks[0]).run(letters).state
            found += [IntSequence(letters), IntSequence(quantise_inputs(networks[1], chosen), state, model=1)]
        return found

    def _pronounce(self, word: str) -> tuple[list[int], list[FloatArray]]:
        """What the float model says, and h of encoder and decoder [steps, 256]."""
        found: dict[int, list[FloatArray]] = {0: [], 1: []}

        def recorder(which: int, network: Network) -> Runner:
            def run(inputs: FloatArray, state: Any) -> tuple[FloatArray, Any]:
                trace = run_float(network, inputs, state)
                found[which].append(trace.layer_outputs[0])
                return trace.outputs, trace.state

            return run

        spoken = self.model.pronounce(word, recorder(0, self.model.encoder), recorder(1, self.model.decoder))
        return spoken, [np.concatenate(one) for one in found.values()]

    def _follow(
        self, word: str, phonemes: list[int], networks: tuple[QuantisedNetwork, QuantisedNetwork]
    ) -> tuple[list[FloatArray], FloatArray]:
        """h of the integer encoder and decoder, fed `phonemes`, and the decoder's scores [steps, 74]."""
        inputs = self.model.encoder_inputs(word), self.model.decoder_inputs(phonemes)
        first = Reference(networks[0]).run(quantise_inputs(networks[0], inputs[0]))
        second = Reference(networks[1]).run(quantise_inputs(networks[1], inputs[1]), first.state)
        h = [one.layer_outputs[0].astype(np.float64) / 2**15 for one in (first, second)]
        return h, second.outputs.astype(np.float64) * networks[1].output_scale

    def _networks(self, quantised: Quantised) -> tuple[QuantisedNetwork, QuantisedNetwork]:
        encoder, decoder = quantised["encoder"], quantised["decoder"]
        assert isinstance(encoder, QuantisedNetwork)
        assert isinstance(decoder, QuantisedNetwork)
        return encoder, decoder
