"""Vectors as the bytes of a grid's streams."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rnn_mapper.fixed_point import Codes

__all__ = ["input_packet", "output_steps"]


def input_packet(inputs: Codes, beat_bytes: int) -> bytes:
    """The operand codes [steps, size] of a sequence as one packet: every step begins with a beat."""
    steps, size = inputs.shape
    beat = beat_bytes // inputs.itemsize
    padded = np.zeros((steps, -(-size // beat) * beat), dtype=inputs.dtype.newbyteorder("<"))
    padded[:, :size] = inputs
    return padded.tobytes()


def output_steps(data: bytes, steps: int, width: int) -> npt.NDArray[np.int16]:
    """The 16-bit outputs [steps, width] in the bytes that a sequence gave; raises when they are not as many."""
    values = np.frombuffer(data, dtype="<i2")
    if len(values) != steps * width:
        raise AssertionError(f"{len(values)} output values, expected {steps} x {width}")
    return values.reshape(steps, width)
