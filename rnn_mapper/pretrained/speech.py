"""Speech at 16 kHz or another rate: spoken by espeak-ng, or from a WAV file."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from rnn_mapper.errors import ToolError
from rnn_mapper.importers.arrays import read_samples, samples_of
from rnn_mapper.network.tensors import FloatArray

#: Default samples per second.
SAMPLE_RATE = 16000


def speak(text: str, voice: str = "en", rate: int = SAMPLE_RATE) -> FloatArray:
    """`text` spoken by espeak-ng, [samples] in -1..1, `rate` per second. Raises ToolError if it is missing or fails."""
    command = ["espeak-ng", "-v", voice, "--stdin", "--stdout"]
    try:
        result = subprocess.run(command, input=text.encode(), capture_output=True, check=True)
    except FileNotFoundError:
        raise ToolError("espeak-ng is missing: apt-get install espeak-ng") from None
    except subprocess.CalledProcessError as error:
        raise ToolError(f"espeak-ng failed: {error.stderr.decode(errors='replace').strip()}") from None
    # Written to a pipe, the header claims the largest possible length; the data end where the pipe ended.
    return resample(*samples_of(result.stdout, "espeak-ng"), rate)


def read_wav(path: str | Path) -> FloatArray:
    """A mono PCM WAV file of any rate, [samples] in -1..1 at 16 kHz. Raises ModelError if it is not one."""
    return resample(*read_samples(path))


def resample(samples: FloatArray, rate: int, wanted: int = SAMPLE_RATE) -> FloatArray:
    """`samples` at `rate` per second to `wanted` per second, band-limited (by cutting the spectrum of the whole)."""
    if rate == wanted:
        return samples
    count = round(len(samples) * wanted / rate)
    spectrum = np.fft.rfft(samples)
    # numpy's irfft divides by the new length, the amplitude belongs to the old one.
    return np.fft.irfft(spectrum[: count // 2 + 1], count) * (count / len(samples))
