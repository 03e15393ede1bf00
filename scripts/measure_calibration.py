"""Accuracy of trained models by calibration method, and with weights clipped row by row.

    .venv/bin/python -m scripts.measure_calibration

Makes the table and the picture of docs/quantise.md in a few minutes. Calibration and evaluation share no sentence and
no word.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any
from unittest import mock

import click
import numpy as np

from rnn_mapper.network.float_reference import run_float
from rnn_mapper.network.tensors import FloatArray
from rnn_mapper.pretrained.g2p import G2pTask, hidden_errors, integer_runner, word_list
from rnn_mapper.pretrained.model import Quantised
from rnn_mapper.pretrained.silero import THRESHOLD, SileroVad
from rnn_mapper.pretrained.speech import speak
from rnn_mapper.quantisation.accuracy import LayerError, compare_with_float, run_both
from rnn_mapper.quantisation.calibration import Method, ScaleRule
from rnn_mapper.quantisation.codes import quantise_inputs
from rnn_mapper.quantisation.reference import run_reference
from rnn_mapper.report.error_picture import error_picture
from rnn_mapper.report.quantisation import report_on
from scripts.output import run_script
from scripts.provenance import ROOT

# `rnn_mapper.quantisation.quantise` is the function; the module is needed to patch one of its functions.
quantise = importlib.import_module("rnn_mapper.quantisation.quantise")

CALIBRATION = "The quick brown fox jumps over the lazy dog. She sells sea shells by the sea shore."
SPEECH = (
    "A trained recurrent network runs on a generated grid, bit for bit and cycle for cycle.",
    "Please call Stella, and ask her to bring these things with her from the store.",
    "How much wood would a woodchuck chuck, if a woodchuck could chuck wood?",
)
RULES = (
    ScaleRule(), ScaleRule(Method.PERCENTILE), ScaleRule(Method.PERCENTILE, 99.9), ScaleRule(Method.MSE),
    ScaleRule(Method.AUTO),
)
PICTURE = ROOT / "docs" / "images" / "error.svg"
#: Parts of a row's largest weight that clipping tries.
_PARTS = np.linspace(1.0, 0.4, 61)


@click.command()
def main() -> None:
    """Print a Markdown table, a line for each method, and draw the error of Silero over a long sequence."""
    silero, g2p = SileroVad(), G2pTask()
    typical, speech = silero.encode(_scene((CALIBRATION,))), silero.encode(_scene(SPEECH))
    decided = silero.decode(run_float(silero.network, speech).outputs) > THRESHOLD
    # Half of the words that the package lists as homographs.
    words = sorted(word_list())[::2]
    print("| method | Silero RMS | 99.9 % | decisions changed | auto took | g2p_en RMS | 99.9 % | words changed | "
          "auto took |")
    print("|---|---:|---:|---:|---|---:|---:|---:|---|")
    for name, rule, patch in _variants():
        with patch:
            network = quantise.quantise(silero.network, typical, rule=rule)
            integers = g2p.quantise(rule=rule)
        error = compare_with_float(silero.network, network, speech)[0]
        outputs = run_reference(network, quantise_inputs(network, speech)).outputs * network.output_scale
        flipped = int(((silero.decode(outputs) > THRESHOLD) != decided).sum())
        h, changed = _pronounce(g2p, integers, words)
        chosen = ", ".join(member.choice.rule.text for (member,) in g2p.members(integers))
        taken = (network.choice.rule.text, chosen)
        taken = taken if rule.method is Method.AUTO else ("", "")
        cells = (
            name, f"{error.rms:.5f}", f"{error.p999:.4f}", f"{flipped} of {len(speech)}", taken[0], f"{h.rms:.5f}",
            f"{h.p999:.4f}", f"{changed} of {len(words)}", taken[1],
        )
        print(f"| {' | '.join(cells)} |", flush=True)
    draw_long(silero, typical, speech)


def draw_long(silero: SileroVad, typical: FloatArray, speech: FloatArray) -> None:
    """The speech again and again, for 5,000 steps and more."""
    long = np.tile(speech, (-(-5000 // len(speech)), 1))
    report = report_on(run_both(silero.network, quantise.quantise(silero.network, typical), [long]))
    print(f"\nDrift of Silero by minmax over {len(long):,} steps: {report.layers[0].error.drift:.3f}")
    error_picture(report, PICTURE, f"The LSTM of Silero over {len(long):,} steps: error of the integers")


def _variants() -> Iterator[tuple[str, ScaleRule, Any]]:
    for rule in RULES:
        yield rule.text, rule, nullcontext()
    plain: Callable[..., Any] = quantise._quantise_product

    def clipped(name: str, weight: FloatArray, *rest: Any) -> Any:
        limit = best_rows(weight)[..., None]
        return plain(name, np.clip(weight, -limit, limit), *rest)

    yield "minmax, weights by least mean square", ScaleRule(), mock.patch.object(quantise, "_quantise_product", clipped)


def best_rows(weight: FloatArray) -> FloatArray:
    """For each row of [gates, units, operands] the largest magnitude that 8 bits should hold.

    It is the magnitude with the least mean square of clipping and rounding.
    """
    peak = np.abs(weight).max(axis=2)
    errors = []
    for part in _PARTS:
        step = np.maximum(peak * part / 127, 1e-30)[..., None]
        errors.append(np.square(np.clip(np.rint(weight / step), -127, 127) * step - weight).sum(axis=2))
    return peak * _PARTS[np.argmin(errors, axis=0)]


def _pronounce(g2p: G2pTask, quantised: Quantised, words: list[str]) -> tuple[LayerError, int]:
    """Error of h of both networks on the phonemes of floating point, and the number of words that integers change."""
    (encoder,), (decoder,) = g2p.members(quantised)
    integers = integer_runner(encoder), integer_runner(decoder)
    found = [g2p.compare(word, quantised) for word in words]
    changed = sum(
        one.phonemes != g2p.model.pronounce(word, *integers) for word, one in zip(words, found, strict=True)
    )
    return hidden_errors(found)[0], changed


def _scene(sentences: tuple[str, ...]) -> FloatArray:
    """Sentences with half a second of faint noise after each."""
    audio = np.concatenate([part for text in sentences for part in (speak(text), np.zeros(8000))])
    return audio + 1e-3 * np.random.default_rng(1).standard_normal(len(audio))


if __name__ == "__main__":
    run_script(main)
