"""Errors a user can cause. Each message is one line: what was wrong, the value, the rule and what to do."""

import difflib
from collections.abc import Iterable


class SpatialRnnError(Exception):
    """Base of every error that the command line shows as one line (exit status 2)."""


class ConfigurationError(SpatialRnnError):
    """A parameter, preset or option is unknown or out of its range."""


class ModelError(SpatialRnnError):
    """A model or input file cannot be used: missing, damaged, non-finite, or of an unsupported kind."""


class MappingError(SpatialRnnError):
    """A model does not fit the grid: a memory or table is too small."""


class ToolError(SpatialRnnError):
    """An external tool is missing, or failed."""


class OutputError(SpatialRnnError):
    """An output directory or file exists already or cannot be written."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: ``; did you mean 'small'?``, or nothing if no name is close."""
    by_lower = {one.lower(): one for one in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f"; did you mean {by_lower[found[0]]!r}?" if found else ""
