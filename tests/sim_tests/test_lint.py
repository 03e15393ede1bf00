"""The lint helpers: clean Verilog passes, and every kind of fault that must never be waived is found."""

import re
from pathlib import Path

import pytest

from sim_tests.simulator.lint import LintError, icarus_check, verilator_lint, yosys_check

CLEAN = """
module top(clk, a, q);
    input clk; wire clk;
    input [3:0] a; wire [3:0] a;
    output [7:0] q; reg [7:0] q;
    leaf leaf(.clk(clk), .a(a));
    always @(posedge clk) q <= q + a;
endmodule
"""
LEAF = """
module leaf(clk, a);
    input clk; wire clk;
    input [3:0] a; wire [3:0] a;
endmodule
"""

FAULTS = {
    "latch": "module top(input a, input b, output reg q); always @* if (a) q = b; endmodule",
    "loop": "module top(input a, output q); wire w; assign w = q ^ a; assign q = w & a; endmodule",
    "undriven": "module top(input a, output q); wire w; assign q = a ^ w; endmodule",
    "multidriven": "module top(input a, input b, output q); assign q = a & b; assign q = a ^ b; endmodule",
    "pin missing": "module top(input a, output q); leaf leaf(.a(a), .q(q)); endmodule\n"
    "module leaf(input a, input b, output q); assign q = a & b; endmodule",
    "pin misnamed": "module top(input a, output q); leaf leaf(.a(a), .c(q)); endmodule\n"
    "module leaf(input a, output q); assign q = a; endmodule",
    "incomplete case": "module top(input [1:0] a, output reg q);\n"
    "always @* begin q = 0; case (a) 2'd0: q = 1; 2'd1: q = 0; endcase end endmodule",
}


#: Verilator's rule for each fault (for a misnamed pin, the first report is the missing right one).
NAMES = {
    "latch": "LATCH", "loop": "UNOPTFLAT", "undriven": "UNDRIVEN", "multidriven": "MULTIDRIVEN",
    "pin missing": "PINMISSING", "pin misnamed": "PINMISSING", "incomplete case": "CASEINCOMPLETE",
}


def write(folder: Path, text: str) -> list[Path]:
    """One file for each module, as the generator writes them."""
    sources = []
    for module in re.findall(r"module .*?endmodule", text, re.DOTALL):
        sources.append(folder / f"{re.split(r'[ (]', module)[1]}.v")
        sources[-1].write_text(module + "\n")
    return sources


def test_clean_files_pass(tmp_path: Path) -> None:
    sources = write(tmp_path, CLEAN + LEAF)
    icarus_check(sources, "top")
    verilator_lint(sources, "top")
    yosys_check(sources, "top")
    with pytest.raises(LintError, match="verilator reports a fault: "):
        verilator_lint(sources, "top", waivers=None)


@pytest.mark.parametrize("fault", FAULTS)
def test_verilator_finds(fault: str, tmp_path: Path) -> None:
    with pytest.raises(LintError, match=f"verilator reports a fault: .*{NAMES[fault]}"):
        verilator_lint(write(tmp_path, FAULTS[fault]), "top")


@pytest.mark.parametrize("fault", ["loop", "undriven", "multidriven", "pin misnamed"])
def test_yosys_finds(fault: str, tmp_path: Path) -> None:
    with pytest.raises(LintError, match=r"yosys reports a fault: .*ERROR: (Found . problems|Module `leaf'.*'c')"):
        yosys_check(write(tmp_path, FAULTS[fault]), "top")


SYSTEM_VERILOG = "module top(input a, output reg b); always_comb b = a; endmodule"


@pytest.mark.parametrize("text", [FAULTS["pin misnamed"], SYSTEM_VERILOG])
def test_icarus_finds(text: str, tmp_path: Path) -> None:
    with pytest.raises(LintError, match="icarus reports a fault: "):
        icarus_check(write(tmp_path, text), "top")
