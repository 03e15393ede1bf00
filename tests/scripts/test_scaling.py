"""The measurements of the scaling study, on its smallest cases."""

import pytest

from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.quantisation.quantise import quantise
from scripts.scaling.costs import fitted, fixed_network, hidden_sizes


def test_busy_is_ideal_over_predicted_cycles_from_a_kept_state() -> None:
    lstm, gru = hidden_sizes(1536, 1536, 1)
    assert (lstm.cell, gru.cell) == ("lstm", "gru")
    assert lstm.ideal_cycles_per_step == pytest.approx(8 * 1536 * 1536 / (16 * 12 * 64))
    for size in (lstm, gru):
        assert size.utilisation == pytest.approx(size.ideal_cycles_per_step / size.cycles_per_step)
        assert size.utilisation < 1


def test_a_fitted_grid_holds_the_model_and_half_of_it_does_not() -> None:
    network, inputs = fixed_network()
    quantised = quantise(network, inputs)
    parameters = fitted(quantised, 4, 4)
    needed = {demand.field: demand.needed for demand in map_network(quantised, parameters).demands}
    for field in ("weight_depth", "units"):
        depth = getattr(parameters, field)
        assert depth // 2 < needed[field] <= depth
