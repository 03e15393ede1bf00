"""From a float network and a calibration input to integers, by the rules of the arithmetic's definition (numerics)."""

import math

import numpy as np
import numpy.typing as npt

from hdl.numerics import MULTIPLIER_BITS, PRESCALE_LEFT, REQUANTISE_RIGHT, SHIFT_LIMIT

from .errors import ConfigurationError, ModelError
from .fixed_point import ACTIVATION_FRACTION, PREACTIVATION_FRACTION, IntArray, segment_shift
from .float_reference import FloatState, run_float
from .model_files import check_inputs
from .network import Cell, FloatArray, Network, RecurrentLayer
from .quantised import QuantisedDense, QuantisedLayer, QuantisedNetwork, QuantisedProduct, prove_accumulators

#: Accumulator widths the rules below make sense for.
ACCUMULATOR_BITS = range(16, 49)

_WEIGHT_LIMIT = 127
_ROW_SCALE_RANGE = (
    1024  # a row's scale is at least the matrix's largest over this: keeps nearly dead rows' biases small
)
_ZERO = 2.0**-100  # magnitudes below count as zero, far below anything the pre-activation's 2^-10 resolves
#: Output codes that one accumulator unit may be worth.
LARGEST_RATIO = 1 << (MULTIPLIER_BITS + PRESCALE_LEFT - REQUANTISE_RIGHT)


def quantise(
    network: Network,
    calibration: FloatArray,
    table_segments: int = 256,
    accumulator_bits: int = 28,
    state: tuple[FloatState, ...] | None = None,
) -> QuantisedNetwork:
    """Quantise `network`; `calibration` [steps, input_size] is typical input, run from `state` (cleared if None).

    Calibration sets the scale of the inputs, the feedback position of rnn_relu layers and the head's output position.
    Raises ModelError if the calibration does not fit or a scale is out of range, ConfigurationError for a bad table
    or accumulator size, MappingError if the accumulator cannot be proven wide enough.
    """
    segment_shift(table_segments)
    if accumulator_bits not in ACCUMULATOR_BITS:
        rule = f"must be {ACCUMULATOR_BITS.start} to {ACCUMULATOR_BITS.stop - 1}"
        raise ConfigurationError(f"accumulator_bits is {accumulator_bits}, {rule}")
    calibration = check_inputs(calibration, network.input_size, "calibration")
    with np.errstate(over="ignore", invalid="ignore"):
        trace = run_float(network, calibration, state)
    for name, values in [*((f"layer {i}", h) for i, h in enumerate(trace.h)), ("head", trace.outputs)]:
        if not np.isfinite(values).all():
            raise ModelError(f"{name}: the calibration input drives it to infinity, must stay finite")
    peak = float(np.abs(calibration).max())
    scale = (peak if peak > _ZERO else 1.0) / _WEIGHT_LIMIT
    layers = []
    for index, (layer, h) in enumerate(zip(network.layers, trace.h, strict=True)):
        layers.append(_quantise_layer(f"layer {index}", layer, h, scale, accumulator_bits))
        scale = layers[-1].feedback_scale
    head = None
    if network.head is not None:
        fraction = _output_fraction(float(np.abs(trace.outputs).max()))
        product = _quantise_product(
            "head", network.head.weight[None], network.head.bias[None], scale, fraction, accumulator_bits
        )
        head = QuantisedDense(product, scale, fraction)
    quantised = QuantisedNetwork(tuple(layers), head, table_segments, accumulator_bits)
    prove_accumulators(quantised)
    return quantised


def quantise_inputs(network: QuantisedNetwork, inputs: FloatArray) -> npt.NDArray[np.int8]:
    """The int8 operand codes [steps, input_size] of float inputs: rint(x / input_scale) within -127..127."""
    inputs = check_inputs(inputs, network.input_size)
    limit = _WEIGHT_LIMIT
    return np.clip(np.rint(inputs / network.layers[0].input_scale), -limit, limit).astype(np.int8)


def _quantise_layer(name: str, layer: RecurrentLayer, h: FloatArray, scale: float, bits: int) -> QuantisedLayer:
    gates, hidden = layer.cell.gates, layer.hidden_size
    x_bias = layer.bias_ih.reshape(gates, hidden).copy()
    h_bias = layer.bias_hh.reshape(gates, hidden).copy()
    # The reset gate multiplies the candidate's hidden part with its bias, so that bias cannot move to the input part.
    together = slice(0, 2) if layer.cell is Cell.GRU else slice(None)
    x_bias[together] += h_bias[together]
    h_bias[together] = 0.0
    shift = 8 if layer.cell.is_tanh_bounded else _feedback_shift(float(h.max()))
    fraction = ACTIVATION_FRACTION if layer.cell.is_tanh_bounded else PREACTIVATION_FRACTION
    x = layer.weight_ih.reshape(gates, hidden, -1)
    u = layer.weight_hh.reshape(gates, hidden, -1)
    return QuantisedLayer(
        cell=layer.cell,
        input_size=layer.input_size,
        hidden_size=hidden,
        x=_quantise_product(f"{name} x", x, x_bias, scale, PREACTIVATION_FRACTION, bits),
        h=_quantise_product(f"{name} h", u, h_bias, 2.0 ** (shift - fraction), PREACTIVATION_FRACTION, bits),
        input_scale=scale,
        feedback_shift=shift,
    )


def _quantise_product(
    name: str, weight: FloatArray, bias: FloatArray, operand_scale: float, fraction: int, bits: int
) -> QuantisedProduct:
    """`weight` [G, H, I] and `bias` [G, H] to integers whose requantised sum has `fraction` fraction bits."""
    largest = np.abs(weight).max(axis=2) / _WEIGHT_LIMIT
    peak = float(largest.max())
    floor = peak / _ROW_SCALE_RANGE if peak > _ZERO else 1.0 / _WEIGHT_LIMIT
    row_scale = np.maximum(largest, floor)
    # The bias takes at most a quarter of the accumulator's range and leaves the rest to the sum.
    row_scale = np.maximum(row_scale, np.abs(bias) / (operand_scale * 2.0 ** (bits - 2)))
    multiplier, shift = _multiplier(name, operand_scale * row_scale * 2.0**fraction, bits)
    # The shift drops bits below its unit; starting half a unit higher makes it round.
    half = np.where(shift > PRESCALE_LEFT, np.int64(1) << np.maximum(shift - PRESCALE_LEFT - 1, 0), 0)
    return QuantisedProduct(
        weights=np.rint(weight / row_scale[..., None]).astype(np.int8),
        bias=np.rint(bias / (operand_scale * row_scale)).astype(np.int64) + half,
        multiplier=multiplier,
        shift=shift,
        row_scale=row_scale,
    )


def _multiplier(name: str, ratio: FloatArray, bits: int) -> tuple[IntArray, IntArray]:
    """M and s with M * 2^(PRESCALE_LEFT - s - REQUANTISE_RIGHT) nearest to `ratio`, M at least 512 where s allows.

    Ratios too small for that lose precision of M, but their whole product stays within half an output code.
    """
    _, exponent = np.frexp(ratio)  # ratio in [2^(exponent-1), 2^exponent)
    position = REQUANTISE_RIGHT - PRESCALE_LEFT
    # Half of the shift's unit is added to the bias and must stay far below the accumulator's range.
    limit = min(SHIFT_LIMIT, bits + PRESCALE_LEFT - 3)
    shift = np.clip(MULTIPLIER_BITS - position - exponent.astype(np.int64), 0, limit)
    multiplier = np.rint(np.ldexp(ratio, shift + position))
    full = 1 << MULTIPLIER_BITS
    carried = (multiplier == full) & (shift > 0)
    multiplier, shift = np.where(carried, full // 2, multiplier), np.where(carried, shift - 1, shift)
    if (multiplier >= full).any():
        gate, unit = (int(i) for i in np.argwhere(multiplier >= full)[0])
        raise ModelError(
            f"{name}, gate {gate}, unit {unit}: one accumulator unit is {ratio[gate, unit]:.6g} output codes, "
            f"must be below {LARGEST_RATIO}: the weights or inputs are too large"
        )
    return multiplier.astype(np.int64), shift


def _feedback_shift(peak: float) -> int:
    """The smallest k in 1..8 for which a Q5.10 h of `peak` fits into int8 after the shift."""
    code = round(min(peak * 2**PREACTIVATION_FRACTION, 32767.0))
    return next((k for k in range(1, 8) if (code + (1 << (k - 1))) >> k <= _WEIGHT_LIMIT), 8)


def _output_fraction(peak: float) -> int:
    """Fraction bits that leave `peak` one bit of headroom in 16 bits: other inputs may exceed the calibration's."""
    return 14 - math.frexp(peak)[1] if peak > _ZERO else ACTIVATION_FRACTION
