"""Samples of PCM WAV files, and frames of them as the inputs of a network."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np

from rnn_mapper.errors import ModelError
from rnn_mapper.network.tensors import FloatArray

__all__ = ["is_wav", "read_samples", "samples_of", "wav_frames"]


def is_wav(path: str | Path) -> bool:
    """The name says that it is a WAV file."""
    return Path(path).suffix.lower() == ".wav"


def wav_frames(path: str | Path, input_size: int, rate: int | None = None) -> FloatArray:
    """Frames of consecutive samples [ceil(samples / input_size), input_size] in -1..1; the last is filled with zeros.

    The file is mono, PCM of 8, 16, 24 or 32 bits, with `rate` samples per second (any if None). Raises ModelError with
    the path otherwise.
    """
    samples, found = read_samples(path)
    if rate is not None and found != rate:
        raise ModelError(f"{path}: has {found} samples per second, must have {rate}")
    frames = -(-len(samples) // input_size)
    return np.pad(samples, (0, frames * input_size - len(samples))).reshape(frames, input_size)


def read_samples(path: str | Path) -> tuple[FloatArray, int]:
    """The samples of a file in -1..1, and how many a second has. Raises ModelError as `samples_of`."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    return samples_of(data, str(path))


def samples_of(data: bytes, source: str) -> tuple[FloatArray, int]:
    """The samples of a WAV file's bytes [samples] in -1..1, and how many a second has.

    The data may end before the length that the header claims, as in a pipe. Raises ModelError, with `source`, unless
    they are mono PCM of 8, 16, 24 or 32 bits with at least one sample.
    """
    try:
        with wave.open(io.BytesIO(data)) as file:
            channels, width = file.getnchannels(), file.getsampwidth()
            rate, content = file.getframerate(), file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ModelError(f"{source}: is not a PCM WAV file ({error})") from None
    if channels != 1 or width not in (1, 2, 3, 4):
        raise ModelError(
            f"{source}: has {channels} channel{'s' if channels > 1 else ''} of {8 * width} bits, must be mono of 8, "
            "16, 24 or 32 bits"
        )
    count = len(content) // width
    if not count:
        raise ModelError(f"{source}: holds no samples, must hold at least one")
    octets = np.frombuffer(content[: count * width], dtype=np.uint8).reshape(count, width)
    if width == 1:
        return (octets[:, 0].astype(np.float64) - 128.0) / 128.0, rate  # unsigned, unlike all others
    # To the top of 32 bits, little endian.
    words = np.zeros((count, 4), dtype=np.uint8)
    words[:, 4 - width :] = octets
    return words.view("<i4")[:, 0].astype(np.float64) / 2.0**31, rate
