"""Random values of a stage of a cell, and what the reference makes of them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from hdl.numerics import Arithmetic
from rnn_mapper.cells.arithmetic import Node, Read, Row
from rnn_mapper.cells.stages import Stage
from rnn_mapper.cells.unit_program import unit_program
from rnn_mapper.quantisation.integer_network import QuantisedLayer
from rnn_mapper.quantisation.reference import _Layer
from tests.support.unit_programs import PATH, run_program

__all__ = ["check_program"]

Values = npt.NDArray[np.int64]

#: Units that are computed at once.
_UNITS = 400


def check_program(
    layer: QuantisedLayer, stage: Stage, words: int, separate: bool, rng: np.random.Generator, segments: int = 256
) -> int:
    """Run the stage's program on random integers and compare with the reference's bits, in a first step and in others.

    Returns the words it needs.
    """
    program, needed = unit_program(stage, words, PATH, separate)
    assert needed >= words
    reference = _Layer(layer, Arithmetic(segments))
    for fresh in (False, True):
        values: dict[Node, Values] = {row: _random(row, rng) for row in stage.all_rows}
        states = {word.slot: _random(node, rng) for node, word in stage.reads}
        for node, word in stage.reads:
            cleared = fresh and isinstance(node, Read)
            values[node] = np.zeros_like(states[word.slot]) if cleared else states[word.slot]
        for node in stage.operations:
            values[node] = np.asarray(reference._value(node, values, {}, {}, Counter()))
        result = run_program(program, needed, [values[row] for row in stage.all_rows], states, fresh, segments)
        assert len(result.emitted) == 1
        np.testing.assert_array_equal(result.emitted[0], values[stage.result], f"{stage.result.line}: emitted")
        assert result.writes == {word.slot: 1 for _, word in stage.writes}
        for node, word in stage.writes:
            np.testing.assert_array_equal(result.written[word.slot], values[node], f"{word.name}: written")
    return needed


def _random(node: Node, rng: np.random.Generator) -> Values:
    """All that such a value can be, and often the limits."""
    unit = 1 << node.fraction
    low, high = (int(max(-32768, min(32767, bound * unit))) for bound in node.range)
    if isinstance(node, Row):
        low, high = -32768, 32767
    values = rng.integers(low, high + 1, _UNITS)
    # Rows of a few units, where sigmoid and tanh are not flat.
    small = rng.integers(max(low, -3 * unit), min(high, 3 * unit) + 1, _UNITS)
    values = np.where(rng.random(_UNITS) < 0.6, small, values)
    limits = rng.choice([low, high, 0 if low < 0 else low], _UNITS)
    return np.where(rng.random(_UNITS) < 0.1, limits, values).astype(np.int64)
