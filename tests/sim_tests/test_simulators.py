"""The simulator runner, on a small hand-written counter, under both simulators."""

from pathlib import Path

import pytest

from hdl.errors import ConfigurationError, ToolError
from sim_tests.simulator import toolchains
from sim_tests.simulator.builds import port_names
from sim_tests.simulator.run import SIMULATORS, Build, SimulationError, build, run

COUNTER = """
module counter #(parameter STEP = 1) (clk, reset, o__count, o__start);
    input clk;
    wire clk;
    input reset;
    wire reset;
    output [7:0] o__count;
    reg [7:0] o__count;
    output [7:0] o__start;
    reg [7:0] o__start;
    initial o__start = 0;
    initial if ($value$plusargs("start=%d", o__start)) begin end
    always @(posedge clk) o__count <= reset ? o__start : o__count + STEP;
endmodule
"""

TESTBENCH = '''
import os

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge


async def count(dut, cycles):
    Clock(dut.clk, 10, "ns").start()
    for value in (0, 1, 0):
        dut.reset.value = value
        await ClockCycles(dut.clk, 2)
    await FallingEdge(dut.clk)
    before = dut.o__count.value.to_unsigned()
    await ClockCycles(dut.clk, cycles)
    await FallingEdge(dut.clk)
    return dut.o__count.value.to_unsigned() - before


@cocotb.test()
async def passes(dut):
    assert await count(dut, 5) == 5 * int(os.environ.get("STEP", "1"))


@cocotb.test()
async def sees_plusarg(dut):
    await count(dut, 1)
    assert dut.o__start.value.to_unsigned() == 42


@cocotb.test()
async def fails(dut):
    assert await count(dut, 5) == 6, "five is not six"
'''


@pytest.fixture
def counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Verilog source whose testbench is importable as `counter_testbench`."""
    (tmp_path / "counter_testbench.py").write_text(TESTBENCH)
    monkeypatch.syspath_prepend(tmp_path)
    source = tmp_path / "counter.v"
    source.write_text(COUNTER)
    return source


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_build_run_and_cache(counter: Path, tmp_path: Path, simulator: str) -> None:
    cache = tmp_path / "cache"
    grid = build([counter], "counter", simulator, cache_dir=cache, waves=True)
    assert not grid.cached
    passed = run(grid, "counter_testbench", testcase="passes", results_dir=tmp_path / "a", seed=1, waves=True)
    assert [name.rpartition(".")[2] for name in passed.tests] == ["passes"]
    assert passed.seconds > 0
    assert passed.log.stat().st_size > 0
    assert passed.waves is not None
    assert passed.waves.stat().st_size > 100

    again = build([counter], "counter", simulator, cache_dir=cache, waves=True)
    assert (again.cached, again.directory) == (True, grid.directory)
    with pytest.raises(SimulationError, match=r"1 of 1 tests failed, first .*fails: .*five is not six"):
        run(again, "counter_testbench", testcase="fails", results_dir=tmp_path / "b", seed=1)
    with pytest.raises(SimulationError, match=r"1 of 1 tests failed, first .*sees_plusarg"):
        run(again, "counter_testbench", testcase="sees_plusarg", results_dir=tmp_path / "c", seed=1)
    run(again, "counter_testbench", testcase="sees_plusarg", plusargs=["+start=42"], results_dir=tmp_path / "d", seed=1)
    with pytest.raises(SimulationError, match=r"ran no test|ended"):
        run(again, "counter_testbench", testcase="absent", results_dir=tmp_path / "e", seed=1)
    with pytest.raises(SimulationError, match="took more than"):
        run(again, "counter_testbench", testcase="passes", results_dir=tmp_path / "f", seed=1, timeout=0.001)
    with pytest.raises(SimulationError, match="ended"):
        run(again, "no_such_testbench", results_dir=tmp_path / "g", seed=1)


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_parameters_environment_and_key(
    counter: Path, tmp_path: Path, simulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEP", "2")
    grid = build([counter], "counter", simulator, parameters={"STEP": 3}, cache_dir=tmp_path, tile_modules=["counter"])
    run(grid, "counter_testbench", testcase="passes", env={"STEP": "3"}, results_dir=tmp_path / "a", seed=1)
    with pytest.raises(ConfigurationError, match="cannot record waves"):
        run(grid, "counter_testbench", results_dir=tmp_path / "b", seed=1, waves=True)
    # The length stays the same: only the content distinguishes the two builds.
    counter.write_text(COUNTER.replace("+ STEP", "- STEP"))
    changed = build([counter], "counter", simulator, parameters={"STEP": 3}, cache_dir=tmp_path)
    assert not changed.cached
    run(changed, "counter_testbench", testcase="passes", env={"STEP": "-3"}, results_dir=tmp_path / "c", seed=1)


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_sources_that_cannot_be_built(tmp_path: Path, simulator: str) -> None:
    source = tmp_path / "broken.v"
    source.write_text("module broken(input a, output b); assign b = absent_function(a); endmodule\n")
    with pytest.raises(ToolError, match=rf"{simulator} could not build broken: .*broken.v"):
        build([source], "broken", simulator, cache_dir=tmp_path / "cache")
    # A failed build must never be found in the cache.
    with pytest.raises(ToolError, match="could not build broken"):
        build([source], "broken", simulator, cache_dir=tmp_path / "cache")
    with pytest.raises(ConfigurationError, match="no module 'other'"):
        build([source], "other", simulator, cache_dir=tmp_path / "cache")


def test_missing_simulators(counter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ToolError, match="simulator 'questa' is unknown: choose one of icarus, verilator"):
        build([counter], "counter", "questa", cache_dir=tmp_path)
    monkeypatch.setattr(toolchains, "verilator_root", lambda: None)
    monkeypatch.setattr(toolchains.shutil, "which", lambda name: None if name in ("verilator", "vvp") else "/" + name)
    with pytest.raises(ToolError, match="verilator is missing: install it with 'make setup'"):
        build([counter], "counter", "verilator", cache_dir=tmp_path)
    with pytest.raises(ToolError, match="vvp is missing: install Icarus Verilog with 'make setup'"):
        build([counter], "counter", "icarus", cache_dir=tmp_path)


def test_port_names_of_both_styles(tmp_path: Path) -> None:
    source = tmp_path / "styles.v"
    source.write_text(
        "module old(clk, s__payload);\ninput clk; output s__payload;\nendmodule\n"
        "module ansi #(parameter W = 3) (\n input wire clk, // the clock\n output reg [W-1:0] q\n);\nendmodule\n"
    )
    assert port_names([source], "old") == ["clk", "s__payload"]
    assert port_names([source], "ansi") == ["clk", "q"]


def test_tiles_share_their_code(tmp_path: Path) -> None:
    """Verilator's code for a tile does not grow with its instances."""
    tile = tmp_path / "tile.v"
    # Its position and a neighbour could make every instance special.
    tile.write_text(
        "module tile(clk, rst, position, west, east);\n"
        "input clk, rst; input [7:0] position; input [31:0] west; output reg [31:0] east;\n"
        "wire [31:0] next = west * 3 + position;\n"
        "always @(posedge clk) east <= rst ? 0 : next[0] ? next : next >> 1;\n"
        "endmodule\n"
    )
    sizes = []
    for tiles in (2, 10):
        source = tmp_path / f"chain{tiles}.v"
        instances = "".join(f"tile t{k}(clk, rst, 8'd{7 * k}, w{k}, w{k + 1});\n" for k in range(tiles))
        wires = ", ".join(f"w{k}" for k in range(tiles + 1))
        source.write_text(
            f"module chain(clk, rst, first, last);\ninput clk, rst; input [31:0] first; output [31:0] last;\n"
            f"wire [31:0] {wires};\nassign w0 = first;\nassign last = w{tiles};\n{instances}endmodule\n"
        )
        chain = build([source, tile], "chain", "verilator", tile_modules=["tile"], cache_dir=tmp_path / f"{tiles}")
        assert any("nba_sequent" in line for line in _tile_code(chain))
        sizes.append(len(_tile_code(chain)))
    assert sizes[1] < 1.5 * sizes[0]


def _tile_code(chain: Build) -> list[str]:
    files = sorted(chain.directory.glob("Vtop_tile__*.cpp"))
    return [line for file in files for line in file.read_text().splitlines()]
