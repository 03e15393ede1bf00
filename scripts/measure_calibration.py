"""Accuracy of trained models by calibration method, and with weights clipped row by row: table and picture of
docs/quantise.md.

    .venv/bin/python -m scripts.measure_calibration

Calibration and evaluation share no sentence and no word. Takes a few minutes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any
from unittest import mock

import numpy as np

from rnn_mapper.network.float_reference import run_float
from rnn_mapper.network.tensors import FloatArray
from rnn_mapper.pretrained.g2p import G2pEn, float_runner, integer_runner
from rnn_mapper.pretrained.packages import package_file
from rnn_mapper.pretrained.silero import SileroVad
from rnn_mapper.pretrained.speech import speak
from rnn_mapper.quantisation.accuracy import compare_with_float, measure_error, run_both
from rnn_mapper.quantisation.calibration import Method, ScaleRule
from rnn_mapper.quantisation.codes import quantise_inputs
from rnn_mapper.quantisation.reference import run_reference
from rnn_mapper.report.error_picture import error_picture
from rnn_mapper.report.quantisation import report_on
from scripts.provenance import ROOT

# The package's name for the function hides the module's.
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


def main() -> None:
    """Print a Markdown table, a line for each method, and draw the error of Silero over a long sequence."""
    silero, g2p = SileroVad(), G2pEn()
    typical, speech = silero.encode(_scene((CALIBRATION,))), silero.encode(_scene(SPEECH))
    decided = silero.decode(run_float(silero.network, speech).outputs) > 0.5
    words = _words()
    print("| method | Silero RMS | 99.9 % | decisions changed | auto took | g2p_en RMS | 99.9 % | words changed | "
          "auto took |")
    print("|---|---:|---:|---:|---|---:|---:|---:|---|")
    for name, rule, patch in _variants():
        with patch:
            network = quantise.quantise(silero.network, typical, rule=rule)
            inputs = g2p.calibration()
            encoder = quantise.quantise(g2p.encoder, inputs["encoder"], rule=rule)
            decoder = quantise.quantise(g2p.decoder, inputs["decoder"], rule=rule)
        error = compare_with_float(silero.network, network, speech)[0]
        outputs = run_reference(network, quantise_inputs(network, speech)).outputs * network.output_scale
        flipped = int(((silero.decode(outputs) > 0.5) != decided).sum())
        h, changed = _pronounce(g2p, encoder, decoder, words)
        taken = (network.choice.rule.text, f"{encoder.choice.rule.text}, {decoder.choice.rule.text}")
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
    """For each row of [gates, units, operands] the largest magnitude that 8 bits should hold: the one with the least
    mean square of clipping and rounding."""
    peak = np.abs(weight).max(axis=2)
    errors = []
    for part in _PARTS:
        step = np.maximum(peak * part / 127, 1e-30)[..., None]
        errors.append(np.square(np.clip(np.rint(weight / step), -127, 127) * step - weight).sum(axis=2))
    return peak * _PARTS[np.argmin(errors, axis=0)]


def _pronounce(g2p: G2pEn, encoder: Any, decoder: Any, words: list[str]) -> tuple[Any, int]:
    """Error of h of both networks on what floating point chooses, and how many words come out otherwise."""
    exact = float_runner(g2p.encoder), float_runner(g2p.decoder)
    integers = integer_runner(encoder), integer_runner(decoder)
    wanted, got, changed = [], [], 0
    for word in words:
        spoken = g2p.pronounce(word, *exact)
        changed += spoken != g2p.pronounce(word, *integers)
        state: Any = None
        codes: Any = None
        for network, made, inputs in (
            (g2p.encoder, encoder, g2p.encoder_inputs(word)), (g2p.decoder, decoder, g2p.decoder_inputs(spoken)),
        ):
            trace = run_float(network, inputs, state)
            result = run_reference(made, quantise_inputs(made, inputs), codes)
            state, codes = trace.state, result.state
            wanted.append(trace.layer_outputs[0])
            got.append(result.layer_outputs[0] / 2**15)
    return measure_error("h", np.concatenate(wanted), np.concatenate(got)), changed


def _words() -> list[str]:
    """Half of the words that the package lists as homographs."""
    lines = package_file("g2p_en", "homographs.en").read_text().splitlines()
    return sorted({line.split("|")[0].lower() for line in lines if not line.startswith("#")})[::2]


def _scene(sentences: tuple[str, ...]) -> FloatArray:
    """Sentences with half a second of faint noise after each."""
    audio = np.concatenate([part for text in sentences for part in (speak(text), np.zeros(8000))])
    return audio + 1e-3 * np.random.default_rng(1).standard_normal(len(audio))


if __name__ == "__main__":
    main()
