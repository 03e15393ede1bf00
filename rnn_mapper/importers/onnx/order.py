"""The order of a sequence: which row of the sources is which step of which stream."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.onnx.glue import Value
from rnn_mapper.importers.onnx.sources import HostRecipe, IndexArray, Sources, Taken

__all__ = ["Order"]


@dataclass(eq=False)
class Order:
    """The order of one walk."""

    sources: Sources
    #: [steps, streams] of rows, once a recurrent layer has been met.
    rows: IndexArray | None = None
    #: Axis of the start along which the steps lie, if there are several.
    time_axis: int | None = None
    #: By numbering of rows: the stream of each row and its place within the stream.
    streams: dict[int, IndexArray] = field(default_factory=dict)
    places: dict[int, IndexArray] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Steps of the sequence; 0 before a recurrent layer has been met."""
        return 0 if self.rows is None else len(self.rows)

    def follow(self, rows: IndexArray) -> bool:
        """Whether rows [steps, batch] are the sequence backwards; raises ModelError if they are no whole sequence."""
        if self.rows is None:
            backward = self._first(rows)
            self.rows = rows[::-1] if backward else rows
            count = rows.size
            self.streams[0], self.places[0] = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
            self.streams[0][self.rows] = np.arange(rows.shape[1])
            self.places[0][self.rows] = np.arange(rows.shape[0])[:, None]
            return backward
        for backward in (False, True):
            if self.rows.shape == rows.shape and (rows == (self.rows[::-1] if backward else self.rows)).all():
                return backward
        raise ModelError("X is not the whole sequence of the layer below it, step by step")

    def _first(self, rows: IndexArray) -> bool:
        """Whether the first layer runs along an axis of the input from its end."""
        source = self.sources.all[0]
        if rows.size != source.rows or len(np.unique(rows)) != rows.size:
            raise ModelError(f"X is not all of {source}")
        coordinates = np.unravel_index(self.sources.bases[rows], source.shape)
        backward = False
        chosen: list[int] = []
        for along, size in ((0, rows.shape[0]), (1, rows.shape[1])):
            moving = [axis for axis, place in enumerate(coordinates) if (place != place.take([0], along)).any()]
            if size == 1:
                continue
            place = coordinates[moving[0]] if len(moving) == 1 else np.zeros_like(rows)
            wanted = np.arange(size)[:, None] if along == 0 else np.arange(size)
            if along == 0 and (place == wanted[::-1]).all():
                backward = True
            elif not (place == wanted).all():
                what = "steps" if along == 0 else "streams"
                raise ModelError(f"the {what} of X are not those of {source} in their order")
            chosen.append(moving[0])
            if along == 0:
                self.time_axis = moving[0]
        if len(set(chosen)) != len(chosen):
            raise ModelError(f"steps and streams of X are along one axis of {source}")
        return backward

    def picked(self, value: Value) -> Taken:
        """Rows made of elements of several steps, which only the host can put together."""
        sources, rows, columns = self.sources.located(value)
        space = sources[0].space
        if space not in self.streams:
            raise ModelError("takes values of several steps before the first recurrent layer")
        width = value.shape[-1]
        flat_rows, flat_columns = rows.reshape(-1, width), columns.reshape(-1, width)
        stream = self.streams[space][flat_rows]
        if (stream != stream[:, :1]).any():
            raise ModelError("takes values of several streams of the batch, which must stay apart")
        recipe = HostRecipe(None, sources=sources, picks=(flat_rows, flat_columns))
        source = self.sources.add("values of several steps", recipe, len(flat_rows), width, None)
        self.streams[source.space] = stream[:, 0]
        places = np.zeros(len(flat_rows), dtype=np.int64)
        for one in np.unique(stream[:, 0]):
            mine = stream[:, 0] == one
            places[mine] = np.arange(mine.sum())
        self.places[source.space] = places
        return Taken((source,), np.arange(width), np.arange(len(flat_rows)).reshape(value.shape[:-1]))
