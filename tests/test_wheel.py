"""The package works when it is installed, not edited: from a wheel, in an environment and a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from scripts.provenance import ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of a fresh environment into which the wheel was installed; dependencies come from this one."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    subprocess.run(["git", "-C", str(ROOT), "worktree", "prune"], check=False, capture_output=True)
    # What git does not know is not part of a release.
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, check=True).stdout.split(b"\0")  # fmt: skip
    for name in filter(None, map(os.fsdecode, listed)):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(folder), str(source)], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "fresh")], check=True)
    python = folder / "fresh" / "bin" / "python"
    wheel = next(folder.glob("*.whl"))
    subprocess.run([*pip, "--python", str(python), "install", "--no-deps", str(wheel)], check=True)
    return folder / "fresh" / "bin" / "spatial-rnn"


def run(installed: Path, cwd: Path, *arguments: str) -> str:
    # A plain folder on the path does not bring the editable installation of this environment.
    environment = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")}
    environment.pop("SPATIAL_RNN_CACHE", None)
    environment["XDG_CACHE_HOME"] = str(cwd / "cache")
    done = subprocess.run([str(installed), *arguments], cwd=cwd, env=environment, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_simulate(installed: Path, simulator: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "m.npz", weight_ih_l0=rng.normal(size=(12, 3)), weight_hh_l0=rng.normal(size=(12, 4)))
    np.save(tmp_path / "x.npy", rng.normal(size=(5, 3)))
    text = run(installed, tmp_path, "simulate", "--model", "m.npz", "--input", "x.npy", "--preset", "tiny",
               "--sim", simulator)  # fmt: skip
    assert "all equal to the reference" in text
    assert "as predicted" in text


def test_generate_synth_fit_and_explore(installed: Path, tmp_path: Path) -> None:
    """Everything else that reads files of the package: presets, waivers, areas, register tables."""
    run(installed, tmp_path, "generate", "--preset", "tiny", "-o", "grid")
    assert (tmp_path / "grid" / "lint" / "waivers.vlt").is_file()
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "m.npz", weight_ih_l0=rng.normal(size=(12, 3)), weight_hh_l0=rng.normal(size=(12, 4)))
    assert "FPGA" in run(installed, tmp_path, "fit", "m.npz")
    run(installed, tmp_path, "info", "--preset", "tiny")
    code = "import hdl, rnn_mapper, sim_tests; print(hdl.__file__, rnn_mapper.__file__, sim_tests.__file__)"
    python = installed.with_name("python")
    found = subprocess.run([str(python), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
                           env={**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")}).stdout  # fmt: skip
    assert all(str(installed.parent.parent) in path for path in found.split())
