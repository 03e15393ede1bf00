"""Readings of Chinese characters by g2pM: its bidirectional LSTM as a network, its head in floating point; its task.

The weights and the dictionary are the pickles of the g2pM package (Apache-2.0), read without running them; the
procedure is its ``G2pM``. Every character to which the dictionary gives several readings gets the best-scored
class. The task is to read sentences that were written for this project.
"""

from __future__ import annotations

import re
from collections import abc
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.native import network_from_state_dict
from rnn_mapper.network.float_reference import run_float
from rnn_mapper.network.tensors import FloatArray, check_tensor
from rnn_mapper.pretrained.model import Quantised, RealModel
from rnn_mapper.pretrained.outcome import Accuracy, Facts, Task
from rnn_mapper.pretrained.packages import REQUIREMENTS, package_file
from rnn_mapper.pretrained.plain_pickles import load_plain_pickle
from rnn_mapper.quantisation.accuracy import measure_error
from rnn_mapper.quantisation.reference import run_model

__all__ = ["G2pM", "G2pmTask", "Sentence", "sentences"]

_UNKNOWN, _BEGIN, _END = "<UNK>", "시", "끝"  # marks of the package, in Hangul
_LSTM = "lstm."
_FILE = Path(__file__).parent / "data" / "chinese_sentences.txt"
_LABEL = re.compile(r"\{([a-z:]+[1-5])\}")


class G2pM:
    """The network, the embedding and the head. Reads the installed package, or one unpacked at `directory`.

    Raises ToolError or ModelError if it is not there or not the expected files.
    """

    def __init__(self, directory: str | Path | None = None) -> None:
        paths = {name: package_file("g2pM", f"{name}.pkl", directory)
                 for name in ("np_ckpt", "char2idx", "class2idx", "digest_cedict")}
        tensors, characters, classes, dictionary = (load_plain_pickle(path) for path in paths.values())
        try:
            network = network_from_state_dict(
                {name.removeprefix(_LSTM): value for name, value in tensors.items() if name.startswith(_LSTM)}
            )
            self._head = [
                check_tensor(name, tensors[name], ndim)
                for name, ndim in (("logit_layer.0.weight", 2), ("logit_layer.0.bias", 1),
                                   ("logit_layer.2.weight", 2), ("logit_layer.2.bias", 1))
            ]
            #: [characters, 64].
            self.embedding = check_tensor("embedding.weight", tensors["embedding.weight"], 2)
            self._marks = {mark: int(characters[mark]) for mark in (_UNKNOWN, _BEGIN, _END)}
        except (KeyError, AttributeError, ModelError) as error:
            raise ModelError(f"{paths['np_ckpt'].parent}: must hold the files of g2pM ({error})") from None
        if network.layers[0].merge is None:
            raise ModelError(f"{paths['np_ckpt']}: the LSTM has one direction, must have two")
        #: A bidirectional LSTM, 64 to 2 x 32.
        self.network = network
        self._characters: dict[str, int] = characters
        self._dictionary: dict[str, list[str]] = dictionary
        #: Readings such as ``hang2``, the classes of the head.
        self.readings: list[str] = sorted(classes, key=lambda reading: int(classes[reading]))

    def ambiguous(self, sentence: str) -> list[int]:
        """Positions of the characters to which the dictionary gives several readings."""
        return [i for i, character in enumerate(sentence) if len(self._dictionary.get(character, ())) > 1]

    def inputs(self, sentence: str) -> FloatArray:
        """The embedded characters between the marks of begin and end, [len(sentence) + 2, 64]."""
        unknown = self._marks[_UNKNOWN]
        codes = [self._characters.get(character, unknown) for character in sentence]
        return self.embedding[[self._marks[_BEGIN], *codes, self._marks[_END]]]

    def scores(self, h: FloatArray) -> FloatArray:
        """Scores of the readings [characters, 876] from the network's outputs [characters, 64]."""
        weight, bias, weight_out, bias_out = self._head
        return np.maximum(h @ weight.T + bias, 0.0) @ weight_out.T + bias_out

    def read(self, sentence: str, h: FloatArray) -> dict[int, str]:
        """Position to reading of every ambiguous character; `h` are the network's outputs on `inputs(sentence)`."""
        positions = self.ambiguous(sentence)
        scores = self.scores(h[1:-1][positions])
        best: npt.NDArray[np.int64] = scores.argmax(axis=1)
        return {position: self.readings[int(one)] for position, one in zip(positions, best, strict=True)}


@dataclass(frozen=True)
class Sentence:
    """A sentence, and the right readings of some of its characters by position."""

    text: str
    labels: abc.Mapping[int, str]


def sentences() -> list[Sentence]:
    """The sentences with their labels."""
    found = []
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            pieces = _LABEL.split(line)  # text, label, text, label, ..., text
            text, labels = "", {}
            for piece, label in zip(pieces[0::2], [*pieces[1::2], ""], strict=True):
                text += piece
                if label:
                    labels[len(text) - 1] = label
            found.append(Sentence(text, labels))
    return found


class G2pmTask(RealModel):
    """How ambiguous Chinese characters are read."""

    facts: ClassVar[Facts] = Facts(
        "g2pm", "g2pM", REQUIREMENTS["g2pM"], "Apache-2.0", "bidirectional LSTM 64 to 2 x 32", "medium", "a character",
        0.013, 0.085,
    )

    def __init__(self) -> None:
        self.model = G2pM()
        self.networks = {"lstm": self.model.network}

    def calibration(self) -> abc.Mapping[str, FloatArray]:
        return {"lstm": self.model.embedding}

    def example(self) -> abc.Mapping[str, FloatArray]:
        return {"lstm": self.model.inputs(sentences()[0].text)}

    def accuracy(self, quantised: Quantised) -> Accuracy:
        pairs: list[tuple[FloatArray, FloatArray]] = []
        readings = changed = labels = 0
        right = [0, 0]
        for sentence in sentences():
            inputs = self.model.inputs(sentence.text)
            got_h = run_model(quantised["lstm"], inputs).layer_outputs[-1]
            pairs.append((run_float(self.model.network, inputs).outputs, got_h))
            wanted, got = (self.model.read(sentence.text, h) for h in pairs[-1])
            readings += len(wanted)
            changed += sum(wanted[position] != got[position] for position in wanted)
            labels += len(sentence.labels)
            for which, read in enumerate((wanted, got)):
                right[which] += sum(read[position] == label for position, label in sentence.labels.items())
        error = measure_error("h", *(np.concatenate(one) for one in zip(*pairs, strict=True)))
        task = Task(
            metric="labelled readings right", unit=" %", more_is_better=True, original=100 * right[0] / labels,
            grid=100 * right[1] / labels, change="readings changed", change_unit=" %",
            changed=100 * changed / readings, bound=0.2,
        )
        note = f"{changed} of {readings} readings changed; {labels} are labelled, hard ones on purpose"
        return Accuracy(sum(len(one) for one, _ in pairs), error, (error,), task, note=note)
