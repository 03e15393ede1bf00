"""Speech, at 16 kHz unless another rate is named: spoken by espeak-ng, or from a WAV file."""

import io
import subprocess
import wave
from pathlib import Path

import numpy as np

from .errors import ModelError, ToolError
from .network import FloatArray

#: Samples per second where none are named.
SAMPLE_RATE = 16000


def speak(text: str, voice: str = "en", rate: int = SAMPLE_RATE) -> FloatArray:
    """`text` spoken by espeak-ng, [samples] in -1..1, `rate` per second. Raises ToolError if espeak-ng is missing or fails."""
    command = ["espeak-ng", "-v", voice, "--stdin", "--stdout"]
    try:
        result = subprocess.run(command, input=text.encode(), capture_output=True, check=True)
    except FileNotFoundError:
        raise ToolError("espeak-ng is missing: apt-get install espeak-ng") from None
    except subprocess.CalledProcessError as error:
        raise ToolError(f"espeak-ng failed: {error.stderr.decode(errors='replace').strip()}") from None
    # Written to a pipe, the header claims the largest possible length; the data end where the pipe ended.
    return _read_wave(io.BytesIO(result.stdout), "espeak-ng", rate)


def read_wav(path: str | Path) -> FloatArray:
    """A mono 16-bit PCM WAV file of any rate, [samples] in -1..1 at 16 kHz. Raises ModelError if it is not one."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    return _read_wave(io.BytesIO(data), str(path), SAMPLE_RATE)


def resample(samples: FloatArray, rate: int, wanted: int = SAMPLE_RATE) -> FloatArray:
    """`samples` at `rate` per second to `wanted` per second, band-limited (by cutting the spectrum of the whole)."""
    if rate == wanted:
        return samples
    count = round(len(samples) * wanted / rate)
    spectrum = np.fft.rfft(samples)
    # numpy's irfft divides by the new length, the amplitude belongs to the old one.
    return np.fft.irfft(spectrum[: count // 2 + 1], count) * (count / len(samples))


def _read_wave(stream: io.BytesIO, source: str, wanted: int) -> FloatArray:
    try:
        with wave.open(stream) as file:
            form = (file.getnchannels(), file.getsampwidth())
            rate, data = file.getframerate(), file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ModelError(f"{source}: is not a PCM WAV file ({error})") from None
    if form != (1, 2):
        raise ModelError(f"{source}: has {form[0]} channels of {8 * form[1]} bits, must be mono of 16 bits")
    if not data:
        raise ModelError(f"{source}: holds no samples, must hold at least one")
    return resample(np.frombuffer(data[: len(data) // 2 * 2], dtype="<i2") / 32768.0, rate, wanted)
