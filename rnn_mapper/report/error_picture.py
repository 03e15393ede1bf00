"""A picture of the error of the integers over the steps of a sequence, layer by layer, beside the signal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rnn_mapper.report.picture import GRID, INK, QUIET, picture_bytes, write_picture
from rnn_mapper.report.quantisation import LayerReport, QuantisationReport, decibels

__all__ = ["draw_errors", "error_picture"]

_SIGNAL, _RMS, _MAX = "#777777", "#0072B2", "#D55E00"


def error_picture(report: QuantisationReport, path: str | Path, title: str = "") -> None:
    """Draw the errors and write them to `path` (.svg or .png); the same report gives the same bytes.

    Raises `OutputError` for another ending or when the file cannot be written.
    """
    write_picture(path, lambda kind: draw_errors(report, kind, title))


def draw_errors(report: QuantisationReport, kind: str, title: str = "") -> bytes:
    """The picture as the bytes of an "svg" or "png" file."""
    return picture_bytes(kind, (11, 1.4 + 1.9 * len(report.layers)), lambda figure: _draw(figure, report, title))


def _draw(figure: Any, report: QuantisationReport, title: str) -> None:
    rows = figure.subplots(len(report.layers), 1, sharex=True, squeeze=False)[:, 0]
    for axes, layer in zip(rows, report.layers, strict=True):
        _draw_layer(axes, layer)
    rows[-1].set_xlabel("step")
    figure.suptitle(title or "Error of the integers against floating point", x=0.01, ha="left", fontsize=14,
                    fontweight="bold", color=INK)
    handles, labels = rows[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=3, frameon=False, fontsize=8.5)


def _draw_layer(axes: Any, layer: LayerReport) -> None:
    """A stair for each window of steps; zeros are left out, a logarithmic axis has no place for them."""
    windows = layer.windows
    edges = [windows[0].first - 0.5, *(window.last + 0.5 for window in windows)]
    lines = (
        ("signal, RMS", [w.signal_rms for w in windows], _SIGNAL, 1.2),
        ("largest error", [w.max for w in windows], _MAX, 1.2),
        ("error, RMS", [w.rms for w in windows], _RMS, 1.8),
    )
    axes.set_yscale("log")
    for label, values, colour, width in lines:
        shown = [value if value > 0 else float("nan") for value in values]
        axes.stairs(shown, edges, baseline=None, color=colour, linewidth=width, label=label)
    error = layer.error
    facts = (
        f"{layer.name} ({layer.cell})", f"{decibels(error.signal_rms, error.rms):.1f} dB", f"RMS {error.rms:.5f}",
        f"largest {error.max:.4f}", f"drift {error.drift:.2f}",
    )
    axes.set_title("   |   ".join(facts), loc="left", fontsize=9.5, color=QUIET)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
