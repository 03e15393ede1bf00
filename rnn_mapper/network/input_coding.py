"""The affine map that the host applies to the inputs of a network, such as a normalisation by mean and deviation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnn_mapper.errors import ModelError
from rnn_mapper.network.tensors import FloatArray, check_tensor
from rnn_mapper.summary import counted

__all__ = ["InputCoding"]


@dataclass(frozen=True, eq=False)
class InputCoding:
    """One scale and one offset a feature: a network computes with ``x * scale + offset``.

    It is a part of the coding of an input as an integer, which the host does in floating point in any case:
    ``rint((x * scale + offset) / input_scale)``. So it costs no cycle of the grid and no accuracy.
    Raises ModelError if the vectors [input_size] are not finite, or of different sizes.
    """

    scale: FloatArray
    offset: FloatArray

    def __post_init__(self) -> None:
        for name in ("scale", "offset"):
            object.__setattr__(self, name, check_tensor(f"input.{name}", getattr(self, name), 1))
        if self.scale.shape != self.offset.shape:
            raise ModelError(
                f"input.scale has {counted(len(self.scale), 'value')}, must have as many as input.offset, "
                f"{len(self.offset)}"
            )

    def apply(self, inputs: FloatArray) -> FloatArray:
        """The values that the network computes with, for inputs [..., input_size]."""
        return inputs * self.scale + self.offset

    def invert(self, values: FloatArray) -> FloatArray:
        """Inputs that give these values [..., input_size]; 0 for a feature with scale 0."""
        used = np.where(self.scale == 0, 1.0, self.scale)
        return np.where(self.scale == 0, 0.0, (values - self.offset) / used)

    def to_json(self) -> dict[str, list[float]]:
        """As JSON values."""
        return {"scale": self.scale.tolist(), "offset": self.offset.tolist()}
