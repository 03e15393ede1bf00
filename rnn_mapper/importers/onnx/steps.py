"""The steps that a tensor holds, found from sequences of a few lengths and valid for any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnn_mapper.errors import ModelError
from rnn_mapper.summary import counted

__all__ = ["Steps", "steps_of"]

IndexArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Steps:
    """Steps of a sequence: a range from `first` to the one `last` before the end, or single ones."""

    first: int = 0
    last: int = 0
    backward: bool = False
    #: Single steps instead: (step, False) from the beginning, (steps before the end, True) from the end.
    single: tuple[tuple[int, bool], ...] | None = None

    @property
    def is_all(self) -> bool:
        """All steps in their order."""
        return self == Steps()

    def indices(self, steps: int) -> IndexArray:
        """The steps of a sequence of so many. Raises ModelError if it is too short."""
        if self.single is not None:
            found = np.array([steps - at if from_end else at for at, from_end in self.single], dtype=np.int64)
        else:
            found = np.arange(self.first, steps - self.last, dtype=np.int64)
            found = found[::-1] if self.backward else found
        if found.size == 0 or found.min() < 0 or found.max() >= steps:
            raise ModelError(f"{counted(steps, 'step')} {'is' if steps == 1 else 'are'} too few for those that "
                             f"the model takes ({self})")
        return found

    def __str__(self) -> str:
        if self.single is not None:
            texts = ["the last step" if one == (1, True) else f"step {-at if end else at}" for one in self.single
                     for at, end in (one,)]
            return ", ".join(texts if len(texts) <= 4 else [*texts[:3], f"... ({len(texts)} steps)"])
        text = "all steps" if not self.first and not self.last else f"steps {self.first} to {-1 - self.last}"
        return text + (", the last one first" if self.backward else "")


def steps_of(found: Sequence[tuple[IndexArray, int]]) -> Steps:
    """The steps that were found in sequences of these lengths; raises ModelError if nothing describes them."""
    longest = max(len(steps) for steps, _ in found)
    for backward in (False, True):
        ranges = {_range(steps[::-1] if backward else steps, count) for steps, count in found}
        if len(ranges) != 1 or (ends := ranges.pop()) is None:
            continue
        # One length does not distinguish a range from a single step; then the single step is meant.
        if ends == (0, 0) or len(found) > 1 or longest > 1:
            return Steps(*ends, backward and longest > 1)
    single = []
    if len({len(steps) for steps, _ in found}) == 1:
        for places in zip(*(steps for steps, _ in found), strict=True):
            starts = {int(step) for step in places}
            ends_of = {count - int(step) for step, (_, count) in zip(places, found, strict=True)}
            if len(ends_of) == 1 and (len(found) > 1 or ends_of == {1}):
                single.append((ends_of.pop(), True))
            elif len(starts) == 1:
                single.append((starts.pop(), False))
            else:
                break
        else:
            return Steps(single=tuple(single))
    raise ModelError("which steps are taken depends on the number of steps in a way that cannot be described")


def _range(steps: IndexArray, count: int) -> tuple[int, int] | None:
    """Steps before the first and after the last, if they follow one another."""
    if not len(steps) or (steps != np.arange(steps[0], steps[0] + len(steps))).any():
        return None
    return int(steps[0]), count - 1 - int(steps[-1])
