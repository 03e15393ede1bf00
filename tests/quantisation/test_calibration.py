"""The methods of calibration: against brute force, against numpy, and by their effect on networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from rnn_mapper import cells
from rnn_mapper.errors import ConfigurationError, MappingError, ModelError
from rnn_mapper.fixed_point import round_shift, saturate
from rnn_mapper.network import random
from rnn_mapper.network.float_reference import run_float
from rnn_mapper.network.layers import Bidirectional, Dense
from rnn_mapper.network.network import Network
from rnn_mapper.network.random import LayerShape
from rnn_mapper.network.ranges import EXACT_VALUES, ValueRange
from rnn_mapper.quantisation.calibration import CANDIDATES, Choice, Method, ScaleRule, clip_of, shift_of
from rnn_mapper.quantisation.codes import quantise_inputs, quantise_state
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.quantisation.quantise import OPERAND_SHIFTS, least_error, quantise, quantise_model
from rnn_mapper.quantisation.reference import run_reference
from tests.support.random_networks import random_network

MSE, AUTO = ScaleRule(Method.MSE), ScaleRule(Method.AUTO)
RNG = np.random.default_rng
DISTRIBUTIONS: dict[str, Callable[[int], np.ndarray]] = {
    "normal": lambda n: RNG(1).normal(size=n),
    "heavy tails": lambda n: RNG(2).standard_t(2, size=n),
    "one outlier": lambda n: np.append(RNG(3).normal(size=n - 1), 30.0),
    "rectified": lambda n: np.maximum(RNG(4).normal(size=n), 0),
    "one-hot": lambda n: (RNG(5).random(n) < 0.01).astype(float),
    "tiny": lambda n: 1e-200 * RNG(6).normal(size=n),
    "huge": lambda n: 1e200 * RNG(7).normal(size=n),
}


def observe(values: np.ndarray, parts: int = 7) -> ValueRange:
    observed = ValueRange()
    for part in np.array_split(values, parts):
        observed.add(part)
    return observed


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_ranges_and_percentiles_are_exact(name: str) -> None:
    values = DISTRIBUTIONS[name](20000)
    observed = observe(values)
    assert (observed.low, observed.high, observed.count) == (values.min(), values.max(), 20000)
    assert observed.peak == np.abs(values).max()
    magnitudes = np.sort(np.abs(values[values != 0]))
    for percent in (51.0, 90.0, 99.9, 99.99, 100.0):
        wanted = magnitudes[math.ceil(Fraction(str(percent)) * len(magnitudes) / 100) - 1]
        below, above = (np.percentile(magnitudes, percent, method=method) for method in ("lower", "higher"))
        assert below <= wanted <= above
        assert observed.percentile(percent) == wanted
        assert clip_of(observed, ScaleRule(Method.PERCENTILE, percent), 127) == wanted


def test_many_values_are_counted_in_bins() -> None:
    """Ranges stay exact, percentiles and squares nearly so, however the range grows on the way."""
    values = np.sort(np.abs(RNG(0).standard_t(3, size=5 * EXACT_VALUES))) * RNG(1).choice([-1, 1], 5 * EXACT_VALUES)
    observed = observe(values, 500)
    kept, weights = observed.points()
    assert len(kept) <= 1 << 13
    assert weights.sum() == np.count_nonzero(values)
    assert (observed.low, observed.high) == (values.min(), values.max())
    width = 2.0 ** np.frexp(observed.peak)[1] / (1 << 13)
    for percent in (60.0, 99.0, 99.99):
        wanted = np.percentile(np.abs(values), percent, method="inverted_cdf")
        assert abs(observed.percentile(percent) - wanted) <= width
    assert squares(values, clip_of(observed, MSE, 127)) <= 1.02 * least_square(values, ranges=100)


def test_values_that_are_not_finite_are_told() -> None:
    observed = observe(np.array([1.0, np.inf, np.nan, -2.0]))
    assert not observed.is_finite
    assert (observed.low, observed.high, observed.count) == (-2.0, 1.0, 4)
    assert ValueRange().peak == ValueRange().percentile(99) == 0.0


def squares(values: np.ndarray, clip: float, limit: int = 127) -> float:
    """Mean square error of values as 8-bit operands with this range, without any of the code under test."""
    scale = np.abs(values).max()
    codes = np.clip(np.rint(values / (clip / limit)), -limit, limit)
    return float(np.mean(((codes * (clip / limit) - values) / scale) ** 2))


def least_square(values: np.ndarray, limit: int = 127, ranges: int = 1500) -> float:
    """The least mean square error over `ranges` ranges."""
    peak = np.abs(values).max()
    return min(squares(values, peak * part, limit) for part in np.linspace(1 / ranges, 1, ranges))


@pytest.mark.parametrize("limit", [7, 127])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_mse_is_as_good_as_brute_force(name: str, limit: int) -> None:
    values = DISTRIBUTIONS[name](3000)
    clip = clip_of(observe(values), MSE, limit)
    assert squares(values, clip, limit) <= 1.01 * least_square(values, limit) + 1e-18
    if name == "one outlier" and limit == 7:
        assert clip < 10
        assert squares(values, clip, limit) < squares(values, 30.0, limit) / 3


@pytest.mark.parametrize("fraction", [15, 10, 3])
@pytest.mark.parametrize("name", ["normal", "heavy tails", "one outlier", "rectified"])
def test_positions_are_as_good_as_brute_force(name: str, fraction: int) -> None:
    """Against the rounding and saturation of the reference, for every position that the hardware has."""
    values = DISTRIBUTIONS[name](4000) / 40
    codes = saturate(np.rint(values * 2.0**fraction), 16)
    magnitudes = np.abs(codes)

    def error(shift: int) -> float:
        operands = saturate(round_shift(magnitudes, shift), 8)
        return float(np.mean((operands * 2.0**shift - magnitudes) ** 2.0))

    assert [*OPERAND_SHIFTS] == [*range(1, 9)]
    observed = observe(values)
    assert error(shift_of(observed, fraction, MSE, 127, OPERAND_SHIFTS)) == min(map(error, OPERAND_SHIFTS))
    smallest = next((k for k in OPERAND_SHIFTS if round_shift(magnitudes.max(), k) <= 127), 8)
    assert shift_of(observed, fraction, ScaleRule(), 127, OPERAND_SHIFTS) == smallest
    clip = np.percentile(np.abs(values[values != 0]), 99, method="inverted_cdf")
    code = saturate(np.rint(clip * 2.0**fraction), 16)
    smallest = next((k for k in OPERAND_SHIFTS if round_shift(code, k) <= 127), 8)
    assert shift_of(observed, fraction, ScaleRule(Method.PERCENTILE, 99), 127, OPERAND_SHIFTS) == smallest


def heavy_network() -> tuple[Network, np.ndarray, np.ndarray]:
    """A network, and heavy-tailed inputs that saturate its gates: for calibration, and others of the same kind."""
    return random_network(3, cells.rnn_tanh, 16, (24,), 3), *RNG(0).standard_t(2, size=(2, 400, 16))


def output_rms(network: Network, quantised: QuantisedNetwork, inputs: np.ndarray) -> float:
    got = run_reference(quantised, quantise_inputs(quantised, inputs)).outputs * quantised.output_scale
    return float(np.sqrt(np.mean((got - run_float(network, inputs).outputs) ** 2)))


def test_heavy_tails_are_better_cut_off() -> None:
    """On inputs that calibration has not seen, by a factor of 2.5 and more (docs/quantise.md says 3.2)."""
    network, typical, others = heavy_network()
    errors = {rule: output_rms(network, quantise(network, typical, rule=rule), others) for rule in (*CANDIDATES, AUTO)}
    widest = errors[ScaleRule()]
    assert errors[ScaleRule(Method.PERCENTILE, 99.9)] < widest / 2.5
    assert errors[AUTO] < widest / 2.5


def test_one_wild_sample_is_better_cut_off() -> None:
    """A single glitch of calibration costs the largest magnitude more than two bits; a percentile forgets it.

    The mean square does not: one square of such a glitch weighs as much as the rounding of all other values.
    """
    network = random_network(3, cells.gru, 16, (24,), 3)
    typical, others = RNG(0).normal(size=(2, 800, 16))
    typical[100, 3] = 60.0
    rms = [output_rms(network, quantise(network, typical, rule=rule), others)
           for rule in (ScaleRule(), ScaleRule(Method.PERCENTILE))]
    assert rms[1] < rms[0] / 8


def test_auto_takes_theleast_error_and_says_so() -> None:
    network, typical, _ = heavy_network()
    chosen = quantise(network, typical, rule=ScaleRule(Method.AUTO, 99.5))
    rules = [*CANDIDATES, ScaleRule(Method.PERCENTILE, 99.5)]
    errors = {rule.text: output_rms(network, quantise(network, typical, rule=rule), typical) for rule in rules}
    assert chosen.choice.errors == pytest.approx(errors)
    best = min(errors, key=errors.__getitem__)
    assert chosen.choice.rule.text == best
    assert chosen.input_scale == quantise(network, typical, rule=chosen.choice.rule).input_scale
    assert chosen.choice.reason.startswith(f"{best}: the least RMS error of the outputs on the calibration input, ")
    assert all(name in chosen.choice.reason for name in errors)
    assert quantise(network, typical).choice == Choice()
    assert quantise(network, typical).choice.reason == "minmax: as requested"


def test_auto_starts_from_the_given_state() -> None:
    network, typical, _ = heavy_network()
    start = [{"h": np.full(24, 0.9)}]
    chosen, plain = quantise(network, typical[:3], state=start, rule=AUTO), quantise(network, typical[:3], state=start)
    trace = run_reference(plain, quantise_inputs(plain, typical[:3]), quantise_state(plain, start))
    error = trace.outputs * plain.output_scale - run_float(network, typical[:3], start).outputs
    assert chosen.choice.errors["minmax"] == pytest.approx(np.sqrt(np.mean(error**2)))


def test_auto_passes_over_what_is_refused() -> None:
    network, typical, _ = heavy_network()
    plain = quantise(network, typical)

    def by(rule: ScaleRule) -> QuantisedNetwork:
        if rule.method is not Method.MSE:
            raise MappingError("too large")
        return plain

    chosen = least_error(by, AUTO, lambda made: 0.5).choice
    assert chosen.errors == {"minmax": None, "percentile 99.99": None, "percentile 99.9": None, "mse": 0.5}
    assert "minmax is rejected" in chosen.reason
    with pytest.raises(MappingError, match=r"^too large$"):
        least_error(lambda rule: by(ScaleRule()), AUTO, lambda made: 0.5)


@pytest.mark.parametrize("rule", [ScaleRule(Method.PERCENTILE), MSE, AUTO])
def test_projections_get_finer_operands(rule: ScaleRule) -> None:
    """The format has a spare bit that operands do not need; without it other inputs gain a factor of 1.5."""
    typical, others = RNG(0).normal(size=(2, 300, 16))
    shapes = [LayerShape(cells.lstm_projection, size) for size in (24, 16)]
    network = random.random_network(RNG(4), 16, shapes, scale=0.4)
    plain, finer = quantise(network, typical), quantise(network, typical, rule=rule)
    for wide, narrow in zip(plain.layers, finer.layers, strict=True):
        assert wide.state_format("h").shift == 8
        assert narrow.state_format("h").shift in range(1, 8)
        # The 16-bit values of the host and the states keep the whole range.
        assert narrow.output_fraction == wide.output_fraction
    assert output_rms(network, finer, others) < output_rms(network, plain, others) / 1.5


def test_the_rule_holds_for_every_half_of_a_bidirectional_layer() -> None:
    forward, backward = (random_network(seed, cells.gru, 5, (6,)).single_layers[0] for seed in (1, 2))
    network = Network((Bidirectional(forward, backward),), Dense(np.ones((2, 12))))
    typical = RNG(0).standard_t(2, size=(60, 5))
    made = quantise_model(network, typical, rule=ScaleRule(Method.PERCENTILE, 95))
    scales = [member.input_scale * 127 for segment in made.segments for member in segment.members]
    assert scales[:2] == pytest.approx([np.percentile(np.abs(typical), 95, method="inverted_cdf")] * 2)
    assert {member.choice.rule.percentile for segment in made.segments for member in segment.members} == {95}


@pytest.mark.parametrize("value", [0.0, 2.0**-101])
def test_calibration_of_zeros_is_refused(value: float) -> None:
    with pytest.raises(ModelError) as error:
        quantise(random_network(0, cells.gru), np.full((4, 5), value))
    assert str(error.value) == (
        "calibration holds only zeros: no scale of the inputs follows from it; give typical input"
    )


@pytest.mark.parametrize("percentile", [50.0, 100.5, float("nan")])
def test_percentiles_are_checked(percentile: float) -> None:
    with pytest.raises(ConfigurationError, match=rf"^percentile is {percentile:g}, must be above 50 and at most 100$"):
        ScaleRule(Method.PERCENTILE, percentile)


def test_methods_are_checked() -> None:
    assert ScaleRule("mse") == MSE
    with pytest.raises(ConfigurationError) as error:
        ScaleRule("best")
    assert str(error.value) == "calibration method 'best' is unknown: choose minmax, percentile, mse, auto"
