"""`spatial-rnn info` and the generated reference."""

from __future__ import annotations

import json
import re

from hdl.output.layout_tables import enum_tables, layout_tables
from hdl.output.reference_pages import reference_markdown
from hdl.parameters import GridParameters, preset_names
from hdl.register_map import REGISTERS, Error
from tests.support.cli_runner import refusal, spatial_rnn


def shown(*arguments: object) -> str:
    done = spatial_rnn("info", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_presets() -> None:
    text = shown()
    rows = {line.split(" ")[0]: line for line in text.splitlines()}
    assert set(preset_names()) <= set(rows)
    assert "12,288" in rows["paper"]
    assert "50,331,648" in rows["paper"]


def test_sizes_of_a_grid() -> None:
    lines = shown("--preset", "paper", "--lanes", 32).splitlines()
    cells = {tuple(re.split(r"\s{2,}", line.strip())[:2]) for line in lines}
    assert {("lanes", "32"), ("multipliers", "6,144"), ("beat_bits", "128"), ("WEIGHT", "256")} <= cells
    assert any(name == "latency: token (cycles)" for name, *_ in cells)


def test_registers_and_layouts() -> None:
    registers = shown("--registers")
    for name in [register.name for register in REGISTERS] + [error.name for error in Error]:
        assert f" {name} " in registers
    layouts = shown("--layouts", "--rows", 2, "--cols", 3, "--lanes", 5)
    for table in layout_tables(GridParameters(rows=2, cols=3, lanes=5)):
        assert f"{table.name} ({table.width} bits)" in layouts


def test_every_field_is_described() -> None:
    enums = {table.name for table in enum_tables()}
    tables = list(layout_tables(GridParameters()))
    for table in tables:
        for field in table.fields:
            assert field.text, f"{table.name}.{field.name}"
            assert field.type in {"unsigned", "signed"} | enums | {table.name for table in tables}, field.name


def test_json() -> None:
    done = spatial_rnn("info", "--preset", "medium", "--json", "-")
    result = json.loads(done.stdout)
    assert "Memories" in done.stderr
    assert list(result["presets"]) == preset_names()
    assert result["derived"]["multipliers"] == 256
    assert result["memory_bits"]["WEIGHT"] == 8 * 256 * result["parameters"]["weight_depth"]
    assert result["memory_bits"]["total"] == sum(v for k, v in result["memory_bits"].items() if k != "total")
    assert result["latencies"]["result_hop"] == 1
    grid = next(register for register in result["registers"]["map"] if register["name"] == "GRID")
    assert (grid["offset"], grid["reset"]) == (8, None)


def test_wrong_options() -> None:
    assert refusal("info", "--preset", "paper", "--cols", 0) == "cols = 0: must be from 1 to 64"


def test_reference_has_the_comments_of_the_sources() -> None:
    text = reference_markdown()
    for line in (
        "| 0x28 | ERRORS | read/write 1 to clear | 0x0 |", "| 0 | BUSY | A sequence is running (or being aborted). |",
        "| `head` | unsigned | First of its chain: no partial sum is added. |", "| 3 | TOKEN | Begin a phase. |",
        "| `spatial_rnn.site_r{row}_c{col}.gate_table`<br>`spatial_rnn.site_r{row}_c{col}.unit_table` |",
    ):
        assert line in text
