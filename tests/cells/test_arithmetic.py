"""From equations to 16-bit integers: formats, blends, formats chosen by calibration; programs compute the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters
from rnn_mapper.cells import BUILT_IN, Cell, cell, identity, relu, sigmoid, tanh
from rnn_mapper.cells.arithmetic import Accumulate, Activated, CellArithmetic, Read, Row, Unit
from rnn_mapper.cells.lowering import arithmetic_of
from rnn_mapper.cells.stages import stages_of
from rnn_mapper.cells.unit_program import unit_program
from rnn_mapper.network.float_reference import run_float
from rnn_mapper.network.network import Network
from rnn_mapper.quantisation.codes import quantise_inputs
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.quantisation.reference import Reference
from tests.support.random_networks import one_layer
from tests.support.stage_values import check_program
from tests.support.unit_programs import PATH

#: Fraction bits of the states of each built-in cell, and of its output if that is not a state.
FORMATS: dict[str, dict[str, int]] = {
    # h comes from a tanh and a sigmoid; c can grow.
    "lstm": {"h": 15, "c": 10}, "lstm_peephole": {"h": 15, "c": 10}, "lstm_projection": {"h": 10, "c": 10},
    # c is between values within [-1, 1].
    "cifg": {"h": 15, "c": 15},
    "gru": {"h": 15}, "gru_reset_before": {"h": 15}, "mgu": {"h": 15}, "rnn_tanh": {"h": 15}, "rnn_relu": {"h": 10},
    "sru": {"c": 10, "output": 10}, "qrnn": {"c": 15, "output": 15},
    "dense": {"output": 10}, "dense_sigmoid": {"output": 15}, "dense_tanh": {"output": 15},
    "dense_relu": {"output": 10},
}
#: Cells whose result comes straight from products and goes only to products or the host.
CALIBRATED = {"lstm_projection": "h", "dense": "output"}


@pytest.mark.parametrize("name", BUILT_IN)
def test_formats(name: str) -> None:
    arithmetic = arithmetic_of(BUILT_IN[name])
    assert _fractions(arithmetic) == FORMATS[name]
    free = {label: node for label, node in (("output", arithmetic.output), *arithmetic.states.items())
            if node in arithmetic.calibrated}
    assert (CALIBRATED.get(name) in free) if name in CALIBRATED else not free
    for node in arithmetic.nodes:
        if isinstance(node, Row):
            assert node.fraction == 10
        if isinstance(node, Activated) and node.function.value in ("sigmoid", "tanh"):
            assert node.fraction == 15
            assert node.argument.fraction == 10


def _fractions(arithmetic: CellArithmetic) -> dict[str, int]:
    found = {name: node.fraction for name, node in arithmetic.states.items()}
    if arithmetic.output not in arithmetic.states.values():
        found["output"] = arithmetic.output.fraction
    return found


def _of(function: Callable[..., Any]) -> CellArithmetic:
    return arithmetic_of(cell(function))


def test_a_sum_of_fine_values_that_can_exceed_one_is_coarse() -> None:
    def beyond(x: Any, p: Any) -> Any:
        return tanh(p.W_a @ x) + tanh(p.W_b @ x)

    def blend(x: Any, h: Any, p: Any) -> Any:
        z = sigmoid(p.W_a @ x)
        h = z * h + (1 - z) * tanh(p.W_b @ x)
        return h, h

    assert _of(beyond).output.fraction == 10
    assert _of(beyond).output.range == (-2.0, 2.0)
    assert _of(blend).output.fraction == 15
    assert _of(blend).output.range == (-1.0, 1.0)


def test_blends_are_one_accumulation() -> None:
    """z * a + (1 - z) * b in every order of its terms and factors is z * (a - b) + b."""
    orders: list[Callable[[Any, Any, Any], Any]] = [
        lambda z, a, b: z * a + (1 - z) * b,
        lambda z, a, b: (1 - z) * b + z * a,
        lambda z, a, b: a * z + b * (1 - z),
        lambda z, a, b: (1 - z) * b + a * z,
        lambda z, a, b: b + z * (a - b),
        lambda z, a, b: (a - b) * z + b,
    ]
    for order in orders:
        def made(x: Any, h: Any, p: Any) -> Any:
            h = order(sigmoid(p.W_z @ x + p.U @ h), h, tanh(p.W_n @ x))  # noqa: B023  # traced at once
            return h, h

        arithmetic = _of(made)
        sums = [node for node in arithmetic.nodes if isinstance(node, Accumulate)]
        (one,) = sums
        assert isinstance(one.x, Activated)
        assert isinstance(one.y, Read)
        assert isinstance(one.z, Activated)
        assert one.addend is one.z
        assert one.fraction == 15
        assert one.range == (-1.0, 1.0)


def test_one_minus_a_gate() -> None:
    def made(x: Any, p: Any) -> Any:
        return (1 - sigmoid(p.W_z @ x)) * tanh(p.W_n @ x)

    (node,) = [node for node in _of(made).nodes if isinstance(node, Accumulate)]
    assert node.y == Unit.ONE
    assert node.range == (-1.0, 1.0)


def test_numbers_and_vectors_are_biases_of_products() -> None:
    def made(x: Any, p: Any) -> Any:
        return sigmoid(2 * (p.W @ x) - 3 * p.b + 0.5)

    (row,) = _of(made).rows
    assert [product.factor for product in row.products] == [2.0]
    assert row.biases == (("b", -3.0),)
    assert row.offset == 0.5


def test_identity_changes_nothing() -> None:
    def plain(x: Any, p: Any) -> Any:
        return sigmoid(p.W @ x + p.b)

    def wrapped(x: Any, p: Any) -> Any:
        return identity(sigmoid(identity(p.W @ x + identity(p.b))))

    assert [type(node) for node in _of(plain).nodes] == [type(node) for node in _of(wrapped).nodes]


def test_parts_of_a_row_are_added_input_first() -> None:
    def made(x: Any, h: Any, p: Any) -> Any:
        h = tanh(p.U @ h + p.W @ x)
        return h, h

    (row,) = _of(made).rows
    assert [product.matrix for product in row.products] == ["W", "U"]


def test_the_line_of_a_parameter_is_that_of_the_cell() -> None:
    def made(x: Any, h: Any, p: Any) -> Any:
        h = tanh(p.W @ x + p.scale * h)
        return h, h

    line = made.__code__.co_firstlineno + 1
    for node in _of(made).nodes:
        if not isinstance(node, Read):
            assert str(node.line) == f"test_arithmetic.py:{line}"


#: Equations that occur in no built-in cell; each is compared with floating point.
def _negated(x: Any, h: Any, p: Any) -> Any:
    h = sigmoid(p.W_a @ x) * h - tanh(p.W_b @ x) * sigmoid(p.U_c @ h)
    return h, h


def _difference(x: Any, h: Any, p: Any) -> Any:
    n = tanh(p.W_n @ x + p.U_n @ h)
    h = sigmoid(p.W_z @ x) * (n - h) + h
    return h, h


def _residual(x: Any, h: Any, p: Any) -> Any:
    h = relu(0.5 * (p.W @ x) + 0.25 * (p.U @ h) + p.b - 0.125)
    return h, h


def _layered(x: Any, h: Any, p: Any) -> Any:
    a = tanh(p.W_a @ x + p.U_a @ h)
    h = tanh(p.U_b @ a + p.b_b)
    return h, h


def _row_times_gate(x: Any, h: Any, p: Any) -> Any:
    h = tanh(sigmoid(p.W_a @ x + p.U_a @ h) * (p.W_b @ x + p.U_b @ h + p.b_b))
    return h, h


def _scaled_state(x: Any, h: Any, p: Any) -> Any:
    h = tanh(p.W @ x + p.s_h * h)
    return h, h


@pytest.mark.parametrize("function", [_negated, _difference, _residual, _layered, _row_times_gate, _scaled_state])
def test_equations_that_no_built_in_cell_has(function: Callable[..., Any]) -> None:
    rng = np.random.default_rng(7)
    made = cell(function)
    network = one_layer(rng, made, 12, 16)
    x = rng.normal(size=(100, 12))
    quantised = quantise(network, x)
    found = Reference(quantised).run(quantise_inputs(quantised, x)).outputs * quantised.output_scale
    wanted = run_float(network, x).outputs
    assert np.sqrt(((found - wanted) ** 2).mean() / (wanted**2).mean()) < 0.025
    for stage in quantised.layers[0].stages:
        for words in (1, 4, 24):
            for separate in (False, True):
                check_program(quantised.layers[0], stage, words, separate, rng)


# Programs


def test_latencies_are_those_of_the_hardware() -> None:
    latencies = GridLatencies.of(GridParameters())
    assert latencies.unit_path == PATH


@pytest.mark.parametrize("words", [1, 2, 3, 5, 8, 24])
@pytest.mark.parametrize("name", [name for name in BUILT_IN if name != "lstm_peephole"])
def test_programs_compute_the_arithmetic(name: str, words: int) -> None:
    rng = np.random.default_rng(words)
    layer = _quantised(BUILT_IN[name], rng)
    for stage in layer.stages:
        for separate in (False, True):
            assert check_program(layer, stage, words, separate, rng) == words


def test_program_with_peepholes() -> None:
    """With other row lengths the search takes long."""
    rng = np.random.default_rng(24)
    layer = _quantised(BUILT_IN["lstm_peephole"], rng)
    (stage,) = layer.stages
    assert check_program(layer, stage, 24, False, rng) == 24


#: Instructions of a unit, for each stage. A peephole takes one, and another one to bring its factor.
LENGTHS = {
    "lstm": [3], "lstm_peephole": [10], "lstm_projection": [3, 1], "cifg": [3], "gru": [2], "gru_reset_before": [2, 3],
    "rnn_tanh": [1], "rnn_relu": [1], "mgu": [2, 3], "sru": [4], "qrnn": [2], "dense": [1], "dense_sigmoid": [1],
    "dense_tanh": [1], "dense_relu": [1],
}


@pytest.mark.parametrize("name", BUILT_IN)
def test_programs_are_short(name: str) -> None:
    stages = stages_of(arithmetic_of(BUILT_IN[name]))
    assert [unit_program(stage, 24, PATH)[0].length for stage in stages] == LENGTHS[name]


def _quantised(kind: Cell, rng: np.random.Generator) -> Any:
    network: Network = one_layer(rng, kind, 5, 6)
    return quantise(network, rng.normal(size=(20, 5))).layers[0]
