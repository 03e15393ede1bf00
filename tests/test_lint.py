"""The lint helpers: clean Verilog passes, and each kind of fault that must never be waived is found."""

from pathlib import Path

import pytest

from sim_tests.lint import LintError, icarus_check, verilator_lint, yosys_check

CLEAN = """
module top(clk, a, q);
    input clk; wire clk;
    input [3:0] a; wire [3:0] a;
    output [7:0] q; reg [7:0] q;
    leaf leaf(.clk(clk), .a(a));
    always @(posedge clk) q <= q + a;
endmodule
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


def write(folder: Path, text: str) -> Path:
    source = folder / "top.v"
    source.write_text(text + "\n")
    return source


def test_clean_files_pass(tmp_path: Path) -> None:
    source = write(tmp_path, CLEAN)
    icarus_check([source], "top")
    verilator_lint([source], "top")
    yosys_check([source], "top")
    with pytest.raises(LintError, match="verilator finds fault: "):
        verilator_lint([source], "top", waivers=None)


@pytest.mark.parametrize("fault", FAULTS)
def test_verilator_finds(fault: str, tmp_path: Path) -> None:
    with pytest.raises(LintError, match="verilator finds fault: "):
        verilator_lint([write(tmp_path, FAULTS[fault])], "top")


@pytest.mark.parametrize("fault", ["loop", "undriven", "multidriven", "pin misnamed"])
def test_yosys_finds(fault: str, tmp_path: Path) -> None:
    with pytest.raises(LintError, match=r"yosys finds fault: .*ERROR: (Found . problems|Module `leaf'.*'c')"):
        yosys_check([write(tmp_path, FAULTS[fault])], "top")


SYSTEM_VERILOG = "module top(input a, output reg b); always_comb b = a; endmodule"


@pytest.mark.parametrize("text", [FAULTS["pin misnamed"], SYSTEM_VERILOG])
def test_icarus_finds(text: str, tmp_path: Path) -> None:
    with pytest.raises(LintError, match="icarus finds fault: "):
        icarus_check([write(tmp_path, text)], "top")
