"""Samples of WAV files as input frames of a network."""

from __future__ import annotations

import io
import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from rnn_mapper import cells
from rnn_mapper.errors import ModelError
from rnn_mapper.importers import Imported
from rnn_mapper.importers.arrays import read_samples, wav_frames
from rnn_mapper.run.sequences import as_sequences
from tests.support.random_networks import random_network

#: By sample width in bytes: the extremes, zero, and the values next to zero.
CODES = {width: (-(1 << 8 * width - 1), (1 << 8 * width - 1) - 1, 0, 1, -1) for width in (1, 2, 3, 4)}


def wav(path: Path, codes: tuple[int, ...], width: int = 2, rate: int = 16000, channels: int = 1) -> Path:
    """A file of signed `codes`, written byte by byte."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        offset = 128 if width == 1 else 0  # 8 bits are unsigned
        file.writeframes(b"".join((code + offset).to_bytes(width, "little", signed=width > 1) for code in codes))
    return path


@pytest.mark.parametrize("width", CODES)
def test_every_width(width: int, tmp_path: Path) -> None:
    samples, rate = read_samples(wav(tmp_path / "a.wav", CODES[width], width, 8000))
    assert rate == 8000
    assert samples.tolist() == [code / 2 ** (8 * width - 1) for code in CODES[width]]


def test_frames_are_consecutive_samples_and_the_last_is_filled(tmp_path: Path) -> None:
    path = wav(tmp_path / "speech.WAV", tuple(range(7)))
    wanted = np.array([[0, 1, 2, 3, 4], [5, 6, 0, 0, 0]]) / 2**15
    model = Imported(random_network(0, cells.gru, 5))
    assert (wav_frames(path, 5, 16000) == wanted).all()
    for given in (str(path), path, [path]):
        (sequence,) = as_sequences(given, model).values
        assert (sequence == wanted).all()
    assert [one.tolist() for one in as_sequences([path, path], model).values] == [wanted.tolist()] * 2
    assert as_sequences(path, Imported(random_network(0, cells.gru, 1))).steps == (7,)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is not a PCM WAV file ()"),
        (b"no audio at all", "is not a PCM WAV file (file does not start with RIFF id)"),
        ("float", "is not a PCM WAV file (unknown format: 3)"),
        ("stereo", "has 2 channels of 16 bits, must be mono of 8, 16, 24 or 32 bits"),
        ("empty", "holds no samples, must hold at least one"),
        ("rate", "has 8000 samples per second, must have 16000"),
    ],
)
def test_others_are_refused(content: bytes | str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "float":
        form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, 16000, 64000, 4, 32)
        path.write_bytes(struct.pack("<4sI4s", b"RIFF", 44, b"WAVE") + form + struct.pack("<4sI8x", b"data", 8))
    elif content is not None:
        codes = () if content == "empty" else (1, 2, 3, 4)
        wav(path, codes, channels=2 if content == "stereo" else 1, rate=8000 if content == "rate" else 16000)
    with pytest.raises(ModelError) as error:
        wav_frames(path, 2, 16000)
    assert str(error.value) == f"{path}: {message}"


def test_data_that_end_early_are_taken_as_far_as_they_go(tmp_path: Path) -> None:
    """Like a file from a pipe, whose header claims more data than the file has."""
    path = wav(tmp_path / "a.wav", (1, 2, 3))
    data = io.BytesIO(path.read_bytes()).getvalue()
    path.write_bytes(data[:40] + struct.pack("<I", 0x7FFFFFFE) + data[44:-1])
    assert (read_samples(path)[0] * 2**15).tolist() == [1, 2]
