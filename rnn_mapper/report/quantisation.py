"""Effects of quantisation on a network with given inputs, layer by layer: formats, limited values, errors, and the
proof that no accumulator overflows."""

from __future__ import annotations

import itertools
import math
from collections import Counter, abc
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnn_mapper.cells.arithmetic import Accumulate, Activated, CellArithmetic, Node, Row
from rnn_mapper.fixed_point import round_shift
from rnn_mapper.network.ranges import ValueRange
from rnn_mapper.network.tensors import FloatArray
from rnn_mapper.quantisation.accuracy import LayerError, LayerRun, NetworkRuns, measure_error
from rnn_mapper.quantisation.codes import quantise_inputs, unlimited_codes
from rnn_mapper.quantisation.integer_network import AccumulatorBound, QuantisedLayer, VectorFormat, prove_accumulators

__all__ = [
    "DRIFT_BOUND", "DRIFT_STEPS", "ErrorWindow", "LayerReport", "Limited", "ProductReport", "QuantisationReport",
    "VectorReport", "decibels", "report_on",
]

#: Largest drift that counts as none (docs/numerics.md), and the number of steps from which drift is judged.
DRIFT_BOUND, DRIFT_STEPS = 1.5, 5000
#: Windows of equal length for which the error is reported; a sequence of fewer steps has one window for each step.
WINDOWS = 100


@dataclass(frozen=True)
class VectorReport:
    """A vector of a layer: its range of values in floating point, and its formats in integers."""

    #: Names in the cell, such as ``x``, ``h, output`` or ``vector 1``.
    name: str
    low: float
    high: float
    #: Format of its 16 bits, such as ``Q5.10``; None for the inputs, which the host sends as operands.
    words: str | None
    #: Format of the operand that matrices multiply, such as ``Q0.7`` or ``0.0695 a code``; None if none does.
    operand: str | None
    #: Real value of one operand code.
    operand_scale: float | None


@dataclass(frozen=True)
class Limited:
    """A narrowing, and how many of the values that passed it did not fit and were limited."""

    #: In words, and the name of the reference's counter.
    what: str
    label: str
    count: int
    of: int

    @property
    def share(self) -> float:
        """0 to 1."""
        return self.count / self.of if self.of else 0.0


@dataclass(frozen=True)
class ErrorWindow:
    """The error of the steps `first` to `last` (both included), over all units and streams, in real units."""

    first: int
    last: int
    rms: float
    max: float
    signal_rms: float


@dataclass(frozen=True)
class ProductReport:
    """A product's weights and the proof for its accumulator."""

    bound: AccumulatorBound
    #: Real value of one weight code, over all rows: smallest, median, largest.
    row_scales: tuple[float, float, float]


@dataclass(frozen=True)
class LayerReport:
    """The vectors, limited values and errors of one layer."""

    name: str
    cell: str
    input_size: int
    output_size: int
    vectors: tuple[VectorReport, ...]
    limited: tuple[Limited, ...]
    error: LayerError
    windows: tuple[ErrorWindow, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "name": self.name, "cell": self.cell, "input_size": self.input_size, "output_size": self.output_size,
            "vectors": [vars(vector) for vector in self.vectors],
            "limited": [{**vars(one), "share": one.share} for one in self.limited],
            "error": {
                **{name: _finite(value) for name, value in vars(self.error).items()},
                "snr_db": _finite(decibels(self.error.signal_rms, self.error.rms)),
            },
            "windows": [
                {**vars(window), "snr_db": _finite(decibels(window.signal_rms, window.rms))} for window in self.windows
            ],
        }


@dataclass(frozen=True)
class QuantisationReport:
    """All layers of a network on given inputs."""

    #: Steps of each sequence.
    lengths: tuple[int, ...]
    layers: tuple[LayerReport, ...]
    products: tuple[ProductReport, ...]
    accumulator_bits: int

    @property
    def steps(self) -> int:
        """Steps for which there are errors: of sequences of different lengths, which follow one another, all."""
        return self.lengths[0] if self._is_even else sum(self.lengths)

    @property
    def _is_even(self) -> bool:
        return len(set(self.lengths)) == 1

    @property
    def is_judged_for_drift(self) -> bool:
        """The sequences are long enough, and of the same length, so that the errors of a step belong together."""
        return self._is_even and self.steps >= DRIFT_STEPS

    @property
    def drifting(self) -> tuple[str, ...]:
        """Layers whose error grows over the sequence; none if it is too short to judge."""
        found = (layer.name for layer in self.layers if layer.error.drift > DRIFT_BOUND)
        return tuple(found) if self.is_judged_for_drift else ()

    def to_json(self) -> dict[str, Any]:
        """As JSON values; infinities are null."""
        return {
            "steps": self.steps, "sequences": list(self.lengths),
            "drift": {
                "bound": DRIFT_BOUND, "judged_from_steps": DRIFT_STEPS, "judged": self.is_judged_for_drift,
                "drifting": list(self.drifting),
            },
            "layers": [layer.to_json() for layer in self.layers],
            "accumulator_bits": self.accumulator_bits,
            "products": [
                {**vars(one.bound), "row_scales": dict(zip(("min", "median", "max"), one.row_scales, strict=True))}
                for one in self.products
            ],
        }


def report_on(runs: NetworkRuns) -> QuantisationReport:
    """The report of the runs that `run_both` made."""
    products = []
    for member in runs.members:
        by_name = member.quantised.products()
        places = {member.quantised.layer_name(index): name for index, name in enumerate(member.names)}
        for bound in prove_accumulators(member.quantised):
            scales = by_name[bound.product].row_scale
            place, _, operand = bound.product.rpartition(" ")
            shown = AccumulatorBound(**{**vars(bound), "product": f"{places.get(place, place)} {operand}"})
            middle = float(np.median(scales))
            products.append(ProductReport(shown, (float(scales.min()), middle, float(scales.max()))))
    return QuantisationReport(
        tuple(len(one) for one in runs.inputs), tuple(_layer_report(layer) for layer in runs.layers), tuple(products),
        runs.members[0].quantised.arithmetic.accumulator_bits,
    )


def decibels(signal: float, error: float) -> float:
    """Signal-to-noise ratio of two RMS values; infinite without error, and minus infinite without signal."""
    if not error:
        return math.inf
    return 20 * math.log10(signal / error) if signal else -math.inf


def _layer_report(run: LayerRun) -> LayerReport:
    wanted, got = run.wanted, run.got
    bounds = np.unique(np.linspace(0, len(wanted), min(WINDOWS, len(wanted)) + 1).round().astype(int))
    windows = tuple(
        _window(int(first), int(last), wanted[first:last], got[first:last])
        for first, last in itertools.pairwise(bounds)
    )
    return LayerReport(
        run.name, run.layer.cell.name, run.layer.input_size, run.layer.output_size, tuple(_vectors(run)),
        tuple(_limited(run)), measure_error(run.name, wanted, got), windows,
    )


def _window(first: int, end: int, wanted: FloatArray, got: FloatArray) -> ErrorWindow:
    error = got - wanted
    rms = math.sqrt(float(np.mean(np.square(error))))
    return ErrorWindow(
        first, end - 1, rms, float(np.abs(error).max()), math.sqrt(float(np.mean(np.square(wanted))))
    )


def _vectors(run: LayerRun) -> list[VectorReport]:
    """The input, the states, computed vectors that are multiplied, and the output; names of one vector together."""
    layer, arithmetic, trace = run.quantised, run.quantised.arithmetic, run.layer.cell.trace
    found: list[VectorReport] = []
    nodes: dict[Node, tuple[list[str], Any]] = {}
    operand_bits = run.member.quantised.arithmetic.operand_bits
    for operand in arithmetic.operands:
        if operand.is_input:
            low, high = _range(run, operand.expression)
            below = None if run.index == 0 else list(run.member.layers)[run.index - 1].quantised.output_format
            text = f"{layer.input_scale:.4g} a code" if below is None else _operand_text(below, operand_bits)
            words = None if below is None else _words_text(below)
            found.append(VectorReport(operand.name, low, high, words, text, layer.input_scale))
        elif operand.node is not None:
            nodes.setdefault(operand.node, ([], operand.expression))[0].append(operand.name)
    for (name, node), expression in zip(arithmetic.states.items(), trace.new_states, strict=True):
        nodes.setdefault(node, ([], expression))[0].append(name)
    nodes.setdefault(arithmetic.output, ([], trace.output))[0].append("output")
    for node, (names, expression) in nodes.items():
        form = layer.formats.get(node, VectorFormat(node.fraction, None))
        low, high = _range(run, expression)
        operand_text = _operand_text(form, operand_bits) if form.shift is not None else None
        scale = form.operand_scale if form.shift is not None else None
        found.append(VectorReport(", ".join(names), low, high, _words_text(form), operand_text, scale))
    return found


def _range(run: LayerRun, expression: Any) -> tuple[float, float]:
    seen: list[ValueRange] = [trace.observed[run.index][expression] for trace in run.member.exact]
    return min(one.low for one in seen), max(one.high for one in seen)


def _words_text(form: VectorFormat) -> str:
    return f"Q{15 - form.fraction}.{form.fraction}"


def _operand_text(form: VectorFormat, operand_bits: int) -> str:
    assert form.shift is not None
    fraction = form.fraction - form.shift
    return f"Q{operand_bits - 1 - fraction}.{fraction}"


def _limited(run: LayerRun) -> list[Limited]:
    """Every narrowing of the layer, in the order of the data."""
    steps = sum(len(trace.outputs) for trace in run.member.exact)
    counted: Counter[str] = sum((trace.saturations[run.index] for trace in run.member.got), Counter())
    passed = narrowed_values(run.quantised, steps)
    found = []
    if run.index == 0:
        network = run.member.quantised
        clipped = sum(
            int(np.count_nonzero(quantise_inputs(network, one) != unlimited_codes(network, one)))
            for one in run.member.inputs
        )
        found.append(Limited("input to its operand", "input", clipped, steps * run.layer.input_size))
    found += [Limited(_what(run, label), label, counted.get(label, 0), of) for label, of in passed.items()]
    if run.feeds and run.quantised.feedback_shift is not None:
        rounded = round_shift(run.codes.astype(np.int64), run.quantised.feedback_shift)
        limit = run.member.quantised.arithmetic.operand_limit
        beyond = int(np.count_nonzero((rounded >= limit) | (rounded < -limit)))
        found.append(Limited("output to the operand of the layer above", "output", beyond, rounded.size))
    return found


def _what(run: LayerRun, label: str) -> str:
    texts = {
        "preactivation": "sums of products to 16 bits", "value": "other values to 16 bits",
        "feedback": "states and vectors to their operands",
    }
    if label.endswith("_part"):
        return f"products with {label.removesuffix('_part')} to 16 bits"
    return texts.get(label, f"state {label} to 16 bits")


def narrowed_values(layer: QuantisedLayer, steps: int) -> abc.Mapping[str, int]:
    """The number of values that pass each narrowing in `steps` steps, by the label of `ReferenceTrace.saturations`."""
    arithmetic = layer.arithmetic
    passed: Counter[str] = Counter()
    states = {node: name for name, node in arithmetic.states.items()}
    for operand in arithmetic.operands:
        gates, units, size = layer.products[operand.name].weights.shape
        passed[f"{operand.name}_part"] += steps * gates * units
        if not operand.is_input:
            passed["feedback"] += steps * size
    for node in arithmetic.nodes:
        if isinstance(node, Row):
            passed["preactivation"] += steps * (len(node.products) - 1) * _units(layer, arithmetic, node)
        elif isinstance(node, Accumulate):
            passed[states.get(node, "value")] += steps * _units(layer, arithmetic, node)
    return {label: count for label, count in passed.items() if count}


def _units(layer: QuantisedLayer, arithmetic: CellArithmetic, node: Node) -> int:
    """The number of values of a node: the rows that it is computed from, or the size of the state that it reads."""
    if isinstance(node, Row):
        return int(layer.products[node.products[0].operand.name].weights.shape[1])
    if isinstance(node, Activated):
        return _units(layer, arithmetic, node.argument)
    if isinstance(node, Accumulate):
        return max(_units(layer, arithmetic, part) for part in node.operands)
    state = getattr(node, "state", None)
    return layer.state_sizes[state] if state is not None else len(layer.fixed[getattr(node, "parameter", "")])


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
