"""A bare dot product in Verilog: the reference for the area overhead of a PCU."""

MODULE = "bare_dot_product"


def bare_dot_product(lanes: int, accumulator_bits: int, tree_levels_per_register: int, operand_bits: int) -> str:
    """Return Verilog of `lanes` signed 8 x `operand_bits` multipliers, an adder tree, an accumulator and their pipeline
    registers.

    Products are registered; the tree has a register after every `tree_levels_per_register` (1 or more) levels and at
    its root; `first` (which travels with the operands outside) starts the accumulator from the sum instead of adding
    to it. There is no reset, no enable and no control.
    """
    body: list[str] = []
    values: list[tuple[str, int]] = []
    for lane in range(lanes):
        weight, operand = (f"[{bits * lane + bits - 1}:{bits * lane}]" for bits in (8, operand_bits))
        body.append(f"reg signed [{7 + operand_bits}:0] p{lane};")
        body.append(f"always @(posedge clk) p{lane} <= $signed(weights{weight}) * $signed(vector{operand});")
        values.append((f"p{lane}", 8 + operand_bits))
    level = 0
    while len(values) > 1:
        level += 1
        registered = level % tree_levels_per_register == 0 or len(values) == 2
        sums: list[tuple[str, int]] = []
        for index in range(0, len(values), 2):
            pair = values[index : index + 2]
            width = max(bits for _, bits in pair) + (len(pair) == 2)
            name, total = f"s{level}_{index // 2}", " + ".join(name for name, _ in pair)
            if registered:
                body.append(f"reg signed [{width - 1}:0] {name};")
                body.append(f"always @(posedge clk) {name} <= {total};")
            else:
                body.append(f"wire signed [{width - 1}:0] {name} = {total};")
            sums.append((name, width))
        values = sums
    high = accumulator_bits - 1
    return "\n".join([
        f"module {MODULE}(clk, weights, vector, first, accumulator);",
        "input clk;",
        f"input [{8 * lanes - 1}:0] weights;",
        f"input [{operand_bits * lanes - 1}:0] vector;",
        "input first;",
        f"output reg signed [{high}:0] accumulator;",
        *body,
        f"wire signed [{high}:0] start = first ? {accumulator_bits}'sd0 : accumulator;",
        f"always @(posedge clk) accumulator <= start + {values[0][0]};",
        "endmodule",
        "",
    ])  # fmt: skip
