"""Which reading a Chinese character has in its sentence: the bidirectional LSTM of g2pM, its head in floating point.

The weights and the dictionary are the pickles of the g2pM package (Apache-2.0), read without running them; the
procedure is that of its ``G2pM``. Every character to which the dictionary gives several readings gets the best-scored
class.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.native import network_from_state_dict
from rnn_mapper.network.float_reference import run_float
from rnn_mapper.network.network import Network
from rnn_mapper.network.tensors import FloatArray, check_tensor
from rnn_mapper.pretrained.packages import package_file
from rnn_mapper.pretrained.plain_pickles import load_plain_pickle
from rnn_mapper.quantisation.integer_network import QuantisedModel
from rnn_mapper.quantisation.reference import run_model

__all__ = ["G2pM", "float_hidden", "integer_hidden"]

#: From embedded characters [characters, 64] to the outputs of both directions, forward first, [characters, 64].
Hidden = Callable[[FloatArray], FloatArray]

_UNKNOWN, _BEGIN, _END = "<UNK>", "시", "끝"  # marks of the package, in Hangul
_LSTM = "lstm."


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


def float_hidden(network: Network) -> Hidden:
    """Runs `network` in float64."""
    return lambda inputs: run_float(network, inputs).outputs


def integer_hidden(network: QuantisedModel) -> Hidden:
    """Runs `network` on the integer reference."""
    return lambda inputs: run_model(network, inputs).outputs.astype(np.float64) * network.output_scale
