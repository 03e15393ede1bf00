from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdl.numerics import Arithmetic
from rnn_mapper import cells
from rnn_mapper.cells.lowering import arithmetic_of
from rnn_mapper.errors import ModelError
from rnn_mapper.fixed_point import TABLE_SEGMENTS
from rnn_mapper.network.layers import RecurrentLayer
from rnn_mapper.network.network import Network
from rnn_mapper.quantisation.accuracy import compare_with_float, measure_error
from rnn_mapper.quantisation.codes import quantise_inputs
from rnn_mapper.quantisation.integer_network import QuantisedLayer, QuantisedNetwork, QuantisedProduct, VectorFormat
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.quantisation.reference import run_reference
from sim_tests.bench.stimulus import random_codes
from tests.support import scalar_reference
from tests.support.random_networks import ALL_CELLS, TORCH_CELLS, random_network


def assert_equals_scalar(network: QuantisedNetwork, x8: np.ndarray) -> None:
    trace = run_reference(network, x8)
    layers, outputs = scalar_reference.run(network, x8.tolist())
    for got, wanted in zip(trace.layer_outputs, layers, strict=True):
        assert got.dtype == np.int16
        assert got.tolist() == wanted
    assert trace.outputs.dtype == np.int16
    assert trace.outputs.tolist() == outputs


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    cell=st.sampled_from(TORCH_CELLS),
    inputs=st.integers(1, 6),
    hidden=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    outputs=st.none() | st.integers(1, 4),
    scale=st.sampled_from([0.01, 0.3, 1.0, 5.0, 40.0]),
    steps=st.integers(1, 6),
    segments=st.sampled_from(TABLE_SEGMENTS),
    bits=st.sampled_from([24, 32, 40]),
    operand_bits=st.sampled_from([8, 16]),
)
def test_equals_the_scalar_arithmetic(
    seed: int,
    cell: cells.Cell,
    inputs: int,
    hidden: list[int],
    outputs: int | None,
    scale: float,
    steps: int,
    segments: int,
    bits: int,
    operand_bits: int,
) -> None:
    network = random_network(seed, cell, inputs, tuple(hidden), outputs, scale)
    rng = np.random.default_rng(seed)
    arithmetic = Arithmetic(segments, bits + operand_bits - 8, operand_bits)
    quantised = quantise(network, rng.normal(size=(steps, inputs)), arithmetic)
    # Every code that an operand can have, not only the results of quantise_inputs.
    assert_equals_scalar(quantised, random_codes(rng, arithmetic, (steps, inputs), extreme=False))


@pytest.mark.parametrize("arithmetic", [Arithmetic(), Arithmetic(accumulator_bits=36, operand_bits=16)])
@pytest.mark.parametrize("cell", TORCH_CELLS)
def test_equals_the_scalar_arithmetic_on_the_rails(cell: cells.Cell, arithmetic: Arithmetic) -> None:
    network = random_network(7, cell, inputs=4, hidden=(6, 5), outputs=3, scale=30.0)
    quantised = quantise(network, np.random.default_rng(7).normal(size=(30, 4)), arithmetic)
    codes = random_codes(np.random.default_rng(8), arithmetic, (30, 4), extreme=True)
    assert_equals_scalar(quantised, codes)
    counts = sum(run_reference(quantised, codes).saturations, Counter())
    reached = {"x_part", "h_part", "value" if cell is cells.gru else "preactivation"}
    # 16-bit operands are not narrowed.
    narrowed = set() if cell is cells.lstm or arithmetic.operand_bits == 16 else {"feedback"}
    assert set(counts) >= reached | narrowed
    assert "feedback" not in counts or arithmetic.operand_bits == 8


@pytest.mark.parametrize("sign", [-1, 1])
def test_lstm_state_saturates(sign: int) -> None:
    hidden = 2
    bias = np.repeat([30.0, 30.0, 30.0 * sign, 30.0], hidden)  # i, f and o open, g at its limit: c grows by 1 a step
    layer = RecurrentLayer(cells.lstm, np.ones((4 * hidden, 1)), np.ones((4 * hidden, hidden)), bias)
    quantised = quantise(Network((layer,)), np.ones((1, 1)))
    x8 = np.zeros((40, 1), np.int8)
    assert_equals_scalar(quantised, x8)
    trace = run_reference(quantised, x8)
    assert trace.state[0]["c"][0] in (-32768, 32767)
    assert set(trace.saturations[0]) >= {"c", "feedback"} - ({"feedback"} if sign < 0 else set())


@pytest.mark.parametrize("cell", ALL_CELLS)
def test_a_sequence_in_parts_equals_the_whole(cell: cells.Cell) -> None:
    network = random_network(4, cell, hidden=(6, 3), outputs=2)
    inputs = np.random.default_rng(4).normal(size=(12, 5))
    quantised = quantise(network, inputs)
    x8 = quantise_inputs(quantised, inputs)
    whole = run_reference(quantised, x8)
    outputs, state = [], None
    for part in np.split(x8, [1, 5]):
        trace = run_reference(quantised, part, state)
        outputs.append(trace.outputs)
        state = trace.state
    assert (np.concatenate(outputs) == whole.outputs).all()
    assert state is not None
    for got, wanted in zip(state, whole.state, strict=True):
        assert tuple(got) == tuple(wanted) == cell.state_names
        for name in cell.state_names:
            assert (got[name] == wanted[name]).all()


@pytest.mark.parametrize(
    ("cell", "rms"), [(cells.lstm, 0.02), (cells.gru, 0.02), (cells.rnn_tanh, 0.03), (cells.rnn_relu, 0.03)]
)
def test_is_close_to_float(cell: cells.Cell, rms: float) -> None:
    network = random_network(11, cell, inputs=20, hidden=(24, 16), outputs=4, scale=0.25)
    inputs = np.random.default_rng(11).normal(size=(200, 20))
    errors = compare_with_float(network, quantise(network, inputs), inputs)
    assert [error.name for error in errors] == ["layer 0", "layer 1", "head"]
    for error in errors:
        assert error.rms <= rms * error.signal_rms
        assert error.rms <= error.p999 <= error.max
        assert error.drift < 1.5


def test_error_measures() -> None:
    wanted = np.zeros((10, 2))
    got = wanted.copy()
    got[:2], got[-2:] = 0.1, -0.3
    error = measure_error("layer 0", wanted, got)
    assert error.rms == pytest.approx(np.sqrt(0.02))
    assert error.max == pytest.approx(0.3)
    percentiles = measure_error("layer 0", np.zeros((1001, 1)), np.arange(1001.0)[:, None])
    assert percentiles.p999 == pytest.approx(999)
    assert error.drift == pytest.approx(3.0)
    assert measure_error("layer 0", wanted, wanted).drift == 1.0


@pytest.mark.parametrize(
    ("x8", "message"),
    [
        (np.zeros((2, 5)), "inputs are float64 [2, 5], must be int8 [steps, 5], steps >= 1"),
        (np.zeros((2, 4), np.int8), "inputs are int8 [2, 4], must be int8 [steps, 5], steps >= 1"),
        (np.zeros((0, 5), np.int8), "inputs are int8 [0, 5], must be int8 [steps, 5], steps >= 1"),
    ],
)
def test_inputs_are_checked(x8: np.ndarray, message: str) -> None:
    with pytest.raises(ModelError) as error:
        run_reference(quantise(random_network(0, cells.gru), np.ones((1, 5))), x8)
    assert str(error.value) == message


def test_state_is_checked() -> None:
    quantised = quantise(random_network(0, cells.lstm, hidden=(2,)), np.ones((1, 5)))
    x8 = np.zeros((1, 5), np.int8)
    good = run_reference(quantised, x8).state[0]
    with pytest.raises(ModelError, match=r"^state holds 0 layers, must hold 1$"):
        run_reference(quantised, x8, ())
    with pytest.raises(ModelError, match=r"^state of layer 0: c is nothing, must be int16 \[2\]$"):
        run_reference(quantised, x8, ({"h": good["h"]},))
    with pytest.raises(ModelError, match=r"^state of layer 0: h is int64 \[2\], must be int16 \[2\]$"):
        run_reference(quantised, x8, ({**good, "h": good["h"].astype(np.int64)},))


@pytest.mark.parametrize("inputs", [1000, 1100])
def test_wide_products_are_exact(inputs: int) -> None:
    """Sums on either side of the limit of single precision, with the last bit visible in the output."""
    product = QuantisedProduct(
        weights=np.full((1, 1, inputs), 127, np.int8),
        bias=np.array([[inputs * 127 * 128]]),
        multiplier=np.array([[1 << 9]]),
        shift=np.array([[8]]),
        row_scale=np.ones((1, 1)),
    )
    none = replace(product, weights=np.zeros((1, 1, 1), np.int8), bias=np.zeros((1, 1), np.int64))
    arithmetic = arithmetic_of(cells.rnn_relu)
    layer = QuantisedLayer(
        arithmetic, inputs, 1, {"h": 1}, {"x": product, "h": none}, {}, input_scale=1.0,
        formats={arithmetic.output: VectorFormat(10, 8)},
    )
    x8 = np.full((4, inputs), -128, np.int8)
    for step in range(4):
        x8[step, inputs // 2 : inputs // 2 + step] = -127
    network = QuantisedNetwork((layer,), None, Arithmetic(accumulator_bits=32))
    trace = run_reference(network, x8)
    assert trace.outputs[:, 0].tolist() == [0, 127, 254, 381]
    assert not trace.saturations[0]
    assert run_reference(network, np.zeros((3, inputs), np.int8)).saturations[0] == {"x_part": 3, "feedback": 2}
    assert_equals_scalar(network, x8)
