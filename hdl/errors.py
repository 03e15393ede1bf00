"""Errors a user can cause. Each message is one line: what was wrong, the value, the rule and what to do."""


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
