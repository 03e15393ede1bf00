"""From a float network and a calibration input to integers, by the rules of the arithmetic's definition (numerics)."""

import math
from collections import abc
from collections.abc import Sequence

import numpy as np

from hdl.numerics import (
    DEFAULT_ARITHMETIC,
    MULTIPLIER_BITS,
    REQUANTISE_RIGHT,
    SHIFT_LIMIT,
    Arithmetic,
)
from rnn_mapper.cells.arithmetic import CellArithmetic, Node
from rnn_mapper.cells.expressions import Expression
from rnn_mapper.cells.lowering import arithmetic_of
from rnn_mapper.errors import ConfigurationError, ModelError
from rnn_mapper.fixed_point import ACTIVATION_FRACTION, Codes, IntArray, operand_type, segment_shift
from rnn_mapper.network.float_reference import FloatState, FloatTrace, run_float
from rnn_mapper.network.network import FloatArray, Layer, Network, check_inputs
from rnn_mapper.network.ranges import ValueRange
from rnn_mapper.quantisation.calibration import DEFAULT_RULE, Choice, Method, ScaleRule, clip_of, least_error, shift_of
from rnn_mapper.quantisation.integer_network import (
    QuantisedLayer,
    QuantisedNetwork,
    QuantisedProduct,
    VectorFormat,
    prove_accumulators,
)
from rnn_mapper.quantisation.reference import run_reference
from rnn_mapper.quantisation.start_state import quantise_state

#: Accumulator widths the rules below make sense for.
ACCUMULATOR_BITS = range(16, 49)
#: Positions at which an operand of 8 bits can lie in a 16-bit vector (`VectorFormat.shift`).
OPERAND_SHIFTS = range(1, 9)
#: The method `auto` compares the outputs of as many steps of the calibration input, from the first on.
JUDGED_STEPS = 2000

_WEIGHT_LIMIT = 127
_ROW_SCALE_RANGE = (
    1024  # a row's scale is at least the matrix's largest over this: keeps nearly dead rows' biases small
)
_ZERO = 2.0**-100  # magnitudes below count as zero, far below anything the pre-activation's 2^-10 resolves


def quantise(
    network: Network,
    calibration: FloatArray,
    arithmetic: Arithmetic = DEFAULT_ARITHMETIC,
    state: Sequence[FloatState] | None = None,
    rule: ScaleRule = DEFAULT_RULE,
) -> QuantisedNetwork:
    """Quantise `network`; `calibration` [steps, input_size] is typical input, run from `state` (cleared if None).

    Calibration sets the scale of the inputs, the position of operands that are made of 16-bit vectors (by `rule`) and
    the format of vectors that come straight from a product (dense layers, projections).
    Raises ModelError if the calibration does not fit, holds only zeros or drives a layer to infinity, or if a scale is
    out of range, ConfigurationError for a bad table or accumulator size, MappingError if the accumulator cannot be
    proven wide enough.
    """
    segment_shift(arithmetic.table_segments)
    if arithmetic.accumulator_bits not in ACCUMULATOR_BITS:
        allowed = f"must be {ACCUMULATOR_BITS.start} to {ACCUMULATOR_BITS.stop - 1}"
        raise ConfigurationError(f"accumulator_bits is {arithmetic.accumulator_bits}, {allowed}")
    calibration = check_inputs(calibration, network.input_size, "calibration")
    inputs = ValueRange()
    inputs.add(calibration)
    if inputs.peak <= _ZERO:
        raise ModelError("calibration holds only zeros: no scale of the inputs follows from it; give typical input")
    with np.errstate(over="ignore", invalid="ignore"):
        trace = run_float(network, calibration, state)
    for name, observed in zip(_names(network), trace.observed, strict=True):
        if not all(values.is_finite for values in observed.values()):
            raise ModelError(f"{name}: the calibration input drives it to infinity, must stay finite")

    def by(one: ScaleRule) -> QuantisedNetwork:
        return _quantise_network(network, inputs, trace, arithmetic, one)

    if rule.method is not Method.AUTO:
        return by(rule)
    judged = calibration[:JUDGED_STEPS]
    return least_error(
        by, rule,
        lambda made: _output_error(made, quantise_inputs(made, judged), trace.outputs[:JUDGED_STEPS], state),
    )


def _names(network: Network) -> list[str]:
    names = [f"layer {index}" for index in range(len(network.layers))]
    return names if network.head is None else [*names, "head"]


def _output_error(
    network: QuantisedNetwork, codes: Codes, wanted: FloatArray, state: Sequence[FloatState] | None
) -> float:
    """RMS error of the outputs in real units."""
    start = None if state is None else quantise_state(network, state)
    error = run_reference(network, codes, start).outputs * network.output_scale - wanted
    return float(np.sqrt(np.mean(np.square(error))))


def _quantise_network(
    network: Network, inputs: ValueRange, trace: FloatTrace, arithmetic: Arithmetic, rule: ScaleRule
) -> QuantisedNetwork:
    """By one rule, which is not `auto`."""
    limit = arithmetic.operand_limit - 1
    scale = clip_of(inputs, rule, limit) / limit
    layers: list[QuantisedLayer] = []
    for name, layer, observed in zip(_names(network), network.all_layers, trace.observed, strict=True):
        feeds = layer is not network.all_layers[-1]
        formats = vector_formats(arithmetic_of(layer.cell), observed, feeds, arithmetic, rule)
        layers.append(_quantise_layer(name, layer, formats, scale, arithmetic))
        scale = layers[-1].feedback_scale
    count = len(network.layers)
    head = layers[count] if network.head is not None else None
    quantised = QuantisedNetwork(tuple(layers[:count]), head, arithmetic, Choice(rule))
    prove_accumulators(quantised)
    return quantised


def quantise_inputs(network: QuantisedNetwork, inputs: FloatArray) -> Codes:
    """The operand codes [steps, input_size] of float inputs: rint(x / input_scale) within -127..127 (int8), or
    -32767..32767 (int16)."""
    inputs = check_inputs(inputs, network.input_size)
    limit = network.arithmetic.operand_limit - 1
    return np.clip(np.rint(inputs / network.input_scale), -limit, limit).astype(operand_type(network.arithmetic))


def _quantise_layer(
    name: str, layer: Layer, formats: dict[Node, VectorFormat], scale: float, target: Arithmetic
) -> QuantisedLayer:
    arithmetic = arithmetic_of(layer.cell)
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
            f"{name} {operand.name}", np.stack(weights), np.stack(biases), operand_scale, fractions, target
        )
    return QuantisedLayer(
        arithmetic=arithmetic, input_size=layer.input_size, output_size=layer.output_size,
        state_sizes=layer.state_sizes, products=products, input_scale=scale, formats=formats,
        fixed={parameter: _fixed(name, parameter, layer.tensors[parameter]) for parameter in arithmetic.fixed},
    )


def vector_formats(
    arithmetic: CellArithmetic, observed: abc.Mapping[Expression, ValueRange], feeds: bool, target: Arithmetic,
    rule: ScaleRule = DEFAULT_RULE,
) -> dict[Node, VectorFormat]:
    """Formats of all vectors that the layer makes; `feeds`: a layer above multiplies its output."""
    trace = arithmetic.cell.trace
    multiplied: set[Node] = {arithmetic.output} if feeds else set()
    found = [(arithmetic.output, trace.output)]
    found += list(zip(arithmetic.states.values(), trace.new_states, strict=True))
    for operand in arithmetic.operands:
        if operand.node is not None:
            found.append((operand.node, operand.expression))
        if not operand.is_input:
            multiplied.add(operand.node if operand.node is not None else arithmetic.states[str(operand.state)])
    formats: dict[Node, VectorFormat] = {}
    for node, expression in found:
        values = observed[expression]
        fraction = _output_fraction(values.peak) if node in arithmetic.calibrated else node.fraction
        shift: int | None = None
        if node in multiplied:
            holds_all = node in arithmetic.calibrated or fraction == ACTIVATION_FRACTION
            shift = _operand_shift(values, fraction, holds_all, target, rule)
        formats[node] = VectorFormat(fraction, shift)
    return formats


def _operand_shift(values: ValueRange, fraction: int, holds_all: bool, target: Arithmetic, rule: ScaleRule) -> int:
    """`holds_all`: the 16-bit format of the vector holds all values that there can be."""
    if target.operand_bits == 16:
        return 0
    if holds_all and rule.method is Method.MINMAX:
        return OPERAND_SHIFTS[-1]
    return shift_of(values, fraction, rule, target.operand_limit - 1, OPERAND_SHIFTS)


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
    name: str, weight: FloatArray, bias: FloatArray, operand_scale: float, fractions: Sequence[int],
    target: Arithmetic,
) -> QuantisedProduct:
    """`weight` [G, H, I] and `bias` [G, H] to integers; sums of gate g have `fractions[g]` fraction bits."""
    largest = np.abs(weight).max(axis=2) / _WEIGHT_LIMIT
    peak = float(largest.max())
    floor = peak / _ROW_SCALE_RANGE if peak > _ZERO else 1.0 / _WEIGHT_LIMIT
    row_scale = np.maximum(largest, floor)
    # The bias takes at most a quarter of the accumulator's range and leaves the rest to the sum.
    row_scale = np.maximum(row_scale, np.abs(bias) / (operand_scale * 2.0 ** (target.accumulator_bits - 2)))
    multiplier, shift = _multiplier(
        name, operand_scale * row_scale * np.exp2(np.array(fractions, dtype=np.float64))[:, None], target
    )
    # The shift drops bits below its unit; starting half a unit higher makes it round.
    dropped = shift - target.prescale_left
    half = np.where(dropped > 0, np.int64(1) << np.maximum(dropped - 1, 0), 0)
    return QuantisedProduct(
        weights=np.rint(weight / row_scale[..., None]).astype(np.int8),
        bias=np.rint(bias / (operand_scale * row_scale)).astype(np.int64) + half,
        multiplier=multiplier,
        shift=shift,
        row_scale=row_scale,
    )


def _multiplier(name: str, ratio: FloatArray, target: Arithmetic) -> tuple[IntArray, IntArray]:
    """M and s with M * 2^(prescale_left - s - REQUANTISE_RIGHT) nearest to `ratio`, M at least 512 where s allows.

    Ratios too small for that lose precision of M, but their whole product stays within half an output code.
    """
    _, exponent = np.frexp(ratio)  # ratio in [2^(exponent-1), 2^exponent)
    position = REQUANTISE_RIGHT - target.prescale_left
    # Half of the shift's unit is added to the bias and must stay far below the accumulator's range.
    limit = min(SHIFT_LIMIT, target.accumulator_bits + target.prescale_left - 3)
    shift = np.clip(MULTIPLIER_BITS - position - exponent.astype(np.int64), 0, limit)
    multiplier = np.rint(np.ldexp(ratio, shift + position))
    full = 1 << MULTIPLIER_BITS
    carried = (multiplier == full) & (shift > 0)
    multiplier, shift = np.where(carried, full // 2, multiplier), np.where(carried, shift - 1, shift)
    if (multiplier >= full).any():
        gate, unit = (int(i) for i in np.argwhere(multiplier >= full)[0])
        raise ModelError(
            f"{name}, gate {gate}, unit {unit}: one accumulator unit is {ratio[gate, unit]:.6g} output codes, "
            f"must be below {2.0 ** (MULTIPLIER_BITS - position):g}: the weights or inputs are too large"
        )
    return multiplier.astype(np.int64), shift


def _output_fraction(peak: float) -> int:
    """Fraction bits that leave `peak` one bit of headroom in 16 bits: other inputs may exceed the calibration's."""
    return 14 - math.frexp(peak)[1] if peak > _ZERO else ACTIVATION_FRACTION
