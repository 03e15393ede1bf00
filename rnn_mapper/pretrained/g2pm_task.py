"""g2pM on sentences that were written for this project."""

from __future__ import annotations

import re
from collections import abc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from rnn_mapper.network.tensors import FloatArray
from rnn_mapper.pretrained.g2pm import G2pM, float_hidden, integer_hidden
from rnn_mapper.pretrained.model import Quantised, RealModel
from rnn_mapper.pretrained.outcome import Accuracy, Facts, Task
from rnn_mapper.quantisation.accuracy import measure_error
from rnn_mapper.quantisation.codes import segment_codes
from rnn_mapper.quantisation.integer_network import QuantisedModel, QuantisedNetwork
from rnn_mapper.run.result import IntSequence

__all__ = ["G2pmTask", "Sentence", "sentences"]

_FILE = Path(__file__).parent / "data" / "chinese_sentences.txt"
_LABEL = re.compile(r"\{([a-z:]+[1-5])\}")


@dataclass(frozen=True)
class Sentence:
    """A sentence and what some of its characters are read like, by position."""

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
        "g2pm", "g2pM", "g2pM==0.1.2.5", "Apache-2.0", "bidirectional LSTM 64 to 2 x 32", "medium", "a character",
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
        exact, integer = float_hidden(self.model.network), integer_hidden(self._network(quantised))
        pairs: list[tuple[FloatArray, FloatArray]] = []
        readings = changed = labels = 0
        right = [0, 0]
        for sentence in sentences():
            inputs = self.model.inputs(sentence.text)
            pairs.append((exact(inputs), integer(inputs)))
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

    def members(self, quantised: Quantised) -> Sequence[Sequence[QuantisedNetwork]]:
        return [segment.members for segment in self._network(quantised).segments]

    def sequences(self, quantised: Quantised) -> list[IntSequence]:
        (segment,) = self._network(quantised).segments
        return [IntSequence(segment_codes(segment, self.example()["lstm"]))]

    def _network(self, quantised: Quantised) -> QuantisedModel:
        network = quantised["lstm"]
        assert isinstance(network, QuantisedModel)
        return network
