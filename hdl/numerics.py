"""Constants of the arithmetic (docs/numerics.md), shared by the hardware and the numpy reference."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "DEFAULT_ARITHMETIC", "KEPT_LEFT", "MULTIPLIER_BITS", "PRESCALED_BITS", "PRESCALE_LEFT", "REQUANTISE_RIGHT",
    "SHIFT_LIMIT", "Arithmetic",
]

#: Left shift of an accumulator before the right shift of its row, so that a row can scale by more than one. For 8-bit
#: operands; see `Arithmetic.prescale_left`.
PRESCALE_LEFT = 11
#: Bits of the prescaled accumulator. A value that does not fit saturates the result as well.
PRESCALED_BITS = 19
#: Bits of a row's multiplier.
MULTIPLIER_BITS = 10
#: Bits that rounding drops from the product of prescaled accumulator and multiplier.
REQUANTISE_RIGHT = 12
#: Largest shift of a row.
SHIFT_LIMIT = 31
#: Left shift of a kept Q0.15 value to the Q5.25 product of a gate and a Q5.10 state.
KEPT_LEFT = 10


@dataclass(frozen=True)
class Arithmetic:
    """The parameters of a grid on which the integers of a network depend."""

    #: Segments of the activation table over [-16, 16).
    table_segments: int = 256
    #: Bits of the accumulator and of the partial sums between PCUs.
    accumulator_bits: int = 28
    #: Bits of an operand, 8 or 16: a code of the input or of a computed vector. With 16, the values of a computed
    #: vector are multiplied as they are.
    operand_bits: int = 8

    @property
    def operand_limit(self) -> int:
        """Largest magnitude of an operand code: computed vectors saturate to its negative."""
        return 1 << (self.operand_bits - 1)

    @property
    def prescale_left(self) -> int:
        """`PRESCALE_LEFT` for these operands: with wider ones a unit of the accumulator is smaller, and shifts stay."""
        return PRESCALE_LEFT - (self.operand_bits - 8)

    def serves(self, other: Arithmetic) -> bool:
        """Whether a grid with this arithmetic runs networks that were quantised for `other`."""
        return (
            (self.table_segments, self.operand_bits) == (other.table_segments, other.operand_bits)
            and self.accumulator_bits >= other.accumulator_bits
        )


#: The arithmetic of a grid with default parameters.
DEFAULT_ARITHMETIC = Arithmetic()
