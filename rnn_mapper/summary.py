"""What is shown in a few words: objects that hold thousands of numbers, in a shell and in a notebook; and numbers of
things."""

from __future__ import annotations

import html

__all__ = ["Summarised", "counted"]


def counted(number: int, noun: str) -> str:
    """A number of things, such as ``1 step`` or ``2,000 steps``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


class Summarised:
    """A short `repr`, and `_repr_html_` for notebooks, from `summary`; a dataclass of this kind needs ``repr=False``.
    """

    @property
    def summary(self) -> dict[str, str]:
        """The object in a few lines, by heading."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'; '.join(f'{name}: {text}' for name, text in self.summary.items())})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
            for name, text in self.summary.items()
        )
        return f"<table><caption>{type(self).__name__}</caption>{rows}</table>"
