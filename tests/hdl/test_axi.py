"""The AXI ports of a grid: registered outputs, the reset of AXI, and what Vivado's packager reads."""

from __future__ import annotations

import json
import re
import subprocess
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hdl.naming import ResetPort
from hdl.output.package import make_package
from hdl.output.yosys_worker import run_yosys
from hdl.parameters import GridParameters, load_parameters
from sim_tests.simulator.lint import icarus_check, verilator_lint
from sim_tests.simulator.toolchains import icarus_executable
from tests.support.cli_runner import spatial_rnn

GRIDS = {
    "tiny": load_parameters("tiny"),
    "8x3x12": GridParameters(rows=8, cols=3, lanes=12),
    "1x2x5-16": GridParameters(rows=1, cols=2, lanes=5, operand_bits=16, accumulator_bits=36),
}


def netlist(
    parameters: GridParameters, folder: Path, reset: ResetPort = ResetPort.RST, flat: bool = True
) -> dict[str, Any]:
    """The grid as Yosys's JSON, flattened or with its components as cells."""
    package = make_package(parameters, reset=reset)
    package.write(folder)
    files = " ".join(module["file"] for module in package.manifest["modules"].values())
    passes = [
        f"read_verilog -DSYNTHESIS {files}", "hierarchy -check -top spatial_rnn", "proc",
        *(["flatten"] if flat else []), "opt_clean", "write_json grid.json",
    ]
    run_yosys(passes, "elaboration", folder, 300)
    modules: dict[str, Any] = json.loads((folder / "grid.json").read_text())["modules"]
    return modules["spatial_rnn"]


def combinational_paths(module: dict[str, Any]) -> list[tuple[str, str]]:
    """Pairs of an input and an output port with a path between them that no register cuts."""
    following: dict[int, set[int]] = defaultdict(set)
    for cell in module["cells"].values():
        if re.match(r"\$(a|s|al)?dff", cell["type"]):
            continue
        ends = cell["port_directions"]
        taken = [bit for port, bits in cell["connections"].items() if ends[port] == "input" for bit in bits]
        made = {bit for port, bits in cell["connections"].items() if ends[port] == "output" for bit in bits}
        for bit in taken:
            following[bit] |= made
    ports = module["ports"].items()
    outputs = {bit: name for name, port in ports if port["direction"] == "output" for bit in port["bits"]}
    found = []
    for name, port in ports:
        if port["direction"] == "input" and name not in ("clk", "aclk"):
            reached, pending = set(port["bits"]), list(port["bits"])
            while pending:
                for bit in following[pending.pop()] - reached:
                    reached.add(bit)
                    pending.append(bit)
            found += [(name, outputs[bit]) for bit in reached if bit in outputs]
    return sorted(set(found))


@pytest.mark.parametrize("name", GRIDS)
def test_no_output_depends_on_an_input_of_the_same_cycle(name: str, tmp_path: Path) -> None:
    assert combinational_paths(netlist(GRIDS[name], tmp_path)) == []


def test_a_combinational_path_would_be_found(tmp_path: Path) -> None:
    module = netlist(GRIDS["tiny"], tmp_path)
    ready, valid = (module["ports"][f"s_axis_{name}"]["bits"][0] for name in ("tready", "tvalid"))
    module["cells"]["extra"] = {
        "type": "$not", "port_directions": {"A": "input", "Y": "output"}, "connections": {"A": [valid], "Y": [ready]},
    }
    assert ("s_axis_tvalid", "s_axis_tready") in combinational_paths(module)


@pytest.mark.parametrize("name", GRIDS)
def test_ports_are_those_of_the_proved_components(name: str, tmp_path: Path) -> None:
    """Wire for wire: what is proved of the registers and of the output stream holds at the ports of the grid."""
    module = netlist(GRIDS[name], tmp_path, flat=False)
    for group, component in (("s_axil_", "registers"), ("m_axis_", "output_stream")):
        connections = module["cells"][component]["connections"]
        ports = {port: values["bits"] for port, values in module["ports"].items() if port.startswith(group)}
        assert ports == {port: bits for port, bits in connections.items() if port.startswith(group)}
        assert len(ports) > 4


def test_aresetn(tmp_path: Path) -> None:
    """The same module with the names and the polarity of AXI, in manifest and Verilog."""
    done = spatial_rnn("generate", "--preset", "tiny", "--reset", "aresetn", "-o", "grid", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "grid"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [(port["name"], port["interface"]) for port in manifest["ports"][:2]] == [
        ("aclk", "clock"), ("aresetn", "reset, synchronous, active low"),
    ]
    sources = [folder / module["file"] for module in manifest["modules"].values()]
    icarus_check(sources, "spatial_rnn")
    verilator_lint(sources, "spatial_rnn")
    plain = make_package(load_parameters("tiny")).files
    for file in sources[1:]:
        assert file.read_text() == plain[f"rtl/{file.name}"]


RESET_BENCH = """
module bench;
  reg aclk = 0, aresetn = 1;
  reg awvalid = 0;
  wire arready, bvalid;
  spatial_rnn grid (
    .aclk(aclk), .aresetn(aresetn), .s_axil_awvalid(awvalid), .s_axil_wvalid(awvalid), .s_axil_bready(1'b0),
    .s_axil_awaddr(7'h1c), .s_axil_wdata(32'd5), .s_axil_wstrb(4'hf), .s_axil_bvalid(bvalid),
    .s_axil_arvalid(1'b0), .s_axil_rready(1'b1), .s_axis_tvalid(1'b0), .m_axis_tready(1'b0));
  always #1 aclk = ~aclk;
  initial begin
    @(negedge aclk) aresetn = 0;
    repeat (2) @(negedge aclk);
    aresetn = 1; awvalid = 1;
    @(negedge aclk) awvalid = 0;
    @(negedge aclk) $display("running %b", bvalid);
    aresetn = 0;
    @(negedge aclk) $display("reset %b", bvalid);
    $finish;
  end
endmodule
"""


def test_aresetn_resets_when_it_is_low(tmp_path: Path) -> None:
    package = make_package(load_parameters("tiny"), reset=ResetPort.ARESETN)
    package.write(tmp_path)
    (tmp_path / "bench.v").write_text(RESET_BENCH)
    files = [module["file"] for module in package.manifest["modules"].values()]
    run = partial(subprocess.run, cwd=tmp_path, check=True, capture_output=True, text=True)
    run([icarus_executable(), "-g2005", "-s", "bench", "-o", "bench.vvp", "bench.v", *files])
    assert run([icarus_executable().with_name("vvp"), "bench.vvp"]).stdout.split("\n")[:2] == ["running 1", "reset 0"]


@pytest.mark.parametrize("reset", ResetPort)
def test_vivado_infers_the_interfaces(reset: ResetPort, tmp_path: Path) -> None:
    """Every port belongs to an interface; the clock names the buses and the reset, the reset its polarity."""
    ports = netlist(GRIDS["tiny"], tmp_path, reset)
    marks = {name: ports["netnames"][name]["attributes"] for name in ports["ports"]}
    assert all("X_INTERFACE_INFO" in mark for mark in marks.values())
    info = {name: mark["X_INTERFACE_INFO"] for name, mark in marks.items()}
    assert info["s_axil_awaddr"] == "xilinx.com:interface:aximm:1.0 s_axil AWADDR"
    assert info["s_axis_tdest"] == "xilinx.com:interface:axis:1.0 s_axis TDEST"
    assert info["m_axis_tkeep"] == "xilinx.com:interface:axis:1.0 m_axis TKEEP"
    assert info[reset.value].startswith("xilinx.com:signal:reset:1.0 ")
    clock = marks[reset.clock]["X_INTERFACE_PARAMETER"]
    assert "ASSOCIATED_BUSIF s_axil:s_axis:m_axis" in clock
    assert f"ASSOCIATED_RESET {reset.value}" in clock
    polarity = "ACTIVE_LOW" if reset is ResetPort.ARESETN else "ACTIVE_HIGH"
    assert f"POLARITY {polarity}" in marks[reset.value]["X_INTERFACE_PARAMETER"]
