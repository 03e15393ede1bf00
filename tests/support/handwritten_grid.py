"""A small hand-written grid whose right counts are known, as `generate` would lay it out."""

import json
from pathlib import Path

from hdl.synthesis.bare_dot_product import MODULE, bare_dot_product

LEAF = """
module leaf(input clk, input [6:0] d, output reg [6:0] q);
    initial q = 3;
    always @(posedge clk) q <= d;
endmodule
"""
PCU = """
module srnn_pcu(input clk, input [6:0] d, output [6:0] q, input [31:0] w, input [31:0] v, input f, output [31:0] a);
    leaf first(.clk(clk), .d(d), .q(q));
    bare_dot_product dot(.clk(clk), .weights(w), .vector(v), .first(f), .accumulator(a));
endmodule
"""
TOP = """
module top(input clk, input [6:0] d, output [6:0] q, input [31:0] w, input f, output [63:0] a, output reg [15:0] p);
    wire [6:0] between;
    wire [31:0] word;
    srnn_pcu pcu_0(.clk(clk), .d(d), .q(between), .w(w), .v(word), .f(f), .a(a[31:0]));
    srnn_pcu pcu_1(.clk(clk), .d(between), .q(q), .w(w), .v(w), .f(f), .a(a[63:32]));
    srnn_memory #(.WIDTH(32), .DEPTH(512), .ADDRESS_BITS(9)) memory(
        .clk(clk), .write_enable(f), .write_address({2'b0, d}), .write_slice(1'b0), .write_data(w[7:0]),
        .read_enable(1'b1), .read_address({2'b0, d}), .read_data(word));
    srnn_memory small(
        .clk(clk), .write_enable(f), .write_address(d[3:0]), .write_slice(1'b0), .write_data(w[7:0]),
        .read_enable(1'b1), .read_address(d[3:0]), .read_data());
    always @(posedge clk) p <= $signed(w[7:0]) * $signed(w[15:8]);
endmodule
"""
#: The ports of `top`: direction, name and width; the first is the clock.
PORTS = (
    ("input", "clk", 1), ("input", "d", 7), ("output", "q", 7), ("input", "w", 32), ("input", "f", 1),
    ("output", "a", 64), ("output", "p", 16),
)
PARAMETERS = {"lanes": 4, "accumulator_bits": 32, "tree_levels_per_register": 2, "operand_bits": 8}


def write_grid(directory: Path) -> None:
    """Write the Verilog and the manifest into an existing directory."""
    modules = {"leaf": 2, "srnn_pcu": 2, MODULE: 2, "top": 1}
    texts = {"leaf": LEAF, "srnn_pcu": PCU, MODULE: bare_dot_product(4, 32, 2, 8), "top": TOP}
    for name, text in texts.items():
        (directory / f"{name}.v").write_text(text)
    listed = {name: {"file": f"{name}.v", "instances": number} for name, number in modules.items()}
    ports = [
        {"name": name, "direction": direction, "width": width, "interface": "clock" if name == "clk" else "none"}
        for direction, name, width in PORTS
    ]
    manifest = {"top": "top", "parameters": PARAMETERS, "ports": ports, "modules": listed}
    (directory / "manifest.json").write_text(json.dumps(manifest))
