import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnn_mapper.errors import ConfigurationError
from rnn_mapper.fixed_point import (
    TABLE_SEGMENTS,
    activation_sigmoid,
    activation_tanh,
    round_shift,
    saturate,
    sigmoid_table,
)

ALL_CODES = np.arange(-32768, 32768)
segment_counts = pytest.mark.parametrize("segments", TABLE_SEGMENTS)


@given(st.integers(-(2**47), 2**47), st.integers(1, 31))
def test_round_shift_is_nearest_with_ties_upwards(value: int, shift: int) -> None:
    assert int(round_shift(value, shift)) == math.floor(Fraction(value, 2**shift) + Fraction(1, 2))


def test_round_shift_takes_a_shift_per_element() -> None:
    assert round_shift([3, -3, 6], [1, 1, 2]).tolist() == [2, -1, 2]


@given(st.integers(-(2**40), 2**40), st.sampled_from([8, 16]))
def test_saturate_limits_and_leaves_the_rest(value: int, bits: int) -> None:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    assert int(saturate(value, bits)) == (low if value < low else high if value > high else value)


@segment_counts
def test_table_holds_the_sigmoid_at_its_knots(segments: int) -> None:
    table = sigmoid_table(segments)
    assert table.dtype == np.int32
    assert table.shape == (segments + 1,)
    for index, value in enumerate(table):
        assert abs(min(32768 / (1 + math.exp(16 - index * 32 / segments)), 32767) - value) <= 0.5
    assert (table[0], table[segments // 2], table[-1]) == (0, 16384, 32767)


@segment_counts
def test_activations_are_monotonic_within_range_and_accurate(segments: int) -> None:
    sigmoid, tanh = activation_sigmoid(ALL_CODES, segments), activation_tanh(ALL_CODES, segments)
    assert (np.diff(sigmoid) >= 0).all()
    assert (np.diff(tanh) >= 0).all()
    assert (sigmoid.min(), sigmoid.max(), tanh.min(), tanh.max()) == (0, 32767, -32768, 32766)
    # Linear interpolation is off by at most max|f''| * width^2 / 8, f'' of the sigmoid by sqrt(3)/18.
    bound = (32 / segments) ** 2 * math.sqrt(3) / 18 / 8 + 1.5 / 32768
    exact = 1 / (1 + np.exp(-ALL_CODES / 1024))
    assert np.abs(sigmoid / 32768 - exact).max() <= bound
    assert np.abs(tanh / 32768 - np.tanh(ALL_CODES / 1024)).max() <= 2 * bound
    assert activation_tanh(0, segments) == 0


@segment_counts
def test_interpolation_hits_the_knots(segments: int) -> None:
    width = 32768 // segments
    assert (activation_sigmoid(np.arange(segments) * width - 16384, segments) == sigmoid_table(segments)[:-1]).all()


def test_tanh_saturates_its_doubled_operand() -> None:
    assert activation_tanh(20000) == 32766
    assert activation_tanh(-20000) == -32768


@pytest.mark.parametrize("segments", [0, 32, 100, 2048, -64])
def test_segment_count_is_checked(segments: int) -> None:
    with pytest.raises(ConfigurationError) as error:
        activation_sigmoid(0, segments)
    assert str(error.value) == f"table_segments is {segments}, must be one of 64, 128, 256, 512, 1024"
