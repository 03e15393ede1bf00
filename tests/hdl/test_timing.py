"""Static timing in a library of standard cells."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from hdl.errors import ConfigurationError, ToolError
from hdl.output.package import make_package
from hdl.parameters import GridParameters
from hdl.synthesis import timing
from hdl.synthesis.recipes import Liberty
from hdl.synthesis.timing import ModuleTiming, grid_timing

LIBERTY = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
#: A counter, whose carry is the longest path, between a register and a port.
COUNTER = """
module counter(input clk, input enable, output reg [{top}:0] value);
  reg go;
  always @(posedge clk) go <= enable;
  always @(posedge clk) if (go) value <= value + 1;
endmodule
"""


def measured(bits: int, folder: Path) -> ModuleTiming:
    sources = {"counter": COUNTER.format(top=bits - 1)}
    return timing._measure("counter", sources, Liberty.read(LIBERTY), folder / str(bits), 300)


def test_a_longer_carry_takes_longer(tmp_path: Path) -> None:
    short, long = (measured(bits, tmp_path) for bits in (4, 24))
    assert 0.1 < short.period_ns < long.period_ns < 20
    assert short.area < long.area
    # Registers by their names, not by those of the cells.
    assert long.ends.startswith("value[")
    assert long.begins.startswith(("value[", "go"))


def test_a_grid(tmp_path: Path) -> None:
    """Modules with all below them: a site is no faster than its units; a library may be compressed."""
    parameters = GridParameters(1, 1, 4, units=2, phases=2, gate_entries=2, vector_depth=4, weight_depth=4,
                                accumulator_bits=24)
    make_package(parameters).write(tmp_path / "grid")
    packed = tmp_path / "cells.lib.gz"
    packed.write_bytes(gzip.compress(LIBERTY.read_bytes()))
    seen: list[tuple[str, int, int]] = []
    report = grid_timing(tmp_path / "grid", packed, lambda *what: seen.append(what))
    periods = {module.name: module.period_ns for module in report.modules}
    assert set(periods) >= {"srnn_site", "srnn_unit_path", "srnn_controller", "srnn_registers"}
    assert periods["srnn_site"] > 0.9 * max(periods["srnn_unit_path"], periods["srnn_gate_path"])
    assert report.worst.period_ns == max(periods.values()) < 30
    # The clock of a memory outside is no end of a path.
    assert not [module for module in report.modules if module.ends.endswith("clk")]
    assert Liberty.read(LIBERTY).buffer == "BUFX4"
    values = report.to_json()
    assert values["liberty"] == "cells.lib.gz"
    assert values["ratio"] == pytest.approx(report.worst.period_ns / report.reference.period_ns, abs=1e-3)
    assert len(seen) == len(periods) + 1 == seen[-1][2]


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.lib.gz"
    broken.write_bytes(b"no gzip")
    with pytest.raises(ConfigurationError, match=r"broken\.lib\.gz: cannot be read"):
        Liberty.read(broken)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"sta .* is not installed: install Debian's package opensta"):
        grid_timing(tmp_path, LIBERTY, lambda *_: None)
