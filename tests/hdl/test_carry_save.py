"""Products in carry-save form: all inputs of small factors; the benches of the components test those in use."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.sim import Simulator

from hdl.grid.carry_save import carry_save, partial_products, upper_sum


@pytest.mark.parametrize("x_bits", [4, 5])
@pytest.mark.parametrize("y_shape", [signed(4), signed(5), signed(6), unsigned(4), unsigned(5)])
def test_rows_add_up_to_the_product(x_bits: int, y_shape: Any) -> None:
    """Modulo 2^width, with a constant and another row; and the upper bits of the sum, a cycle later."""
    m, width, low = Module(), x_bits + y_shape.width + 2, 3
    x, y, row = Signal(signed(x_bits)), Signal(y_shape), Signal(width)
    rows = carry_save(m, [*partial_products(m, x, y, width, 5, "row"), row], width, "rows")
    total, upper = Signal(width), Signal(signed(width - low))
    m.d.comb += [total.eq(rows[0] + rows[1]), upper.eq(upper_sum(m, rows, low, width, "upper"))]
    half = 1 << (x_bits - 1)
    least = -(1 << y_shape.width - 1) if y_shape.signed else 0
    seconds = range(least, least + (1 << y_shape.width))

    async def bench(ctx: Any) -> None:
        for number, (a, b) in enumerate(product(range(-half, half), seconds)):
            added = number * 37 % (1 << width)
            ctx.set(x, a)
            ctx.set(y, b)
            ctx.set(row, added)
            wanted = (a * b + 5 + added) % (1 << width)
            assert ctx.get(total) == wanted
            await ctx.tick()
            assert ctx.get(upper) % (1 << width - low) == wanted >> low

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
