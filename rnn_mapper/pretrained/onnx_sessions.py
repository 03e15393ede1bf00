"""ONNX graphs in onnxruntime, which gives the same bits on every run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx.shape_inference
import onnx.utils
import onnxruntime

__all__ = ["part_session", "session"]


def session(model: Any) -> Any:
    """An ``onnxruntime.InferenceSession`` of a loaded ONNX model, on one thread: the same sums in the same order."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def part_session(model: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """A session of the part of the graph between these tensors."""
    extractor = onnx.utils.Extractor(onnx.shape_inference.infer_shapes(model))
    return session(extractor.extract_model(list(inputs), list(outputs)))
