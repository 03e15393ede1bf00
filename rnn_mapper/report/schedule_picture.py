"""A picture of the schedule on the grid: when each column multiplies which phase, and the traffic on the links."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.report.picture import GRID, INK, QUIET, picture_bytes, write_picture
from rnn_mapper.report.schedule_events import Multiplying, Window, events, show_window
from rnn_mapper.schedule.prediction import Prediction
from rnn_mapper.summary import counted

__all__ = ["draw_schedule", "schedule_picture"]

#: Corners of a box or ends of a line, in cycles and columns.
_Points = list[tuple[float, float]]

#: A colour for each phase, light for odd steps; they differ in lightness as well as in hue (Okabe and Ito's).
_HUES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C8C00", "#666666")
_INPUT = "#999999"
_BAR = 0.36  # half the height of a column's bar


def schedule_picture(models: Sequence[tuple[Mapping, Prediction]], path: str | Path, title: str = "") -> None:
    """Draw about two steps of each model, one below the other, and write them to `path` (.svg or .png).

    The same input gives the same bytes. Raises `OutputError` for another ending or when the file cannot be written.
    """
    write_picture(path, lambda kind: draw_schedule(models, kind, title))


def draw_schedule(models: Sequence[tuple[Mapping, Prediction]], kind: str, title: str = "") -> bytes:
    """The picture as the bytes of an "svg" or "png" file."""

    def draw(figure: Any) -> None:
        figure.suptitle(title or "Schedule on the grid", x=0.01, ha="left", fontsize=14, fontweight="bold", color=INK)
        panels = [figure] if len(models) == 1 else figure.subfigures(len(models), 1)
        for panel, (mapping, prediction) in zip(panels, models, strict=True):
            axes = panel.add_subplot()
            _draw(axes, mapping, prediction)
            model = f"model {mapping.reserved.model}   |   " if len(models) > 1 else ""
            _label(panel, axes, mapping, prediction, model)

    return picture_bytes(kind, (13, len(models) * (2.9 + 0.42 * models[0][0].parameters.cols)), draw)


def _draw(axes: Any, mapping: Mapping, prediction: Prediction) -> None:
    """All shapes, gathered in a few collections: one artist for each shape would take many seconds."""
    window = show_window(mapping, prediction)
    reach = max(timing.occupied for timing in mapping.timings) + 300  # nothing of a phase lives longer
    tokens = [t for t in prediction.tokens if window.first - reach <= t.cycle <= window.last]
    stream = mapping.parameters.cols + 0.15
    bars: dict[tuple[int, int], list[_Points]] = {}
    beats: dict[int, list[_Points]] = {}
    epilogues: list[_Points] = []
    flights: list[_Points] = []
    taken = {token.cycle for token in tokens}
    for event in events(mapping, tokens):
        if isinstance(event, Multiplying):
            if event.end > window.first and event.start < window.last:
                box = _box(event.start, event.end, event.col - _BAR, event.col + _BAR)
                bars.setdefault((event.phase, event.step % 2), []).append(box)
        elif event.collected + event.beats > window.first and event.computed < window.last:
            bottom = event.col + _BAR
            epilogues.append([(event.computed, bottom), (event.emitted + 0.5, bottom)])
            flights.append([(event.emitted + 0.5, bottom), (event.collected + 0.5, -0.5)])
            taken |= set(range(event.collected, event.collected + event.beats))
            if event.beats:
                box = _box(event.collected, event.collected + event.beats, stream - 0.2, stream + 0.2)
                beats.setdefault(event.phase, []).append(box)
    inputs = [
        _box(cycle, cycle + 1, stream - 0.2, stream + 0.2)
        for vector in prediction.inputs
        for cycle in range(max(vector.first, window.first), min(vector.last, window.last) + 1) if cycle not in taken
    ]
    _add_shapes(axes, bars, beats, inputs, epilogues, flights, window)
    for token in tokens:
        if token.cycle >= window.first:
            axes.plot([token.cycle + 0.5], [stream], marker="v", color=_hue(token.phase), markersize=8, zorder=5,
                      markeredgecolor="white", markeredgewidth=0.8)
    axes.set_xlim(window.first, window.last)
    axes.set_ylim(stream + 0.6, -1.1)
    for start, step in window.starts:
        axes.axvline(start, color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(f"step {step}", (start, -0.98), xytext=(3, 0), textcoords="offset points", color=QUIET,
                      va="center", fontsize=9)


def _add_shapes(
    axes: Any, bars: dict[tuple[int, int], list[_Points]], beats: dict[int, list[_Points]], inputs: list[_Points],
    epilogues: list[_Points], flights: list[_Points], window: Window,
) -> None:
    from matplotlib.collections import LineCollection, PolyCollection

    # A white edge separates units, where it is narrower than they are.
    narrowest = min((box[1][0] - box[0][0] for boxes in bars.values() for box in boxes), default=1)
    edge = 0.6 if narrowest > (window.last - window.first) / 250 else 0.0
    for (phase, odd), boxes in bars.items():
        axes.add_collection(PolyCollection(
            boxes, facecolors=_hue(phase), alpha=0.5 if odd else 1.0, edgecolors="white", linewidths=edge, zorder=2,
        ))
    for phase, boxes in beats.items():
        axes.add_collection(PolyCollection(boxes, facecolors=_hue(phase), linewidths=0, zorder=3))
    axes.add_collection(PolyCollection(inputs, facecolors=_INPUT, linewidths=0, zorder=3))
    axes.add_collection(LineCollection(epilogues, colors=INK, linewidths=1.4, capstyle="butt", zorder=4))
    axes.add_collection(LineCollection(flights, colors=INK, linewidths=0.6, alpha=0.5, zorder=3))
    ends = [line[1] for line in flights]
    axes.plot([x for x, _ in ends], [y for _, y in ends], "o", color=INK, markersize=2.4, zorder=4)


def _box(left: float, right: float, top: float, bottom: float) -> _Points:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _hue(phase: int) -> str:
    return _HUES[phase % len(_HUES)]


def _label(figure: Any, axes: Any, mapping: Mapping, prediction: Prediction, model: str) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    p = mapping.parameters
    stream = p.cols + 0.15
    axes.set_yticks([-0.5, *range(p.cols), stream])
    axes.set_yticklabels(["collector", *(f"column {col}" for col in range(p.cols)), "write stream"])
    axes.set_xlabel("cycle of the sequence")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.axhline(p.cols - 0.45, color=QUIET, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    steps = len(prediction.step_cycles)
    nest = mapping.timings[0].nest
    axes.set_title(
        f"{model}{p.rows} x {p.cols} sites of {p.lanes} lanes (all rows do the same)   |   hu {nest.hu}, ru {nest.ru}, "
        f"rv {nest.rv}   |   {prediction.cycles:,} cycles for {counted(steps, 'step')}, "
        f"{prediction.cycles / steps:.1f} a step   |   multipliers busy {prediction.utilisation:.1%}",
        loc="left", fontsize=9.5, color=QUIET,
    )
    handles: list[Any] = [
        Patch(facecolor=_hue(index), label=f"{phase.name} multiplies")
        for index, phase in enumerate(mapping.phases)
    ]
    handles += [
        Patch(facecolor=QUIET, alpha=0.55, label="lighter: odd steps"),
        Line2D([], [], color=INK, linewidth=1.3, label="epilogue of a unit"),
        Line2D([], [], color=INK, linewidth=0.6, marker="o", markersize=2.5, label="result flies west, to collector"),
        Line2D([], [], color=QUIET, marker="v", linestyle="", markersize=7, label="phase token"),
        Patch(facecolor=_INPUT, label="write stream: input vector"),
        Patch(facecolor=_hue(0), label="write stream: h goes to all sites (colour of its phase)"),
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=4, frameon=False, fontsize=8.5)
