"""The user's inputs, in whatever form and layout, as sequences; and results back in the form of the inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_mapper.errors import ModelError
from rnn_mapper.importers import Imported
from rnn_mapper.importers.arrays import is_wav, load_batch, wav_frames
from rnn_mapper.importers.layout import BATCH_FIRST, STEPS_FIRST, Axis, Layout, layout_of
from rnn_mapper.network.tensors import FloatArray, check_tensor, shape_text
from rnn_mapper.summary import counted

__all__ = ["Sequences", "as_sequences", "sequences_text"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Sequences:
    """Sequences that the user gave, each from its own start state."""

    #: Inputs of each sequence [steps, input_size]; steps may differ.
    values: tuple[FloatArray, ...]
    #: How the inputs were read, such as ``6 sequences of 2 steps, read as [batch, steps, features]``.
    text: str
    #: From one array [steps, values] (or [values]) for each sequence to the form of the inputs: an array in their
    #: layout, with zeros where they are padded, or a list for a list. Arrays that do not fit into one stay a list.
    restore: Callable[[Sequence[Array]], Any]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps of each sequence."""
        return tuple(len(one) for one in self.values)

    @property
    def joined(self) -> FloatArray:
        """All sequences, one after the other, [steps, input_size]: as input for calibration."""
        return np.concatenate(self.values)


def as_sequences(
    inputs: Any, model: Imported, *, layout: Layout | str | None = None, lengths: Any = None, rate: int | None = None
) -> Sequences:
    """The sequences in an array, a tensor, a file (``.npy``, ``.npz``, ``.wav``), or in a list of these.

    Two dimensions are one sequence, [steps, features]; with three or more the array holds a batch in `layout`, a Layout
    or the name ``steps-first`` or ``batch-first``. Without one the model's own layout holds (``batch_first`` of a
    module, the axes of an ONNX graph's input). If the model does not say either, a batch is read as [batch, steps,
    features], and rejected if that makes several sequences of a single step.

    `lengths` are the numbers of steps of the sequences of a padded batch; an ``.npz`` may hold them as ``lengths``. A
    PyTorch PackedSequence is a list of its sequences in their original order. A WAV file is one sequence of frames
    (`importers.arrays.wav_frames`); if `rate` is given, it must have that many samples per second.
    Raises ModelError or ConfigurationError.
    """
    if type(inputs).__name__ == "PackedSequence" and hasattr(inputs, "unsorted_indices"):
        inputs = _unpacked(inputs)
    if isinstance(inputs, Sequences):
        return inputs
    reader = _Reader(model, None if layout is None else layout_of(layout), rate)
    if not _is_list(inputs):
        return reader.read(inputs, lengths, "inputs")
    if not len(inputs):
        raise ModelError("inputs hold no sequence, must hold one or more")
    if lengths is not None:
        raise ModelError("lengths are for one padded array: a list has sequences of their own lengths")
    read = [reader.read(one, None, f"inputs[{index}]") for index, one in enumerate(inputs)]
    if len(read) == 1:
        only = read[0]
        return only if isinstance(inputs[0], str | Path) else Sequences(
            only.values, only.text, lambda results: [only.restore(results)]
        )
    steps = [count for one in read for count in one.steps]

    def restore(results: Sequence[Array]) -> list[Any]:
        rest = iter(results)
        return [one.restore([next(rest) for _ in one.values]) for one in read]

    return Sequences(tuple(value for one in read for value in one.values), sequences_text(steps), restore)


def sequences_text(steps: Sequence[int]) -> str:
    """Such as ``1 sequence of 40 steps`` or ``3 sequences of 2 to 5 steps``."""
    low, high = min(steps), max(steps)
    many = f"{low} to {high} steps" if low != high else counted(low, 'step')
    return f"{counted(len(steps), 'sequence')} of {many}"


def _is_list(inputs: Any) -> bool:
    """Whether each element is an input by itself, and not a row of one array in nested lists of numbers."""
    if not isinstance(inputs, list | tuple):
        return False
    return all(isinstance(one, str | Path) or getattr(one, "ndim", 0) >= 2 or _depth(one) >= 2 for one in inputs)


def _depth(value: Any) -> int:
    return 1 + _depth(value[0]) if isinstance(value, list | tuple) and len(value) else 0


def _unpacked(packed: Any) -> list[Any]:
    from torch.nn.utils.rnn import unpack_sequence  # the caller has PyTorch, as it made the sequence

    return list(unpack_sequence(packed))


@dataclass(frozen=True)
class _Reader:
    """Reads the inputs of a model."""

    model: Imported
    layout: Layout | None
    rate: int | None

    @property
    def input_size(self) -> int:
        """Features of a step."""
        return self.model.network.input_size

    def read(self, given: Any, lengths: Any, name: str) -> Sequences:
        """The sequences of one array, tensor or file."""
        if isinstance(given, str | Path):
            name = f"{given}: inputs"
            if is_wav(given):
                frames = wav_frames(given, self.input_size, self.rate)
                return Sequences((frames,), sequences_text([len(frames)]), lambda results: results[0])
            given, stored = load_batch(given)
            lengths = stored if lengths is None else lengths
        if hasattr(given, "detach"):
            given = given.detach().cpu().double().numpy()
        if np.ndim(given) < 2:
            check_tensor(name, given, 2)
        array = check_tensor(name, given, np.ndim(given))
        layout, source = self._layout(array, name)
        batch = layout.split(array)
        if batch.shape[2] != self.input_size:
            raise ModelError(self._width_message(array, name, layout, batch.shape[2]))
        steps = [batch.shape[1]] * len(batch)
        if lengths is not None:
            steps = _checked_lengths(lengths, *batch.shape[:2])
        text = sequences_text(steps)
        if layout.has_batch:
            text += f", read as {layout} ({source})"
        values = tuple(np.ascontiguousarray(one[:count]) for one, count in zip(batch, steps, strict=True))
        longest = batch.shape[1]

        def restore(results: Sequence[Array]) -> Any:
            if lengths is not None and all(len(one) == count for one, count in zip(results, steps, strict=True)):
                results = [np.pad(one, [(0, longest - len(one)), *[(0, 0)] * (one.ndim - 1)]) for one in results]
            if len({np.shape(one) for one in results}) > 1:
                return list(results)
            return layout.join(results)

        return Sequences(values, text, restore)

    def _layout(self, array: Array, name: str) -> tuple[Layout, str]:
        """The layout of an array of two or more dimensions, and where it comes from."""
        own = self.model.layout
        chosen = self.layout or own
        source = "as given" if self.layout else "the model's own layout"
        if chosen is not None and chosen.has_batch and array.ndim == len(chosen.axes) - 1:
            chosen = chosen.unbatched
        if array.ndim == 2 and (chosen is None or len(chosen.axes) != 2 or array.shape[1] == self.input_size):
            # One sequence is [steps, features] unless only the transpose fits a graph that takes features first.
            return Layout((Axis.STEPS, Axis.FEATURES)), source
        if chosen is not None and array.ndim == len(chosen.axes):
            return chosen, source
        if array.ndim != 3:
            raise ModelError(
                f"{name} has shape {shape_text(array)}, must be [steps, features] or a batch {chosen or BATCH_FIRST}"
            )
        if array.shape[0] > 1 and array.shape[1] == 1:
            readings = " or ".join(
                f"{text} ({layout}: {sequences_text([array.shape[layout.axes.index(Axis.STEPS)]] * count)})"
                for text, layout, count in (
                    ("steps-first", STEPS_FIRST, 1), ("batch-first", BATCH_FIRST, array.shape[0])
                )
            )
            raise ModelError(
                f"{name} has shape {shape_text(array)}, and the model does not say which axis is the steps: give the "
                f"layout (--layout, or layout= in Python), {readings}"
            )
        return BATCH_FIRST, "assumed, as the model does not say"

    def _width_message(self, array: Array, name: str, layout: Layout, found: int) -> str:
        text = f"{name} has shape {shape_text(array)}, must have {self.input_size} features per step"
        if layout.has_batch:
            text += f"; read as {layout} it has {found}"
        return text


def _checked_lengths(lengths: Any, count: int, longest: int) -> list[int]:
    """The lengths of the sequences of a padded batch."""
    if hasattr(lengths, "detach"):
        lengths = lengths.detach().cpu().numpy()
    array = np.asarray(lengths)
    if array.dtype.kind not in "iuf" or array.shape != (count,) or (array != np.floor(array)).any():
        text = f"must be {count} whole numbers, one for each sequence"
        raise ModelError(f"lengths have shape {shape_text(array)}, {text}")
    wrong = [int(one) for one in array if not 1 <= one <= longest]
    if wrong:
        raise ModelError(f"lengths hold {wrong[0]}, must be 1 to {longest}, the steps of the padded batch")
    return [int(one) for one in array]
