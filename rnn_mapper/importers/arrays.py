"""Arrays from NumPy files, and samples and frames from PCM WAV files: the inputs of a network."""

from __future__ import annotations

import io
import wave
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.messages import with_source
from rnn_mapper.network.tensors import FloatArray, check_inputs

__all__ = [
    "is_wav", "load_arrays", "load_batch", "load_inputs", "read_samples", "samples_of", "wav_frames",
]

#: Bytes that a compressed file may unpack to: so many times its own, or so many.
_MOST_PACKED, _ALWAYS_UNPACKED = 100, 64 << 20


def load_inputs(path: str | Path, input_size: int) -> FloatArray:
    """Read inputs [steps, input_size] from an ``.npy``, or an ``.npz`` of one array or of one named ``inputs``.

    Raises ModelError with the path if there is no such array, it is not finite, empty or of another width.
    """
    array, _ = load_batch(path)
    return with_source(path, lambda: check_inputs(array, input_size))


def load_batch(path: str | Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
    """The array of an ``.npy``, or of an ``.npz`` of one array or of one named ``inputs``, of any shape.

    And the array named ``lengths`` of an ``.npz``, else None. Raises ModelError with the path.
    """
    arrays = _read(Path(path))
    if isinstance(arrays, np.ndarray):
        return arrays, None
    lengths = arrays.pop("lengths", None)
    if "inputs" not in arrays and len(arrays) != 1:
        raise ModelError(f"{path}: holds {len(arrays)} arrays, must hold a single one or one named 'inputs'")
    return arrays["inputs"] if "inputs" in arrays else next(iter(arrays.values())), lengths


def load_arrays(path: str | Path) -> dict[str, npt.NDArray[Any]]:
    """All arrays of an ``.npz`` by name; raises ModelError with the path if the file is not an intact ``.npz``."""
    arrays = _read(Path(path))
    if isinstance(arrays, np.ndarray):
        raise ModelError(f"{path}: holds a single array, a model must be an .npz of named tensors")
    return arrays


def _read(path: Path) -> npt.NDArray[Any] | dict[str, npt.NDArray[Any]]:
    if not path.exists():
        raise ModelError(f"{path}: no such file")
    if path.is_dir():
        raise ModelError(f"{path}: is a directory, must be an .npz or .npy file")
    try:
        _check_unpacked(path)
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            arrays = {name: loaded[name] for name in loaded.files}
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or 'damaged file'}") from None
    except Exception as error:  # numpy, zipfile and zlib raise many errors on damaged files, none of them documented
        reason = "pickled objects are not accepted" if "Object arrays" in str(error) else "damaged, or not a NumPy file"
        raise ModelError(f"{path}: {reason}") from None
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):  # other members of a zip come as bytes
        raise ModelError(f"{path}: damaged, or not a NumPy file")
    return arrays


def _check_unpacked(path: Path) -> None:
    """Refuse a file whose members unpack to far more than weights and inputs ever do."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(info.file_size for info in archive.infolist())
        packed = max((info.compress_size for info in archive.infolist()), default=0)
    size = path.stat().st_size
    limit = max(_MOST_PACKED * size, _ALWAYS_UNPACKED)
    if packed > size:
        raise ModelError(f"{path}: damaged, or not a NumPy file")
    if unpacked > limit:
        raise ModelError(f"{path}: unpacks to {unpacked} bytes, must be {limit} at most, {_MOST_PACKED} times the file")


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
    """The samples of a file in -1..1 and its sample rate. Raises ModelError as `samples_of`."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    return samples_of(data, str(path))


def samples_of(data: bytes, source: str) -> tuple[FloatArray, int]:
    """The samples of a WAV file's bytes [samples] in -1..1 and the sample rate.

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
