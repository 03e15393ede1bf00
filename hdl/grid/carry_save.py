"""Products in carry-save form: two rows of bits whose sum is the product, without the long carry of an adder."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import C, Cat, Module, Signal, Value, signed

__all__ = ["carry_save", "partial_products", "upper_sum"]


def partial_products(m: Module, x: Value, y: Value, width: int, addend: int, name: str) -> list[Value]:
    """Rows of `width` bits whose sum, modulo 2^width, is `x * y + addend`, for a signed `x` and a constant `addend`.

    Radix-4 Booth recoding (MacSorley 1961): each two bits of `y`, with the bit below them, choose a row from -2x to 2x.
    A row's sign is not extended: the bit is inverted, and what that changes is part of one constant for all rows.
    """
    bits = len(y) + (not y.shape().signed)
    count = (bits + 1) // 2
    above = y[-1] if y.shape().signed else C(0, 1)
    multiplier = Cat(C(0, 1), y, above.replicate(2 * count - len(y)))
    rows: list[Value] = []
    negative: Value = C(0, 1)
    for index in range(count):
        low, middle, high = multiplier[2 * index], multiplier[2 * index + 1], multiplier[2 * index + 2]
        once, twice = Signal(name=f"{name}_once_{index}"), Signal(name=f"{name}_twice_{index}")
        row = Signal(len(x) + 1, name=f"{name}_{index}")
        m.d.comb += [
            once.eq(low ^ middle),
            twice.eq((high & ~middle & ~low) | (~high & middle & low)),
            row.eq(
                ((Cat(x, x[-1]) & once.replicate(len(row))) | (Cat(C(0, 1), x) & twice.replicate(len(row))))
                ^ high.replicate(len(row))
            ),
        ]
        # The complement of the row before lacks one in its lowest place.
        below = Cat(C(0, 2 * index - 2), negative, C(0, 1)) if index else C(0, 0)
        rows.append(Cat(below, row[:-1], ~row[-1])[:width])
        addend -= 1 << 2 * index + len(x)
        negative = high
    if y.shape().signed:
        rows.append(Cat(C(0, 2 * count - 2), negative))
    return [*rows, C(addend % (1 << width), width)]


def carry_save(m: Module, rows: Sequence[Value], width: int, name: str) -> tuple[Value, Value]:
    """Two rows with the same sum, modulo 2^width: three at a time become two. What comes late should be last."""
    rows = list(rows)
    level = 0
    while len(rows) > 2:
        level += 1
        left: list[Value] = []
        for index in range(0, len(rows) - 2, 3):
            a, b, c = rows[index : index + 3]
            total = Signal(width, name=f"{name}_sum_{level}_{index // 3}")
            carry = Signal(width, name=f"{name}_carry_{level}_{index // 3}")
            m.d.comb += [total.eq(a ^ b ^ c), carry.eq(((a & b) | (a & c) | (b & c)) << 1)]
            left += [total, carry]
        rows = left + rows[len(rows) - len(rows) % 3 :]
    return rows[0], rows[1]


def upper_sum(m: Module, rows: tuple[Value, Value], low: int, width: int, name: str) -> Value:
    """The bits from `low` to `width` of the sum of two rows, one cycle later.

    The carry from below is a register, so that the adder that follows is short.
    """
    first, second = rows
    carry = Signal(name=f"{name}_carry", reset_less=True)
    upper = [Signal(signed(width - low), name=f"{name}_{index}", reset_less=True) for index in range(2)]
    below = Signal(low + 1, name=f"{name}_below")
    m.d.comb += below.eq(first[:low] + second[:low])
    m.d.sync += [carry.eq(below[-1]), upper[0].eq(first[low:width]), upper[1].eq(second[low:width])]
    # The carry comes in below the lowest bits, for one adder.
    total = Cat(C(1, 1), upper[0]) + Cat(carry, upper[1])
    return total[1 : width - low + 1].as_signed()
