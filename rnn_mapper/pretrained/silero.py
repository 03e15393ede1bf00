"""The Silero voice-activity detector: its LSTM as a network, its encoder and decoder in onnxruntime.

The model is silero_vad_16k_sequence.onnx of the silero-vad package (MIT licence). The safetensors file beside it holds
another checkpoint.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.imported import Selection
from rnn_mapper.importers.onnx.load import load_onnx
from rnn_mapper.network.network import Network
from rnn_mapper.network.tensors import FloatArray, check_inputs, check_tensor
from rnn_mapper.pretrained.onnx_sessions import session
from rnn_mapper.pretrained.packages import package_file

#: Samples per second of the audio.
SAMPLE_RATE = 16000
#: Samples per decision.
FRAME = 512

_CONTEXT = 64  # samples of the frame before that the encoder sees
_BLOCK = 256  # frames per encoder call, bounds its memory
_LSTM_INPUT = "/Transpose_output_0"
_LSTM_OUTPUT = "/recurrent/LSTM_output_0"


class SileroVad:
    """The detector in three parts: ``probabilities(audio) == decode(LSTM(encode(audio)))``.

    Reads the installed package, or one unpacked at `directory`. Raises ToolError or ModelError if it is not there.
    """

    def __init__(self, directory: str | Path | None = None) -> None:
        # Loading these takes half a second, which commands that need no model should not spend.
        import onnx
        import onnx.shape_inference
        import onnx.utils

        path = package_file("silero_vad", "data/silero_vad_16k_sequence.onnx", directory)
        try:
            model = onnx.load(str(path))
        except Exception as error:  # protobuf's and the system's, undocumented
            raise ModelError(f"{path}: is not an ONNX model ({type(error).__name__})") from None
        #: The LSTM, 128 inputs and 128 hidden units.
        self.network = load_onnx(path, Selection(start=_LSTM_INPUT, stop=_LSTM_OUTPUT)).network
        extractor = onnx.utils.Extractor(onnx.shape_inference.infer_shapes(model))
        self._encoder = session(extractor.extract_model(["input"], [_LSTM_INPUT]))
        self._decoder = session(extractor.extract_model([_LSTM_OUTPUT], ["speech_probs"]))
        self._whole = session(model)

    def encode(self, audio: npt.ArrayLike) -> FloatArray:
        """The LSTM's inputs [frames, 128] of 16 kHz audio [samples] in -1..1; the last frame is padded with zeros."""
        frames = _frames(audio)
        blocks = [frames[i : i + _BLOCK] for i in range(0, len(frames), _BLOCK)]
        encoded = [self._encoder.run(None, {"input": block})[0] for block in blocks]
        return np.concatenate(encoded).reshape(len(frames), -1).astype(np.float64)

    def decode(self, h: FloatArray) -> FloatArray:
        """Speech probability of every frame [frames] from the LSTM's outputs [frames, 128]."""
        h = check_inputs(h, self.network.hidden_size, "h")
        sequence = h.astype(np.float32)[:, None, None]  # ONNX: steps, directions, batch, hidden
        return np.asarray(self._decoder.run(None, {_LSTM_OUTPUT: sequence})[0], dtype=np.float64).reshape(-1)

    def probabilities(self, audio: npt.ArrayLike) -> FloatArray:
        """Speech probability of every frame [frames] by the original model as a whole."""
        zeros = np.zeros((1, 1, self.network.hidden_size), dtype=np.float32)
        result = self._whole.run(["speech_probs"], {"input": _frames(audio), "h": zeros, "c": zeros})
        return np.asarray(result[0], dtype=np.float64).reshape(-1)


def silero_lstm(directory: str | Path | None = None) -> Network:
    """The detector's LSTM; `directory` and errors as SileroVad's."""
    return SileroVad(directory).network


def _frames(audio: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """[frames, context + frame]: each frame after the end of the one before, zeros before the first."""
    samples = check_tensor("audio", audio, 1)
    count = -(-len(samples) // FRAME)
    padded = np.zeros(_CONTEXT + count * FRAME, dtype=np.float32)
    padded[_CONTEXT : _CONTEXT + len(samples)] = samples
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(padded, _CONTEXT + FRAME)[::FRAME])
