import numpy as np
import pytest

from hdl.numerics import Arithmetic
from rnn_mapper import cells
from rnn_mapper.errors import ConfigurationError, MappingError, ModelError
from rnn_mapper.network.float_reference import run_float
from rnn_mapper.network.layers import Dense, Layer, RecurrentLayer, gate_count
from rnn_mapper.network.network import Network
from rnn_mapper.network.packed import TORCH_GATES
from rnn_mapper.quantisation.codes import quantise_inputs
from rnn_mapper.quantisation.integer_network import QuantisedProduct, prove_accumulators
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.quantisation.reference import run_reference
from tests.support.random_networks import TORCH_CELLS, random_network

WIDE = Arithmetic(accumulator_bits=36, operand_bits=16)
INPUTS = np.random.default_rng(0).normal(size=(50, 5))


@pytest.mark.parametrize("cell", TORCH_CELLS)
def test_products_follow_the_rules(cell: cells.Cell) -> None:
    network = random_network(1, cell, hidden=(6, 4), outputs=3)
    quantised = quantise(network, INPUTS)
    assert quantised.head is not None
    operand_scale = np.abs(INPUTS).max() / 127
    for layer, source in zip(quantised.layers, network.single_layers, strict=True):
        assert layer.input_scale == operand_scale
        for product, weight, scale in (
            (layer.products["x"], _gates(source, "W"), operand_scale),
            (layer.products["h"], _gates(source, "U"), layer.feedback_scale),
        ):
            assert product.weights.dtype == np.int8
            assert (np.abs(product.weights.astype(int)).max(axis=2) == 127).all()
            error = product.weights * product.row_scale[..., None] - weight
            assert (np.abs(error) <= 0.5001 * product.row_scale[..., None]).all()
            assert ((product.multiplier >= 1 << 9) & (product.multiplier < 1 << 10)).all()
            ratio = product.multiplier * 2.0 ** (11.0 - product.shift - 12.0)
            np.testing.assert_allclose(ratio, scale * product.row_scale * 1024, rtol=2.0**-10)
        operand_scale = layer.feedback_scale
    assert quantised.head.input_scale == operand_scale
    head = quantised.head.products["x"]
    ratio = head.multiplier * 2.0 ** (11.0 - head.shift - 12.0)
    wanted = operand_scale * head.row_scale / quantised.head.output_scale
    np.testing.assert_allclose(ratio, wanted, rtol=2.0**-10)


def _gates(layer: Layer, kind: str) -> np.ndarray:
    """The layer's matrices of one kind, [gates, units, operands], in the order of PyTorch's gates."""
    return np.stack([layer.tensors[f"{kind}{gate}"] for gate in TORCH_GATES[layer.cell.name]])


def half_unit(product: QuantisedProduct) -> np.ndarray:
    """Half of the part that `shift` drops of an accumulator shifted left by 11 bits."""
    return np.array([[2 ** (s - 12) if s > 11 else 0 for s in row] for row in product.shift.tolist()])


@pytest.mark.parametrize("cell", TORCH_CELLS)
def test_biases_go_to_the_input_product_but_for_the_hidden_candidate(cell: cells.Cell) -> None:
    """PyTorch's two biases of a gate are one number, except where the reset gate multiplies the second bias."""
    rng, gates = np.random.default_rng(2), gate_count(cell)
    b_ih, b_hh = rng.uniform(-0.5, 0.5, (2, gates, 7))
    weight_ih, weight_hh = (rng.uniform(-0.5, 0.5, (7 * gates, size)) for size in (5, 7))
    network = Network((RecurrentLayer(cell, weight_ih, weight_hh, b_ih.reshape(-1), b_hh.reshape(-1)),))
    layer = quantise(network, INPUTS).layers[0]
    x, h = layer.products["x"], layer.products["h"]
    x_bias = (x.bias - half_unit(x)) * x.row_scale * layer.input_scale
    h_bias = (h.bias - half_unit(h)) * h.row_scale * layer.feedback_scale
    moved = b_hh.copy()
    if cell is cells.gru:
        moved[2] = 0
    np.testing.assert_allclose(x_bias, b_ih + moved, atol=1e-4)
    np.testing.assert_allclose(h_bias, b_hh - moved, atol=1e-4)


def test_feedback_is_q0_7_where_tanh_bounds_it() -> None:
    for cell in (cells.lstm, cells.gru, cells.rnn_tanh):
        layer = quantise(random_network(0, cell), INPUTS).layers[0]
        assert (layer.feedback_shift, layer.feedback_scale, layer.output_scale) == (8, 1 / 128, 2**-15)


@pytest.mark.parametrize("scale", [0.01, 0.1, 0.3, 0.5])
def test_relu_feedback_is_the_finest_that_holds_the_calibration(scale: float) -> None:
    network = random_network(0, cells.rnn_relu, scale=scale)
    layer = quantise(network, INPUTS).layers[0]
    k, code = layer.feedback_shift, np.rint(run_float(network, INPUTS).layer_outputs[0].max() * 1024)
    assert k is not None
    assert 1 <= k <= 8
    assert (layer.feedback_scale, layer.output_scale) == (2.0 ** (k - 10), 2.0**-10)
    assert np.floor(code / 2**k + 0.5) <= 127 or k == 8
    assert k == 1 or np.floor(code / 2 ** (k - 1) + 0.5) > 127


def test_relu_feedback_allows_for_its_rounding() -> None:
    for code, shift in ((254, 1), (255, 2), (509, 2), (510, 3), (32767, 8)):
        layer = RecurrentLayer(cells.rnn_relu, np.zeros((1, 1)), np.zeros((1, 1)), np.array([code / 1024]))
        assert quantise(Network((layer,)), np.ones((1, 1))).layers[0].feedback_shift == shift


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e5])
def test_head_position_leaves_one_bit_of_headroom(size: float) -> None:
    base = random_network(0, cells.gru)
    network = Network(base.layers, Dense(np.full((2, 7), size)))
    head = quantise(network, INPUTS).head
    assert head is not None
    peak = np.abs(run_float(network, INPUTS).outputs).max() / head.output_scale
    assert 2**13 <= peak < 2**14


def test_nearly_dead_rows_keep_a_scale_and_their_bias() -> None:
    weight = np.vstack([np.full((1, 5), 1.0), np.full((1, 5), 1e-9), np.zeros((1, 5))])
    layer = RecurrentLayer(cells.rnn_tanh, weight, np.zeros((3, 3)), np.array([0.5, 2.0, -3.0]))
    x = quantise(Network((layer,)), INPUTS).layers[0].products["x"]
    assert x.row_scale[0].tolist() == [1 / 127, 1 / 127 / 1024, 1 / 127 / 1024]
    np.testing.assert_allclose(x.bias[0] * x.row_scale[0] * np.abs(INPUTS).max() / 127, [0.5, 2.0, -3.0], rtol=1e-3)


def test_large_biases_raise_the_scale_of_their_row() -> None:
    layer = RecurrentLayer(cells.rnn_tanh, np.full((2, 5), 1e-6), np.zeros((2, 2)), np.array([20.0, 0.0]))
    for bits in (20, 32):
        x = quantise(Network((layer,)), INPUTS, Arithmetic(accumulator_bits=bits)).layers[0].products["x"]
        bias = x.bias[0, 0] - half_unit(x)[0, 0]
        assert bias <= 2 ** (bits - 2)
        assert x.row_scale[0, 0] * np.abs(INPUTS).max() / 127 * bias == pytest.approx(20, rel=1e-4)
    assert x.row_scale[0, 1] == 1e-6 / 127


@pytest.mark.parametrize("cell", TORCH_CELLS)
def test_all_zero_networks_and_inputs_work(cell: cells.Cell) -> None:
    zeros = np.zeros((gate_count(cell) * 3, 3))
    network = Network((RecurrentLayer(cell, zeros, zeros),), Dense(np.zeros((2, 3))))
    quantised = quantise(network, np.ones((4, 3)))
    trace = run_reference(quantised, quantise_inputs(quantised, np.zeros((4, 3))))
    assert not trace.outputs.any()
    assert not trace.layer_outputs[0].any()


def test_inputs_are_rounded_and_limited() -> None:
    quantised = quantise(random_network(0, cells.gru, inputs=2), np.array([[1.27, 0.0]]))
    codes = quantise_inputs(quantised, np.array([[0.014, -0.016], [5.0, -5.0]]))
    assert codes.dtype == np.int8
    assert codes.tolist() == [[1, -2], [127, -127]]


@pytest.mark.parametrize("cell", TORCH_CELLS)
def test_operands_of_16_bits(cell: cells.Cell) -> None:
    """The scale of the input is 2^8 times finer, except at the ends; computed vectors are multiplied unchanged."""
    network = Network(random_network(0, cell).layers, Dense(np.ones((2, 7))))
    narrow, wide = quantise(network, INPUTS), quantise(network, INPUTS, WIDE)
    assert wide.input_scale == pytest.approx(narrow.input_scale * 127 / 32767, rel=1e-12)
    assert quantise_inputs(wide, INPUTS).dtype == np.int16
    assert np.abs(quantise_inputs(wide, INPUTS)).max() == 32767
    assert quantise_inputs(wide, np.full((1, 5), -1e3)).tolist() == [[-32767] * 5]
    for layer, other in zip(wide.all_layers, narrow.all_layers, strict=True):
        assert layer.output_fraction == other.output_fraction
        assert layer.feedback_shift == (0 if layer in wide.layers else None)
        assert layer.feedback_scale == layer.output_scale
        for name, product in layer.products.items():
            assert np.array_equal(product.weights, other.products[name].weights)
            # The shifts are the same as with 8 bits, and so is the rest of the sum after them.
            assert np.abs(product.shift - other.products[name].shift).max() <= 8
            assert (product.multiplier >= 512).all()


@pytest.mark.parametrize("arithmetic", [Arithmetic(), WIDE])
def test_accumulator_proof_is_the_exact_worst_case(arithmetic: Arithmetic) -> None:
    quantised = quantise(random_network(5, cells.gru, hidden=(6,), outputs=2), INPUTS, arithmetic)
    largest = 1 << (arithmetic.operand_bits - 1)
    bounds = prove_accumulators(quantised)
    assert [bound.product for bound in bounds] == ["layer 0 x", "layer 0 h", "head x"]
    for bound, product in zip(bounds, quantised.products().values(), strict=True):
        row = [int(w) for w in product.weights[bound.gate, bound.unit]]
        assert bound.worst == sum(map(abs, row)) * largest + abs(int(product.bias[bound.gate, bound.unit]))
        assert -(2 ** (bound.bits - 1)) <= -bound.worst
        assert bound.worst < 2 ** (bound.bits - 1)
        assert bound.worst >= 2 ** (bound.bits - 2)
        assert bound.margin == arithmetic.accumulator_bits - bound.bits


def test_a_narrow_accumulator_is_refused() -> None:
    network = Network((RecurrentLayer(cells.rnn_tanh, np.ones((1, 50)), np.ones((1, 1))),))
    with pytest.raises(MappingError) as error:
        quantise(network, np.ones((1, 50)), Arithmetic(accumulator_bits=20))
    wanted = "layer 0 x, gate 0, unit 0: the accumulator can reach 812801, which needs 21 bits; the grid has 20"
    assert str(error.value) == wanted
    with pytest.raises(MappingError, match=r"can reach 208[0-9]{6}, which needs 29 bits; the grid has 28$"):
        quantise(network, np.ones((1, 50)), Arithmetic(operand_bits=16))


def test_weights_beyond_the_multiplier_are_refused() -> None:
    network = Network((RecurrentLayer(cells.rnn_tanh, np.full((1, 1), 1e6), np.ones((1, 1))),))
    with pytest.raises(ModelError) as error:
        quantise(network, np.ones((1, 1)))
    assert str(error.value) == (
        "layer 0 x, gate 0, unit 0: one accumulator unit is 63488.1 output codes, "
        "must be below 512: the weights or inputs are too large"
    )


def test_a_multiplier_that_rounds_up_to_the_next_power_of_two() -> None:
    weight = np.full((1, 1), 1023.9 * 2.0**-14 / 1024 * 127 * 127)
    network = Network((RecurrentLayer(cells.rnn_tanh, weight, np.ones((1, 1))),))
    x = quantise(network, np.ones((1, 1))).layers[0].products["x"]
    assert (x.multiplier[0, 0], x.shift[0, 0]) == (512, 12)


def test_the_largest_multiplier_without_a_shift_to_spare() -> None:
    ratio = 511.4  # output codes per accumulator unit, at s_operand = 1/127
    weight = np.full((1, 1), ratio / 1024 * 127 * 127)
    network = Network((RecurrentLayer(cells.rnn_tanh, weight, np.ones((1, 1))),))
    x = quantise(network, np.ones((1, 1))).layers[0].products["x"]
    assert (x.multiplier[0, 0], x.shift[0, 0]) == (1023, 0)


def test_a_diverging_calibration_is_refused() -> None:
    network = Network((RecurrentLayer(cells.rnn_relu, np.ones((1, 1)), np.full((1, 1), 10.0)),))
    with pytest.raises(ModelError, match=r"^layer 0: the calibration input drives it to infinity, must stay finite$"):
        quantise(network, np.ones((400, 1)))


@pytest.mark.parametrize("bits", [15, 49])
def test_accumulator_width_is_checked(bits: int) -> None:
    with pytest.raises(ConfigurationError, match=rf"^accumulator_bits is {bits}, must be 16 to 48$"):
        quantise(random_network(0, cells.gru), INPUTS, Arithmetic(accumulator_bits=bits))


def test_calibration_is_checked() -> None:
    with pytest.raises(ModelError, match=r"^calibration has shape 3 x 4, must have 5 features per step$"):
        quantise(random_network(0, cells.gru), np.ones((3, 4)))
