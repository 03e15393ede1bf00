"""Quantisation of a float network with a calibration input, by the rules that define the arithmetic (numerics)."""

import itertools
import math
from collections import abc
from collections.abc import Callable, Sequence
from dataclasses import replace

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
from rnn_mapper.errors import ConfigurationError, ModelError, SpatialRnnError
from rnn_mapper.fixed_point import ACTIVATION_FRACTION, Codes, IntArray, segment_shift
from rnn_mapper.network.float_reference import FloatState, FloatTrace, run_float
from rnn_mapper.network.layers import Layer
from rnn_mapper.network.network import Network, single_segment, turned
from rnn_mapper.network.ranges import ValueRange
from rnn_mapper.network.tensors import FloatArray, check_inputs
from rnn_mapper.quantisation.calibration import CANDIDATES, DEFAULT_RULE, Choice, Method, ScaleRule, clip_of, shift_of
from rnn_mapper.quantisation.codes import quantise_inputs, quantise_state
from rnn_mapper.quantisation.integer_network import (
    QuantisedLayer,
    QuantisedModel,
    QuantisedNetwork,
    QuantisedProduct,
    QuantisedSegment,
    VectorFormat,
    prove_accumulators,
)
from rnn_mapper.quantisation.reference import run_reference

#: Accumulator widths for which the rules below work.
ACCUMULATOR_BITS = range(16, 49)
#: Possible positions of an 8-bit operand in a 16-bit vector (`VectorFormat.shift`).
OPERAND_SHIFTS = range(1, 9)
#: Number of steps of the calibration input, from the first on, whose outputs the method `auto` compares.
JUDGED_STEPS = 2000

_WEIGHT_LIMIT = 127
_ROW_SCALE_RANGE = (
    1024  # a row's scale is at least the matrix's largest divided by this: keeps the biases of nearly dead rows small
)
_ZERO = 2.0**-100  # smaller magnitudes count as zero; the pre-activation's resolution, 2^-10, is far coarser


def quantise(
    network: Network,
    calibration: FloatArray,
    arithmetic: Arithmetic = DEFAULT_ARITHMETIC,
    state: Sequence[FloatState] | None = None,
    rule: ScaleRule = DEFAULT_RULE,
) -> QuantisedNetwork:
    """Quantise a network whose layers all run forward; `quantise_model` takes any network.

    `calibration` [steps, input_size] is typical input, run from `state` (cleared if None).

    Calibration sets the scale of the inputs and the position of operands that are made from 16-bit vectors, both by
    `rule`, and the format of vectors that come straight from a product (dense layers, projections).
    Raises ModelError if the calibration does not fit, holds only zeros or drives a layer to infinity, or if a scale is
    out of range, ConfigurationError for a bad table or accumulator size, MappingError if the accumulator cannot be
    proven wide enough.
    """
    single_segment(network, "quantise")
    segment_shift(arithmetic.table_segments)
    if arithmetic.accumulator_bits not in ACCUMULATOR_BITS:
        allowed = f"must be {ACCUMULATOR_BITS.start} to {ACCUMULATOR_BITS.stop - 1}"
        raise ConfigurationError(f"accumulator_bits is {arithmetic.accumulator_bits}, {allowed}")
    calibration = check_inputs(calibration, network.input_size, "calibration")
    inputs = ValueRange()
    inputs.add(network.coded(calibration))
    if inputs.peak <= _ZERO:
        raise ModelError("calibration holds only zeros: no scale of the inputs follows from it; give typical input")
    with np.errstate(over="ignore", invalid="ignore"):
        trace = run_float(network, calibration, state)
    (names,) = network.segments[0].layer_names
    for name, observed in zip(names, trace.observed, strict=True):
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


def least_error(
    by: Callable[[ScaleRule], QuantisedNetwork], rule: ScaleRule, error_of: Callable[[QuantisedNetwork], float]
) -> QuantisedNetwork:
    """The network with the least error among all that `by` makes with `CANDIDATES` and with `rule`'s percentile.

    Raises the first error of `by` if the arithmetic rejects them all.
    """
    made: dict[ScaleRule, QuantisedNetwork] = {}
    errors: dict[ScaleRule, float] = {}
    texts: dict[str, float | None] = {}
    known: dict[object, float] = {}
    refusal: SpatialRnnError | None = None
    for one in dict.fromkeys((*CANDIDATES, replace(rule, method=Method.PERCENTILE))):
        try:
            made[one] = by(one)
            scales = made[one].input_scale, *(tuple(layer.formats.values()) for layer in made[one].all_layers)
            if scales not in known:  # rules often agree
                known[scales] = error_of(made[one])
        except SpatialRnnError as error:
            refusal, texts[one.text] = refusal or error, None
            continue
        errors[one] = texts[one.text] = known[scales]
    if not errors:
        assert refusal is not None
        raise refusal
    best = min(errors, key=errors.__getitem__)
    return replace(made[best], choice=Choice(best, True, texts))


def quantise_model(
    network: Network,
    calibration: FloatArray,
    arithmetic: Arithmetic = DEFAULT_ARITHMETIC,
    state: Sequence[FloatState] | None = None,
    rule: ScaleRule = DEFAULT_RULE,
) -> QuantisedModel:
    """Like `quantise`, for any network: each segment is calibrated with the float outputs of the segment before.

    `state` is the state of each of `Network.single_layers`. Raises the errors of `quantise`; if there are several
    segments, an error begins with the name of its segment.
    """
    values = check_inputs(calibration, network.input_size, "calibration")
    starts = None if state is None else iter(state)
    segments = []
    for segment in network.segments:
        members, outputs = [], []
        for backward, one, names in zip(segment.backward, segment.networks, segment.layer_names, strict=True):
            start = None if starts is None else list(itertools.islice(starts, len(one.layers)))
            typical = turned(values, backward)
            try:
                members.append(quantise(one, typical, arithmetic, start, rule))
            except SpatialRnnError as error:
                if one is network:
                    raise
                place = segment.name if segment.merge is None else names[0]
                raise type(error)(f"{place}: {error}") from None
            if segment is not network.segments[-1]:
                outputs.append(turned(run_float(one, typical, start).outputs, backward))
        segments.append(
            QuantisedSegment(segment.name, tuple(members), segment.layer_names, segment.merge, segment.backward)
        )
        values = segment.merged(outputs) if outputs else values
    return QuantisedModel(tuple(segments))


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
    """Quantise by one rule, which is not `auto`."""
    limit = arithmetic.operand_limit - 1
    scale = clip_of(inputs, rule, limit) / limit
    layers: list[QuantisedLayer] = []
    (names,) = network.segments[0].layer_names
    for name, layer, observed in zip(names, network.stack, trace.observed, strict=True):
        feeds = layer is not network.stack[-1]
        formats = vector_formats(arithmetic_of(layer.cell), observed, feeds, arithmetic, rule)
        layers.append(_quantise_layer(name, layer, formats, scale, arithmetic))
        scale = layers[-1].feedback_scale
    count = len(network.layers)
    head = layers[count] if network.head is not None else None
    quantised = QuantisedNetwork(tuple(layers[:count]), head, arithmetic, Choice(rule), network.coding)
    prove_accumulators(quantised)
    return quantised


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
            raise ModelError(f"{name}: products with {operand.name} have shapes {sorted(sizes)}, must have the same")
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
    """Formats of all vectors that the layer computes; `feeds`: whether a layer above multiplies its output."""
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
    """Shift of an operand; `holds_all`: whether the 16-bit format of its vector holds all possible values."""
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
    """Integers of `weight` [G, H, I] and `bias` [G, H]; sums of gate g have `fractions[g]` fraction bits."""
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
