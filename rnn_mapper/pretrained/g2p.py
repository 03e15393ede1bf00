"""Words to phonemes with the two GRUs of g2p_en, an encoder over letters and an autoregressive decoder.

The weights are checkpoint20.npz of the g2p-en package (Apache-2.0), the procedure that of its ``G2p.predict``.
The decoder starts from the encoder's last h; in integers the 16-bit codes are handed over unchanged (both are Q0.15).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hdl.numerics import DEFAULT_ARITHMETIC, Arithmetic
from rnn_mapper import cells
from rnn_mapper.errors import ModelError
from rnn_mapper.importers.arrays import load_arrays
from rnn_mapper.network.float_reference import run_float
from rnn_mapper.network.network import Dense, FloatArray, Network, RecurrentLayer, check_tensor
from rnn_mapper.pretrained.packages import package_file
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.quantisation.quantise import quantise, quantise_inputs
from rnn_mapper.quantisation.reference import Reference

#: Runs a network: (inputs [steps, I] in real units, state or None) to (outputs [steps, O] in real units, state).
Runner = Callable[[FloatArray, Any], tuple[FloatArray, Any]]

LETTERS = ("<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz")
_ARPABET = """
AA0 AA1 AA2 AE0 AE1 AE2 AH0 AH1 AH2 AO0 AO1 AO2 AW0 AW1 AW2 AY0 AY1 AY2 B CH D DH EH0 EH1 EH2 ER0 ER1 ER2 EY0 EY1 EY2
F G HH IH0 IH1 IH2 IY0 IY1 IY2 JH K L M N NG OW0 OW1 OW2 OY0 OY1 OY2 P R S SH T TH UH0 UH1 UH2 UW UW0 UW1 UW2 V W Y Z ZH
"""
PHONEMES = ("<pad>", "<unk>", "<s>", "</s>", *_ARPABET.split())
#: The decoder stops after as many phonemes at the latest.
MAX_PHONEMES = 20

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
        """What the decoder is fed while it produces `phonemes` (indices): the start mark, then all of them but one
        that would come after MAX_PHONEMES, embedded, [steps, 256]."""
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

    def calibration(self) -> dict[str, FloatArray]:
        """Typical inputs of ``encoder`` and ``decoder``: all embeddings, and those of a sentence."""
        run = float_runner(self.encoder), float_runner(self.decoder)
        words = _CALIBRATION_SENTENCE.split()
        letters = [self.letter_embedding, *map(self.encoder_inputs, words)]
        phonemes = [self.phoneme_embedding, *(self.decoder_inputs(self.pronounce(word, *run)) for word in words)]
        return {"encoder": np.concatenate(letters), "decoder": np.concatenate(phonemes)}

    def quantise(self, arithmetic: Arithmetic = DEFAULT_ARITHMETIC) -> tuple[QuantisedNetwork, QuantisedNetwork]:
        """Encoder and decoder in integers, with `calibration`; errors as quantise()."""
        typical = self.calibration()
        encoder = quantise(self.encoder, typical["encoder"], arithmetic)
        return encoder, quantise(self.decoder, typical["decoder"], arithmetic)


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
