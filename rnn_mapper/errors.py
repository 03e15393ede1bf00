"""The project's exceptions, under the name that users of the mapper import."""

from hdl.errors import ConfigurationError, MappingError, ModelError, OutputError, SpatialRnnError, ToolError

__all__ = ["ConfigurationError", "MappingError", "ModelError", "OutputError", "SpatialRnnError", "ToolError"]
