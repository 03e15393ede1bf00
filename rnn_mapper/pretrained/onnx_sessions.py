"""ONNX graphs in onnxruntime, which gives the same bits on every run."""

from __future__ import annotations

from typing import Any

__all__ = ["session"]


def session(model: Any) -> Any:
    """An ``onnxruntime.InferenceSession`` of a loaded ONNX model, on one thread: the same sums in the same order."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
