"""The fixed-point primitives of the arithmetic: rounding, saturation and the activation table.

All functions take integers or integer arrays and work in int64; Qm.f means f fraction bits.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.numerics import DEFAULT_ARITHMETIC, PRESCALED_BITS, REQUANTISE_RIGHT, Arithmetic
from rnn_mapper.errors import ConfigurationError

IntArray = npt.NDArray[np.int64]
#: Operand codes, int8 or int16 by the arithmetic's operand_bits (`operand_type`).
Codes = npt.NDArray[np.signedinteger[Any]]

#: Fraction bits of pre-activations, of the LSTM state c and of a relu network's h (Q5.10).
PREACTIVATION_FRACTION = 10
#: Fraction bits of table outputs and of a tanh-bounded h (Q0.15).
ACTIVATION_FRACTION = 15
#: Allowed numbers of segments in an activation table.
TABLE_SEGMENTS = (64, 128, 256, 512, 1024)

_CODES = 1 << 15  # pre-activation codes that the table covers: [-16, 16) in Q5.10


def round_shift(value: Any, shift: Any) -> IntArray:
    """value / 2^shift rounded to the nearest integer, ties upwards: (value + 2^(shift-1)) >> shift; 0 leaves it."""
    shift = np.asarray(shift, dtype=np.int64)
    return (np.asarray(value, dtype=np.int64) + ((np.int64(1) << shift) >> 1)) >> shift


def saturate(value: Any, bits: int) -> IntArray:
    """`value` limited to the range of a two's complement number with `bits` bits."""
    limit = 1 << (bits - 1)
    return np.clip(np.asarray(value, dtype=np.int64), -limit, limit - 1)


def operand_type(arithmetic: Arithmetic) -> np.dtype[np.signedinteger[Any]]:
    """The numpy type of operand codes."""
    return np.dtype(f"int{arithmetic.operand_bits}")


def requantise(
    accumulator: Any, multiplier: Any, shift: Any, arithmetic: Arithmetic = DEFAULT_ARITHMETIC
) -> IntArray:
    """Accumulators to output codes before saturation: round(sat19((acc << prescale_left) >> shift) * multiplier, 12).

    Shifting first keeps the multiplication narrow. The shift rounds because the bias holds half of its unit.
    """
    shifted = (np.asarray(accumulator, dtype=np.int64) << arithmetic.prescale_left) >> shift
    return round_shift(saturate(shifted, PRESCALED_BITS) * multiplier, REQUANTISE_RIGHT)


def segment_shift(segments: int) -> int:
    """log2 of the pre-activation codes per table segment; raises ConfigurationError if the count is not allowed."""
    if segments not in TABLE_SEGMENTS:
        raise ConfigurationError(f"table_segments is {segments}, must be one of {', '.join(map(str, TABLE_SEGMENTS))}")
    return (_CODES // segments).bit_length() - 1


def sigmoid_table(segments: int = 256) -> npt.NDArray[np.int32]:
    """The knots of the sigmoid over [-16, 16): int32 [segments + 1], Q0.15, min(rint(sigmoid * 32768), 32767)."""
    segment_shift(segments)
    x = np.arange(segments + 1) * (32.0 / segments) - 16.0
    return np.minimum(np.rint(32768.0 / (1.0 + np.exp(-x))), 32767).astype(np.int32)


def activation_sigmoid(a: Any, segments: int = 256) -> IntArray:
    """Sigmoid of Q5.10 values by linear interpolation of the table, Q0.15 in 0..32767."""
    shift = segment_shift(segments)
    table = _TABLES[segments]
    position = np.clip(np.asarray(a, dtype=np.int64), -_CODES // 2, _CODES // 2 - 1) + _CODES // 2
    index = position >> shift
    low = table[index]
    return low + round_shift((table[index + 1] - low) * (position & ((1 << shift) - 1)), shift)


def activation_tanh(a: Any, segments: int = 256) -> IntArray:
    """Hyperbolic tangent of Q5.10 values, 2 sigmoid(2a) - 1 from the same table, Q0.15 in -32768..32766."""
    return 2 * activation_sigmoid(saturate(2 * np.asarray(a, dtype=np.int64), 16), segments) - 32768


_TABLES = {segments: sigmoid_table(segments).astype(np.int64) for segments in TABLE_SEGMENTS}
