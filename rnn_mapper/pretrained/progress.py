"""Lines of progress for work that takes minutes."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["with_seconds"]


def with_seconds(progress: Callable[[str], None]) -> Callable[[str], None]:
    """`progress`, with the seconds since this call before each line."""
    started = time.perf_counter()
    return lambda text: progress(f"[{time.perf_counter() - started:5.0f} s]  {text}")
