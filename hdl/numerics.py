"""Constants of the arithmetic's definition (docs/numerics.md), shared by the hardware and the numpy reference."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "DEFAULT_ARITHMETIC", "KEPT_LEFT", "MULTIPLIER_BITS", "PRESCALED_BITS", "PRESCALE_LEFT", "REQUANTISE_RIGHT",
    "SHIFT_LIMIT", "Arithmetic",
]

#: Bits by which an accumulator is moved up before its row's shift moves it down, so that ratios above one fit too;
#: for operands of 8 bits, see `Arithmetic.prescale_left`.
PRESCALE_LEFT = 11
#: Bits of the prescaled accumulator; what does not fit saturates the result as well.
PRESCALED_BITS = 19
#: Bits of a row's multiplier.
MULTIPLIER_BITS = 10
#: Bits by which the product of both is rounded.
REQUANTISE_RIGHT = 12
#: Largest shift of a row.
SHIFT_LIMIT = 31
#: Bits from the kept product of two Q0.15 values to the Q5.25 product of a gate and a Q5.10 state.
KEPT_LEFT = 10


@dataclass(frozen=True)
class Arithmetic:
    """The choices of a grid on which the integers of a network depend, and nothing else of it."""

    #: Segments of the activation table over [-16, 16).
    table_segments: int = 256
    #: Bits of the accumulator and of the partial sums between PCUs.
    accumulator_bits: int = 28
    #: Bits of an operand: a code of the input, or what is multiplied of a computed vector, 8 or 16. With 16 the 16-bit
    #: values of a computed vector are multiplied as they are.
    operand_bits: int = 8

    @property
    def operand_limit(self) -> int:
        """Largest magnitude of an operand code: computed vectors saturate to its negative."""
        return 1 << (self.operand_bits - 1)

    @property
    def prescale_left(self) -> int:
        """As PRESCALE_LEFT: with wider operands a unit of the accumulator is worth less, and shifts stay the same."""
        return PRESCALE_LEFT - (self.operand_bits - 8)

    def serves(self, other: Arithmetic) -> bool:
        """Whether a grid of this arithmetic computes what was quantised for another."""
        return (
            (self.table_segments, self.operand_bits) == (other.table_segments, other.operand_bits)
            and self.accumulator_bits >= other.accumulator_bits
        )


#: That of a grid for which nothing else is chosen.
DEFAULT_ARITHMETIC = Arithmetic()
