"""Signal processing around DeepFilterNet3: from sound to features, and from gains and filters to sound.

The definitions follow the model's own library (libDF of DeepFilterNet, MIT or Apache-2.0): frames of 20 ms every
10 ms with a Vorbis window, 32 bands that are evenly spaced on the ERB scale, exponential means of one second.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rnn_mapper.network.tensors import FloatArray

__all__ = [
    "BANDS", "FILTERED", "HOP", "LOOKAHEAD", "SAMPLE_RATE", "analyse", "deep_filter", "features", "spread",
    "synthesise",
]

Spectrum = npt.NDArray[np.complex128]

#: Samples per second of the audio.
SAMPLE_RATE = 48000
#: Samples of a step.
HOP = 480
#: Gains of a step.
BANDS = 32
#: Frequencies that the complex filter covers; those above get the gain of their band.
FILTERED = 96
#: Steps by which features and filter look ahead.
LOOKAHEAD = 2

_WINDOW = 2 * HOP
_FREQUENCIES = HOP + 1
_LEAST_WIDTH = 2  # frequencies of the narrowest band
_KEEP = 0.99  # of an exponential mean per step: exp(-.01), to three digits
_PHASE = np.sin(0.5 * np.pi * (np.arange(_WINDOW) + 0.5) / HOP)
_SHAPE = np.sin(0.5 * np.pi * _PHASE**2)  # squares of two halves add to one


def analyse(audio: FloatArray) -> Spectrum:
    """[steps, 481] of audio [samples] at 48 kHz in -1..1; step t ends with sample 480 t + 479."""
    steps = -(-len(audio) // HOP)
    padded = np.zeros((steps + 1) * HOP)
    padded[HOP : HOP + len(audio)] = audio
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::HOP]
    return np.asarray(np.fft.rfft(frames * _SHAPE, axis=1) / _WINDOW)


def synthesise(spectrum: Spectrum) -> FloatArray:
    """Audio [480 steps] of a spectrum of `analyse`, without the half frame that a further step would complete."""
    frames = np.fft.irfft(spectrum * _WINDOW, _WINDOW, axis=1) * _SHAPE
    return np.concatenate([frames[1:, :HOP] + frames[:-1, HOP:], frames[-1:, HOP:]]).reshape(-1)


def features(spectrum: Spectrum) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Loudness of the bands [1, 1, steps, 32] and lower spectrum [1, 2, steps, 96], both relative to running means."""
    power = np.add.reduceat(np.abs(spectrum) ** 2, np.cumsum([0, *_band_widths()[:-1]]), axis=1) / _band_widths()
    loudness = 10.0 * np.log10(power + 1e-10)
    relative = (loudness - _running_mean(loudness, np.linspace(-60.0, -90.0, BANDS))) / 40.0
    lower = spectrum[:, :FILTERED]
    lower = lower / np.sqrt(_running_mean(np.abs(lower), np.linspace(1e-3, 1e-4, FILTERED)))
    parts = np.stack([lower.real, lower.imag])
    return relative[None, None].astype(np.float32), parts[None].astype(np.float32)


def spread(gains: FloatArray) -> FloatArray:
    """Gains of the bands [steps, 32] for every frequency [steps, 481]."""
    return np.repeat(gains, _band_widths(), axis=1)


def deep_filter(spectrum: Spectrum, coefficients: FloatArray) -> Spectrum:
    """[steps, 96]: each of the lower frequencies as a sum over five steps, two of them ahead.

    `coefficients` [steps, 96, 10] hold real and imaginary part of the five factors, the oldest step first.
    """
    factors = coefficients[..., 0::2] + 1j * coefficients[..., 1::2]
    order = factors.shape[2]
    before = order - 1 - LOOKAHEAD
    padded = np.zeros((len(spectrum) + order - 1, FILTERED), dtype=complex)
    padded[before : before + len(spectrum)] = spectrum[:, :FILTERED]
    terms = [padded[i : i + len(spectrum)] * factors[:, :, i] for i in range(order)]
    return np.asarray(sum(terms))


def _band_widths() -> list[int]:
    """Frequencies of each band: evenly spaced on the ERB scale, but at least two."""
    top = 9.265 * np.log1p(SAMPLE_RATE / 2 / (24.7 * 9.265))
    edges = 24.7 * 9.265 * np.expm1(top * np.arange(1, BANDS + 1) / BANDS / 9.265)
    widths, previous, borrowed = [], 0, 0
    for edge in np.rint(edges / (SAMPLE_RATE / _WINDOW)).astype(int).tolist():
        width = edge - previous - borrowed
        borrowed = max(0, _LEAST_WIDTH - width)
        widths.append(max(width, _LEAST_WIDTH))
        previous = edge
    widths[-1] += _FREQUENCIES - sum(widths)
    return widths


def _running_mean(values: FloatArray, start: FloatArray) -> FloatArray:
    """Exponential means [steps, n] over each step and those before it."""
    means = np.empty_like(values)
    mean = start
    for step, value in enumerate(values):
        mean = value * (1.0 - _KEEP) + mean * _KEEP
        means[step] = mean
    return means
