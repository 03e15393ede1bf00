"""Accuracy of trained models against the width of a row's multiplier: why it has 10 bits (docs/decisions.md).

    .venv/bin/python scripts/measure_requantiser.py
"""

from __future__ import annotations

import importlib
from unittest import mock

from rich.console import Console
from rich.table import Table

from rnn_mapper import fixed_point
from rnn_mapper.accuracy import compare_with_float
from rnn_mapper.g2p import G2pEn
from rnn_mapper.network import Network
from rnn_mapper.silero import SileroVad
from rnn_mapper.speech import speak

# The package's name for the function hides the module's.
quantise = importlib.import_module("rnn_mapper.quantise")

CALIBRATION = "She had your dark suit in greasy wash water all year. The quick brown fox jumps over the lazy dog."
SPEECH = (
    "Don't ask me to carry an oily rag like that. Recurrent networks are served one request at a time, "
    "and every microsecond counts when the answer is needed now."
)
WORDS = (
    "recurrent", "network", "accelerator", "spatial", "lattice", "elephants", "microsecond", "serving", "silicon",
    "engineer",
)
WIDTHS = (6, 7, 8, 9, 10, 12, 16)


def main() -> None:
    """Print root-mean-square and 99.9th percentile errors of h for each multiplier width."""
    silero, g2p = SileroVad(), G2pEn()
    calibration, speech = silero.encode(speak(CALIBRATION)), silero.encode(speak(SPEECH))
    table = Table("multiplier bits", "Silero RMS", "Silero p99.9", "g2p_en encoder RMS")
    for bits in WIDTHS:
        right = bits + 2
        with (
            mock.patch.object(quantise, "MULTIPLIER_BITS", bits),
            mock.patch.object(quantise, "REQUANTISE_RIGHT", right),
            mock.patch.object(fixed_point, "REQUANTISE_RIGHT", right),
        ):
            network: Network = silero.network
            error = compare_with_float(network, quantise.quantise(network, calibration), speech)[0]
            encoder, _ = g2p.quantise()
            squares = steps = 0.0
            for word in WORDS:
                inputs = g2p.encoder_inputs(word)
                squares += compare_with_float(g2p.encoder, encoder, inputs)[0].rms ** 2 * len(inputs)
                steps += len(inputs)
        table.add_row(str(bits), f"{error.rms:.5f}", f"{error.p999:.4f}", f"{(squares / steps) ** 0.5:.5f}")
    Console().print(table)


if __name__ == "__main__":
    main()
