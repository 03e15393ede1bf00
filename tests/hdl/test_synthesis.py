"""Area of small hand-written grids with known counts."""

import json
from pathlib import Path

import pytest

from hdl.errors import ConfigurationError, ToolError
from hdl.output.yosys_worker import run_yosys
from hdl.synthesis.area import synthesise
from hdl.synthesis.bare_dot_product import MODULE, bare_dot_product
from hdl.synthesis.recipes import mapping_passes, measure_source
from tests.support.handwritten_grid import write_grid

LIBERTY = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    write_grid(tmp_path)
    return tmp_path


def test_generic(grid: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    report = synthesise(grid, progress=lambda *step: steps.append(step))
    modules = {module.name: module for module in report.modules}
    # A plain register: seven flip-flops of 16 transistors (4 NAND2) and nothing else, whatever its power-up value.
    assert (modules["leaf"].flip_flops, modules["leaf"].gate_equivalents) == (7, 28.0)
    assert modules["srnn_pcu"].cells == {}
    assert modules["top"].flip_flops == 16
    bare = 4 * 16 + 18 + 32
    assert modules[MODULE].flip_flops == bare
    total = report.total()
    assert total.flip_flops == 16 + 2 * (7 + bare)
    assert total.cells["$_DFF_P_"] == total.flip_flops
    assert total.memory_bits == modules["top"].memory_bits == 32 * 512 + 8 * 16
    assert total.gate_equivalents == sum(m.instances * (m.gate_equivalents or 0) for m in report.modules)
    # The PCU here is a bare dot product and a register of 28 gates.
    assert report.bare_dot_product is not None
    # ABC's result depends slightly on the order of the files read.
    assert modules[MODULE].gate_equivalents == pytest.approx(report.bare_dot_product, rel=0.01)
    whole = (modules[MODULE].gate_equivalents or 0.0) + 28
    assert report.pcu_overhead_ratio == pytest.approx(whole / report.bare_dot_product - 1)
    # One multiplier for each lane, one in the top: the same operator everywhere.
    assert modules[MODULE].multipliers == pytest.approx(4 * modules["top"].multipliers)
    assert 300 < modules["top"].multipliers < 700
    assert modules["top"].overhead == pytest.approx(16 * 4, abs=20)
    assert 0 < modules[MODULE].adders < modules[MODULE].multipliers
    assert steps[-1][1:] == (len(steps), len(steps))
    saved = json.loads(json.dumps(report.to_json()))
    assert saved["modules"]["leaf"]["flip_flops"] == 7
    assert saved["total"]["memory_bits"] == total.memory_bits


def test_bare_dot_product_of_64_lanes(tmp_path: Path) -> None:
    measure = measure_source(bare_dot_product(64, 32, 2, 8), MODULE, tmp_path)
    # Registers: products, the tree after levels 2, 4 and 6 (16 18-bit, 4 20-bit and 1 22-bit), accumulator.
    assert measure.flip_flops == 64 * 16 + 16 * 18 + 4 * 20 + 22 + 32
    assert measure.gate_equivalents is not None
    assert 45_000 < measure.gate_equivalents < 56_000


def test_liberty(grid: Path) -> None:
    report = synthesise(grid, liberty=LIBERTY)
    modules = {module.name: module for module in report.modules}
    assert modules["leaf"].cells == {"DFFPOSX1": 7}
    # 96 area units a flip-flop and 24 a NAND2 in this library.
    assert modules["leaf"].gate_equivalents == pytest.approx(7 * 96 / 24)
    assert report.total().flip_flops == 16 + 2 * (7 + 4 * 16 + 18 + 32)
    assert report.bare_dot_product is not None
    whole = (modules[MODULE].gate_equivalents or 0.0) + 28
    assert report.pcu_overhead_ratio == pytest.approx(whole / report.bare_dot_product - 1)


@pytest.mark.parametrize("target", ["ice40", "ecp5", "xilinx"])
def test_fpga(grid: Path, target: str) -> None:
    report = synthesise(grid, target)
    modules = {module.name: module for module in report.modules}
    # ice40 flip-flops power up as 0: the two bits that power up as 1 are stored inverted.
    assert modules["leaf"].resources == {"lut": 4 if target == "ice40" else 0, "ff": 7, "dsp": 0, "bram": 0}
    assert modules["leaf"].gate_equivalents is None
    memory = modules["srnn_memory_512x32"]
    assert memory.instances == 1
    assert memory.resources["bram"] >= 1
    total = report.total()
    assert total.resources["dsp"] == 2 * 4 + 1
    assert total.resources["bram"] >= 1
    assert total.memory_bits == 32 * 512 + 8 * 16


def test_refusals(grid: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="target 'gowin' is unknown: choose one of generic, ice40, ecp5"):
        synthesise(grid, "gowin")
    with pytest.raises(ConfigurationError, match="a Liberty file cannot be used with the target ice40"):
        synthesise(grid, "ice40", LIBERTY)
    with pytest.raises(ConfigurationError, match=r"absent\.lib: cannot be read"):
        synthesise(grid, liberty=tmp_path / "absent.lib")
    with pytest.raises(ConfigurationError, match="has no two-input NAND cell"):
        synthesise(grid, liberty=grid / "leaf.v")
    with pytest.raises(ConfigurationError, match=r"manifest\.json: No such file"):
        synthesise(grid / "absent")
    manifest = json.loads((grid / "manifest.json").read_text())
    manifest["modules"]["leaf"]["instances"] = 3
    (grid / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ConfigurationError, match="3 instances of leaf, the Verilog has 2"):
        synthesise(grid)
    (grid / "leaf.v").write_text("module leaf(input clk); endmodule\n")
    with pytest.raises(ToolError, match=r"synthesis of module .*: Yosys ended with status 1: ERROR"):
        synthesise(grid)


def test_timeout_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bare.v").write_text(bare_dot_product(64, 32, 2, 8))
    with pytest.raises(ToolError, match=r"slow work: Yosys took more than 0\.5 s"):
        run_yosys(["read_verilog bare.v", "synth -flatten -booth"], "slow work", tmp_path, 0.5)


def test_ice40_keeps_both_products_of_a_sum(tmp_path: Path) -> None:
    """`synth_ice40 -dsp` drops one of two products that go through registers into a sum: one block, half the inputs."""
    source = tmp_path / "sum.v"
    source.write_text(
        "module sum(input clk, input signed [7:0] a, b, c, d, output reg signed [16:0] s);\n"
        "  reg signed [15:0] p, q;\n"
        "  always @(posedge clk) begin p <= a * b; q <= c * d; s <= p + q; end\n"
        "endmodule\n"
    )
    passes = mapping_passes("sum", "ice40", None, "sum.stat")
    run_yosys(["read_verilog sum.v", *passes, "write_json sum.json"], "a sum of products", tmp_path, 60)
    module = json.loads((tmp_path / "sum.json").read_text())["modules"]["sum"]
    used = {bit for cell in module["cells"].values() for bits in cell["connections"].values() for bit in bits}
    for name in "abcd":
        assert set(module["ports"][name]["bits"]) <= used, name
    assert sum(cell["type"] == "SB_MAC16" for cell in module["cells"].values()) == 2
