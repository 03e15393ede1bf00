"""Accuracy of trained models against the width of the operands and of a row's multiplier (docs/decisions.md).

    .venv/bin/python -m scripts.measure_requantiser
"""

from __future__ import annotations

import importlib
from unittest import mock

import click

from hdl.numerics import Arithmetic
from rnn_mapper import fixed_point
from rnn_mapper.cli.tables import TableConsole, plain_table
from rnn_mapper.network.float_reference import run_float
from rnn_mapper.network.layers import Layer
from rnn_mapper.network.network import Network
from rnn_mapper.network.tensors import FloatArray
from rnn_mapper.pretrained.g2p import G2pTask, hidden_errors
from rnn_mapper.pretrained.silero import SileroVad
from rnn_mapper.pretrained.speech import speak
from rnn_mapper.quantisation.accuracy import LayerError, compare_with_float, measure_error
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from scripts.output import run_script

# `rnn_mapper.quantisation.quantise` is the function; the module is needed to patch its constants.
quantise = importlib.import_module("rnn_mapper.quantisation.quantise")

CALIBRATION = "She had your dark suit in greasy wash water all year. The quick brown fox jumps over the lazy dog."
SPEECH = (
    "Don't ask me to carry an oily rag like that. Recurrent networks are served one request at a time, "
    "and every microsecond counts when the answer is needed now."
)
WORDS = (
    "recurrent", "network", "accelerator", "spatial", "lattice", "elephants", "microsecond", "serving", "silicon",
    "engineer",
)
#: Operands of a grid, with the accumulator that holds their sums.
OPERANDS = (Arithmetic(), Arithmetic(accumulator_bits=36, operand_bits=16))
WIDTHS = (6, 7, 8, 9, 10, 12, 16)


@click.command()
def main() -> None:
    """Print root-mean-square and 99.9th percentile errors of h for each width of operands and multiplier."""
    silero, g2p = SileroVad(), G2pTask()
    calibration, speech = silero.encode(speak(CALIBRATION)), silero.encode(speak(SPEECH))
    table = plain_table(
        "operand bits", "multiplier bits", "Silero RMS", "Silero p99.9", "g2p_en encoder RMS", "p99.9", "decoder RMS",
        "p99.9",
    )
    for arithmetic in OPERANDS:
        for bits in WIDTHS:
            right = bits + 2
            with (
                mock.patch.object(quantise, "MULTIPLIER_BITS", bits),
                mock.patch.object(quantise, "REQUANTISE_RIGHT", right),
                mock.patch.object(fixed_point, "REQUANTISE_RIGHT", right),
            ):
                integers = quantise.quantise(silero.network, calibration, arithmetic)
                errors = [compare_with_float(silero.network, integers, speech)[0]]
                quantised_g2p = g2p.quantise(arithmetic)
                errors += hidden_errors([g2p.compare(word, quantised_g2p) for word in WORDS])[1]
            figures = [f"{value:.5f}" for error in errors for value in (error.rms, error.p999)]
            table.add_row(str(arithmetic.operand_bits), str(bits), *figures)
    TableConsole().print(table)
    error = error_of_weights(silero.network, integers, speech)
    TableConsole().print(f"Silero in floating point with the weights that the integers stand for: RMS {error.rms:.5f}")


def error_of_weights(network: Network, integers: QuantisedNetwork, inputs: FloatArray) -> LayerError:
    """Error of h of a network of one layer if nothing but its weights is rounded."""
    layer, quantised = network.single_layers[0], integers.layers[0]
    tensors = dict(layer.tensors)
    for operand in quantised.arithmetic.operands:
        codes = quantised.products[operand.name]
        for index, row in enumerate(quantised.arithmetic.rows_of(operand)):
            product = next(product for product in row.products if product.operand is operand)
            tensors[product.matrix] = product.factor * codes.weights[index] * codes.row_scale[index][:, None]
    rounded = run_float(Network((Layer(layer.cell, tensors),)), inputs)
    return measure_error("h", run_float(network, inputs).outputs, rounded.outputs)


if __name__ == "__main__":
    run_script(main)
