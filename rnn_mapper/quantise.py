"""From a float network and a calibration input to integers, by the rules of the arithmetic's definition (numerics)."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from hdl.numerics import (
    DEFAULT_ARITHMETIC,
    MULTIPLIER_BITS,
    PRESCALE_LEFT,
    REQUANTISE_RIGHT,
    SHIFT_LIMIT,
    Arithmetic,
)
from rnn_mapper.cells.arithmetic import CellArithmetic, Node, arithmetic_of
from rnn_mapper.cells.expressions import Expression
from rnn_mapper.errors import ConfigurationError, ModelError
from rnn_mapper.fixed_point import ACTIVATION_FRACTION, PREACTIVATION_FRACTION, IntArray, segment_shift
from rnn_mapper.float_reference import FloatState, run_float
from rnn_mapper.model_files import check_inputs
from rnn_mapper.network import FloatArray, Layer, Network
from rnn_mapper.quantised import (
    QuantisedLayer,
    QuantisedNetwork,
    QuantisedProduct,
    VectorFormat,
    prove_accumulators,
)

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
    arithmetic: Arithmetic = DEFAULT_ARITHMETIC,
    state: Sequence[FloatState] | None = None,
) -> QuantisedNetwork:
    """Quantise `network`; `calibration` [steps, input_size] is typical input, run from `state` (cleared if None).

    Calibration sets the scale of the inputs, the operand position of vectors that can exceed 1 and the format of
    vectors that come straight from a product (dense layers, projections).
    Raises ModelError if the calibration does not fit or a scale is out of range, ConfigurationError for a bad table
    or accumulator size, MappingError if the accumulator cannot be proven wide enough.
    """
    segment_shift(arithmetic.table_segments)
    if arithmetic.accumulator_bits not in ACCUMULATOR_BITS:
        rule = f"must be {ACCUMULATOR_BITS.start} to {ACCUMULATOR_BITS.stop - 1}"
        raise ConfigurationError(f"accumulator_bits is {arithmetic.accumulator_bits}, {rule}")
    calibration = check_inputs(calibration, network.input_size, "calibration")
    with np.errstate(over="ignore", invalid="ignore"):
        trace = run_float(network, calibration, state)
    names = [*(f"layer {index}" for index in range(len(network.layers))), "head"]
    for name, values in zip(names, trace.layer_outputs, strict=False):
        if not np.isfinite(values).all():
            raise ModelError(f"{name}: the calibration input drives it to infinity, must stay finite")
    peak = float(np.abs(calibration).max())
    scale = (peak if peak > _ZERO else 1.0) / _WEIGHT_LIMIT
    layers = []
    for index, (layer, peaks) in enumerate(zip(network.all_layers, trace.peaks, strict=True)):
        feeds = index < len(network.all_layers) - 1
        layers.append(_quantise_layer(names[index if layer is not network.head else -1], layer, peaks, scale, feeds,
                                      arithmetic.accumulator_bits))
        scale = layers[-1].feedback_scale
    count = len(network.layers)
    head = layers[count] if network.head is not None else None
    quantised = QuantisedNetwork(tuple(layers[:count]), head, arithmetic)
    prove_accumulators(quantised)
    return quantised


def quantise_inputs(network: QuantisedNetwork, inputs: FloatArray) -> npt.NDArray[np.int8]:
    """The int8 operand codes [steps, input_size] of float inputs: rint(x / input_scale) within -127..127."""
    inputs = check_inputs(inputs, network.input_size)
    limit = _WEIGHT_LIMIT
    return np.clip(np.rint(inputs / network.input_scale), -limit, limit).astype(np.int8)


def _quantise_layer(
    name: str, layer: Layer, peaks: Mapping[Expression, float], scale: float, feeds: bool, bits: int
) -> QuantisedLayer:
    arithmetic = arithmetic_of(layer.cell)
    formats = vector_formats(arithmetic, peaks, feeds)
    products = {}
    for operand in arithmetic.operands:
        if operand.is_input:
            operand_scale = scale
        else:
            node = operand.node if operand.node is not None else arithmetic.states[str(operand.state)]
            operand_scale = formats[node].operand_scale
        rows = arithmetic.rows_of(operand)
        weights, biases = [], []
        for row in rows:
            product = next(product for product in row.products if product.operand is operand)
            weights.append(product.factor * layer.tensors[product.matrix])
            bias = np.zeros(len(weights[-1]))
            if product is row.products[0]:
                bias = bias + row.offset + sum(factor * layer.tensors[vector] for vector, factor in row.biases)
            biases.append(bias)
        sizes = {weight.shape for weight in weights}
        if len(sizes) > 1:
            raise ModelError(f"{name}: products with {operand.name} have the shapes {sorted(sizes)}, must have one")
        fractions = [formats[row].fraction if row in arithmetic.calibrated else row.fraction for row in rows]
        products[operand.name] = _quantise_product(
            f"{name} {operand.name}", np.stack(weights), np.stack(biases), operand_scale, fractions, bits
        )
    return QuantisedLayer(
        arithmetic=arithmetic, input_size=layer.input_size, output_size=layer.output_size,
        state_sizes=layer.state_sizes, products=products, input_scale=scale, formats=formats,
        fixed={parameter: _fixed(name, parameter, layer.tensors[parameter]) for parameter in arithmetic.fixed},
    )


def vector_formats(
    arithmetic: CellArithmetic, peaks: Mapping[Expression, float], feeds: bool
) -> dict[Node, VectorFormat]:
    """Formats of all vectors that the layer makes; `feeds`: a layer above multiplies its output."""
    trace = arithmetic.cell.trace
    largest: dict[Node, float] = {}
    multiplied: set[Node] = {arithmetic.output} if feeds else set()
    found = [(arithmetic.output, trace.output)]
    found += list(zip(arithmetic.states.values(), trace.new_states, strict=True))
    for operand in arithmetic.operands:
        if operand.node is not None:
            found.append((operand.node, operand.expression))
        if not operand.is_input:
            multiplied.add(operand.node if operand.node is not None else arithmetic.states[str(operand.state)])
    for node, expression in found:
        largest[node] = max(largest.get(node, 0.0), peaks[expression])
    formats: dict[Node, VectorFormat] = {}
    for node, peak in largest.items():
        if node in arithmetic.calibrated:
            formats[node] = VectorFormat(_output_fraction(peak), 8 if node in multiplied else 0)
        elif node.fraction == ACTIVATION_FRACTION:
            formats[node] = VectorFormat(ACTIVATION_FRACTION, 8 if node in multiplied else 0)
        else:
            formats[node] = VectorFormat(node.fraction, _feedback_shift(peak) if node in multiplied else 0)
    return formats


def _fixed(name: str, parameter: str, values: FloatArray) -> IntArray:
    """A trained vector as Q0.15."""
    limit = 1 << ACTIVATION_FRACTION
    codes = np.rint(values * limit).astype(np.int64)
    if (np.abs(values) > 1).any():
        unit = int(np.abs(values).argmax())
        raise ModelError(
            f"{name}: {parameter}[{unit}] is {values[unit]:.6g}: a vector that is a factor must stay within -1 and 1"
        )
    return np.clip(codes, -limit, limit - 1)


def _quantise_product(
    name: str, weight: FloatArray, bias: FloatArray, operand_scale: float, fractions: Sequence[int], bits: int
) -> QuantisedProduct:
    """`weight` [G, H, I] and `bias` [G, H] to integers; sums of gate g have `fractions[g]` fraction bits."""
    largest = np.abs(weight).max(axis=2) / _WEIGHT_LIMIT
    peak = float(largest.max())
    floor = peak / _ROW_SCALE_RANGE if peak > _ZERO else 1.0 / _WEIGHT_LIMIT
    row_scale = np.maximum(largest, floor)
    # The bias takes at most a quarter of the accumulator's range and leaves the rest to the sum.
    row_scale = np.maximum(row_scale, np.abs(bias) / (operand_scale * 2.0 ** (bits - 2)))
    multiplier, shift = _multiplier(
        name, operand_scale * row_scale * np.exp2(np.array(fractions, dtype=np.float64))[:, None], bits
    )
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
