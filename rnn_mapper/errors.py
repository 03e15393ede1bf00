"""The project's exceptions, under the name the mapper's users import."""

from hdl.errors import ConfigurationError, MappingError, ModelError, OutputError, SpatialRnnError, ToolError

__all__ = ["ConfigurationError", "MappingError", "ModelError", "OutputError", "SpatialRnnError", "ToolError"]
