"""What stands for a design around a grid while it is placed and routed alone: a register at every port."""

from __future__ import annotations

from collections import abc
from typing import Any

__all__ = ["GRID_INSTANCE", "HARNESS", "RESPONSE", "STIMULUS", "harness_verilog"]

#: Module, the grid in it, and the registers at its inputs and outputs.
HARNESS, GRID_INSTANCE, STIMULUS, RESPONSE = "srnn_harness", "grid", "stimulus", "response"


def harness_verilog(manifest: abc.Mapping[str, Any]) -> str:
    """Verilog around the grid of a manifest: inputs come from one long shift register, outputs end in registers.

    So the grid needs three pins, whatever its ports, and paths from and to its ports begin and end at registers nearby,
    as they would in a design around it.
    """
    ports = [port for port in manifest["ports"] if port["interface"] != "clock"]
    clock = next(port["name"] for port in manifest["ports"] if port["interface"] == "clock")
    lines, widths = [f"    .{clock}(clk)"], {"input": 0, "output": 0}
    for port in ports:
        first = widths[port["direction"]]
        signal = STIMULUS if port["direction"] == "input" else "outputs"
        lines.append(f"    .{port['name']}({signal}[{first} +: {port['width']}])")
        widths[port["direction"]] += port["width"]
    inputs, outputs = widths["input"], widths["output"]
    return "\n".join([
        f"module {HARNESS}(input clk, input scan_in, output scan_out);",
        f"  (* keep *) reg [{inputs - 1}:0] {STIMULUS};",
        f"  (* keep *) reg [{outputs - 1}:0] {RESPONSE};",
        f"  wire [{outputs - 1}:0] outputs;",
        f"  always @(posedge clk) {STIMULUS} <= {{{STIMULUS}[{inputs - 2}:0], scan_in}};",
        f"  always @(posedge clk) {RESPONSE} <= outputs;",
        f"  assign scan_out = {STIMULUS}[{inputs - 1}];",
        f"  {manifest['top']} {GRID_INSTANCE} (", ",\n".join(lines), "  );",
        "endmodule",
        "",
    ])
