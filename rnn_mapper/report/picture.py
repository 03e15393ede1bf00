"""Pictures as files: SVG or PNG, the same bytes for the same drawing, written whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rnn_mapper.errors import OutputError

__all__ = ["GRID", "INK", "QUIET", "picture_bytes", "write_picture"]

#: File name endings that a picture can have.
_ENDINGS = (".svg", ".png")
#: Colours of text and lines, of less important text, and of the lines behind a drawing.
INK, QUIET, GRID = "#222222", "#777777", "#DDDDDD"


def write_picture(path: str | Path, draw: Callable[[str], bytes]) -> None:
    """Write the bytes of `draw("svg")` or `draw("png")`, by the ending of `path`.

    Raises `OutputError` for another ending or when the file cannot be written.
    """
    target = Path(path)
    if target.suffix not in _ENDINGS:
        raise OutputError(f"{path}: a picture's name must end in {' or '.join(_ENDINGS)}")
    content = draw(target.suffix[1:])
    temporary = target.with_name(f".{target.name}.new")
    try:
        temporary.write_bytes(content)
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"{path}: cannot be written ({error.strerror}); name another file") from error


def picture_bytes(kind: str, size: tuple[float, float], draw: Callable[[Any], None]) -> bytes:
    """A figure of `size` inches that `draw` fills, as the bytes of an "svg" or "png" file."""
    # Importing matplotlib takes half a second, which commands without a picture should not spend.
    import matplotlib

    style: dict[Any, Any] = {
        "svg.hashsalt": "spatial-rnn", "svg.fonttype": "path", "font.family": "DejaVu Sans", "font.size": 9.0,
    }
    with matplotlib.rc_context(style):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        canvas = FigureCanvasSVG(figure) if kind == "svg" else FigureCanvasAgg(figure)
        buffer = io.BytesIO()
        metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": None}
        canvas.print_figure(buffer, format=kind, dpi=150, metadata=metadata)
        return buffer.getvalue()
