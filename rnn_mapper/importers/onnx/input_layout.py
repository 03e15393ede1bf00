"""The layout of a graph's input, from the steps, streams and features that its elements turned out to be."""

from __future__ import annotations

import numpy as np

from rnn_mapper.importers.layout import Axis, Layout
from rnn_mapper.importers.onnx.walk import Walk

__all__ = ["input_layout"]


def input_layout(walk: Walk) -> Layout | None:
    """The layout in which a batch is given to the graph; None if its elements are in another order than any layout's.

    An axis of size 1 shows nothing by itself. The batch is then the first such axis whose size the graph leaves open,
    else the first one.
    """
    source, rows = walk.sources.all[0], walk.order.rows
    assert rows is not None
    assert source.row_of is not None
    assert source.feature_of is not None
    step_of, stream_of = (np.empty(rows.size, dtype=np.int64) for _ in range(2))
    step_of[rows], stream_of[rows] = np.arange(len(rows))[:, None], np.arange(rows.shape[1])
    places = {
        Axis.STEPS: step_of[source.row_of], Axis.BATCH: stream_of[source.row_of], Axis.FEATURES: source.feature_of,
    }
    axes: dict[int, Axis] = {}
    for axis, place in places.items():
        shaped = place.reshape(source.shape)
        axes |= {number: axis for number in range(shaped.ndim) if np.diff(shaped, axis=number).any()}
    free = [number for number in range(len(source.shape)) if number not in axes]
    free.sort(key=lambda number: isinstance(walk.cut.shape[number], int))
    if free and Axis.STEPS not in axes.values():
        axes[free.pop(0)] = Axis.STEPS
    if len(source.shape) > 2 and free and Axis.BATCH not in axes.values():
        axes[free.pop(0)] = Axis.BATCH
    layout = Layout(tuple(axes.get(number, Axis.FEATURES) for number in range(len(source.shape))))
    if layout.axes.count(Axis.STEPS) != 1 or layout.axes.count(Axis.BATCH) > 1:
        return None
    elements = np.empty((rows.shape[1], len(rows), source.features), dtype=np.int64)
    elements[places[Axis.BATCH], places[Axis.STEPS], source.feature_of] = np.arange(source.row_of.size)
    split = layout.split(np.arange(source.row_of.size).reshape(source.shape))
    return layout if split.shape == elements.shape and (split == elements).all() else None
