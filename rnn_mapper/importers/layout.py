"""The layout of an array that holds a batch of sequences: which axis is the steps, the batch, the features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_mapper.errors import ConfigurationError

__all__ = ["BATCH_FIRST", "STEPS_FIRST", "Axis", "Layout", "layout_of"]


class Axis(StrEnum):
    """The meaning of an axis."""

    BATCH = "batch"
    STEPS = "steps"
    FEATURES = "features"


@dataclass(frozen=True)
class Layout:
    """The axes of an array of sequences, in their order.

    Steps occur once, the batch at most once. Several axes of features, as in [batch, steps, 4, 10], are the features of
    a step in C order.
    """

    axes: tuple[Axis, ...]

    def __str__(self) -> str:
        return f"[{', '.join(self.axes)}]"

    @property
    def has_batch(self) -> bool:
        """Whether the batch has an axis."""
        return Axis.BATCH in self.axes

    @property
    def unbatched(self) -> Layout:
        """The same without the batch."""
        return Layout(tuple(axis for axis in self.axes if axis is not Axis.BATCH))

    def split(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """An array in this layout as [batch, steps, features]."""
        batch = [self.axes.index(Axis.BATCH)] if self.has_batch else []
        features = [number for number, axis in enumerate(self.axes) if axis is Axis.FEATURES]
        moved = array.transpose(*batch, self.axes.index(Axis.STEPS), *features)
        return moved.reshape(*(moved.shape[:2] if batch else (1, len(moved))), -1)

    def join(self, sequences: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Sequences [steps, values], all of the same shape, in this layout; the values take the first axis of features.

        Results without steps, [values], are stacked: [batch, values].
        """
        stacked = np.stack(sequences)
        if stacked.ndim != 3:
            return stacked if self.has_batch else stacked[0]
        order = [axis for number, axis in enumerate(self.axes) if axis not in self.axes[:number]]
        place = {Axis.BATCH: 0, Axis.STEPS: 1, Axis.FEATURES: 2}
        if not self.has_batch:
            stacked, place = stacked[0], {Axis.STEPS: 0, Axis.FEATURES: 1}
        return stacked.transpose(*(place[axis] for axis in order))


#: PyTorch's and ONNX's default.
STEPS_FIRST = Layout((Axis.STEPS, Axis.BATCH, Axis.FEATURES))
#: PyTorch's ``batch_first=True``, ONNX's ``layout = 1``, Keras's default.
BATCH_FIRST = Layout((Axis.BATCH, Axis.STEPS, Axis.FEATURES))
_NAMED = {"steps-first": STEPS_FIRST, "batch-first": BATCH_FIRST}


def layout_of(layout: Layout | str) -> Layout:
    """The layout of a name, ``steps-first`` or ``batch-first``. Raises ConfigurationError for any other name."""
    if isinstance(layout, Layout):
        return layout
    if layout not in _NAMED:
        raise ConfigurationError(f"layout {layout!r} is unknown: choose {' or '.join(_NAMED)}")
    return _NAMED[layout]
