"""Random models for a grid, as hypothesis strategies."""

from __future__ import annotations

from hypothesis import strategies as st

from hdl.parameters import GridParameters
from rnn_mapper import cells
from rnn_mapper.schedule.phases import PhaseOrder
from sim_tests.bench.models import ModelCase

__all__ = ["model_cases"]


#: Orders to choose from, mostly those in use.
SCHEDULES = (
    PhaseOrder.FUSED, PhaseOrder.FUSED, PhaseOrder.FUSED, PhaseOrder.RESPONSE, PhaseOrder.RESPONSE,
    PhaseOrder.SEQUENTIAL, PhaseOrder.BLAS,
)


@st.composite
def model_cases(draw: st.DrawFn, parameters: GridParameters) -> ModelCase:
    """All cells, one to three layers, with and without a head; sizes below and around the sizes of the grid."""
    p = parameters
    sizes = st.one_of(st.integers(1, 2 * p.rows + 1), st.integers(1, 3 * p.rows * p.cols + 1))
    inputs = st.one_of(st.integers(1, p.lanes + 1), st.integers(1, 2 * p.lanes * p.cols + 1))
    return ModelCase(
        cell=draw(st.sampled_from(list(cells.BUILT_IN.values()))),
        inputs=draw(inputs),
        hidden=tuple(draw(st.lists(sizes, min_size=1, max_size=3))),
        outputs=draw(st.one_of(st.none(), sizes)),
        ru=draw(st.one_of(st.none(), st.integers(1, p.cols))),
        cut=draw(st.sampled_from([False, False, True])),
        schedule=draw(st.sampled_from(SCHEDULES)),
        scale=draw(st.sampled_from([0.05, 0.5, 1.0, 4.0])),
        seed=draw(st.integers(0, 1 << 20)),
    )
