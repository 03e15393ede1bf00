"""The command line: help, wrong options, directories that must not be touched, interrupted runs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hdl.errors import ConfigurationError
from hdl.parameters import RANGES, GridParameters, preset_names
from rnn_mapper.cli import COMMANDS
from rnn_mapper.cli.common import grid_from_options
from rnn_mapper.cli.output_files import output_directory, replace_file
from rnn_mapper.errors import OutputError
from tests.support.cli_runner import refusal, spatial_rnn, start

TINY = ("--preset", "tiny")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command: str) -> None:
    done = spatial_rnn(command, "--help")
    assert done.returncode == 0
    assert f"Example: spatial-rnn {command} " in " ".join(done.stdout.split())


def test_help_of_all_is_light() -> None:
    code = "import sys; from rnn_mapper.cli import main\ntry: main(['--help'])\nfinally: print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for command in COMMANDS:
        assert f" {command} " in done.stdout
    for heavy in ("amaranth", "cocotb", "onnx", "torch"):
        assert f"'{heavy}'" not in done.stdout


@pytest.mark.parametrize(("arguments", "message"), [
    (["--preset", "huge"], f"unknown preset 'huge'; the presets are {', '.join(preset_names())}"),
    (["--rows", 3], "rows = 3: must be a power of two (the nearest are 2 and 4)"),
    (["--cols", 65], "cols = 65: must be from 1 to 64"),
    (["--lanes", 3], "lanes = 3: must be from 4 to 128"),
    (["--operand-bits", 12], "operand_bits = 12: must be a power of two (the nearest are 8 and 16)"),
    (["--operand-bits", 16], "accumulator_bits = 28: must be at least 32 with operand_bits = 16 (36 hold as many "
     "products as 28 with 8)"),
    (["--rows", "many"], "Invalid value for '--rows': 'many' is not a valid integer; see 'spatial-rnn generate"),
    (["--raws", 4], "No such option '--raws'"),
    (["--preset", "tiny", "--config", "grid.toml"], "--preset tiny and --config grid.toml: name one of them, not both"),
    (["--config", "absent.toml"], "absent.toml: cannot be read (No such file or directory)"),
    (["--config", "unknown.toml"], "unknown.toml: unknown field 'lines'; the fields are rows, cols, lanes,"),
    (["--config", "text.toml"], "text.toml: not a TOML file"),
    (["--config", "range.toml"], "rows = '4': must be an integer from 1 to 64"),
])  # fmt: skip
def test_wrong_grids(arguments: list[object], message: str, tmp_path: Path) -> None:
    (tmp_path / "unknown.toml").write_text("[grid]\nlines = 4\n")
    (tmp_path / "text.toml").write_text("four rows, please\n")
    (tmp_path / "range.toml").write_text('[grid]\nrows = "4"\n')
    before = sorted(tmp_path.iterdir())
    assert message in refusal("generate", *arguments, "-o", "out", cwd=tmp_path)
    assert sorted(tmp_path.iterdir()) == before


def test_usage_errors_are_one_line(tmp_path: Path) -> None:
    assert refusal("generate", cwd=tmp_path) == "Missing option '-o' / '--output'; see 'spatial-rnn generate --help'"
    commands = ", ".join(COMMANDS)
    assert refusal("make") == f"no such command 'make'; the commands are {commands}; see 'spatial-rnn --help'"


def test_fields_override_preset_and_file(tmp_path: Path) -> None:
    config = tmp_path / "mine.cfg"
    config.write_text('description = "mine"\n[grid]\nrows = 8\nlanes = 32\n')
    assert grid_from_options({"config": config, "lanes": 5}) == GridParameters(rows=8, lanes=5)
    assert grid_from_options({"preset": "tiny", "cols": 2}).cols == 2
    assert grid_from_options({"other": 1}) == GridParameters()
    for name, (low, _, _) in RANGES.items():
        with pytest.raises(ConfigurationError, match=rf"{name} = {low - 1}: must be from {low} to "):
            grid_from_options({name: low - 1})


def test_existing_directory(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert spatial_rnn("generate", *TINY, "-o", out).returncode == 0
    (out / "rtl" / "stale.v").write_text("")
    (out / "mine.txt").write_text("precious")
    (out / "manifest.json").write_text("old")
    assert refusal("generate", *TINY, "-o", out) == (
        f"{out}: exists and holds files; choose another directory or add --force"
    )
    assert (out / "manifest.json").read_text() == "old"
    assert spatial_rnn("generate", *TINY, "-o", out, "--force").returncode == 0
    assert (out / "mine.txt").read_text() == "precious"
    assert not (out / "rtl" / "stale.v").exists()
    assert json.loads((out / "manifest.json").read_text())["top"] == "spatial_rnn"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_paths_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("text")
    assert refusal("generate", *TINY, "-o", file) == f"{file}: exists and is not a directory; choose another directory"
    assert "cannot be written" in refusal("generate", *TINY, "-o", file / "below")
    assert "cannot be written" in refusal("generate", *TINY, "-o", "/proc/grid")
    out = tmp_path / "out"
    assert "is a directory; name a file" in refusal("generate", *TINY, "-o", out, "--json", tmp_path)
    assert "cannot be written" in refusal("generate", *TINY, "-o", out, "--json", tmp_path / "absent" / "x.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_directory_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OutputError, match=r"out: cannot be written \(permission denied\)"), \
            output_directory(tmp_path / "out", force=False):
        pytest.fail("the work began")
    with pytest.raises(OutputError, match=r"cannot be written \(permission denied\)"):
        replace_file(tmp_path / "file", b"")


def test_failed_work_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with output_directory(tmp_path / "deep" / "out", force=False) as folder:
            (folder / "half").write_text("half")
            raise ConfigurationError("wrong")

    with pytest.raises(ConfigurationError, match="wrong"):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run(number: signal.Signals, tmp_path: Path) -> None:
    process = start("generate", "--preset", "paper", "-o", "out", cwd=tmp_path)
    deadline = time.monotonic() + 30
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (2, "", "error: interrupted; no output was written\n")
    assert list(tmp_path.iterdir()) == []


def test_json_alone_on_standard_output(tmp_path: Path) -> None:
    done = spatial_rnn("generate", *TINY, "-o", tmp_path / "out", "--json", "-")
    result = json.loads(done.stdout)
    assert re.match(r"\S+/out: 1 x 1 sites of 4 lanes", done.stderr)
    assert result["seconds"] > 0
    assert result["modules"][0] == "spatial_rnn"
    files = (tmp_path / "out" / "rtl").iterdir()
    assert result["verilog_bytes"] == sum(path.stat().st_size for path in files)
    assert set(result["instances"]) == set(result["modules"])
