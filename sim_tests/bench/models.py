"""Models to simulate: random networks of given sizes, quantised and mapped to a grid."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hdl.parameters import GridParameters
from rnn_mapper.cells.library import BUILT_IN
from rnn_mapper.cells.lowering import arithmetic_of
from rnn_mapper.cells.stages import stages_of
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.fixed_point import Codes
from rnn_mapper.mapping.choices import UnitSlice
from rnn_mapper.mapping.mapper import map_network
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.network.network import Network
from rnn_mapper.network.random import LayerShape, random_network
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.schedule.loop_nest import ceil_div
from rnn_mapper.schedule.phases import PhaseOrder, unit_groups
from sim_tests.bench.stimulus import random_codes

__all__ = ["ModelCase", "cell_for", "cells_for"]


def _state_words(cell: Cell) -> int:
    return max(len(stage.unit_set.words) for stage in stages_of(arithmetic_of(cell)))


def cells_for(parameters: GridParameters) -> list[Cell]:
    """The built-in cells whose units need at most the state words of the grid."""
    return [cell for cell in BUILT_IN.values() if _state_words(cell) <= parameters.state_words]


def cell_for(parameters: GridParameters, *wanted: Cell) -> Cell:
    """The first of these cells whose units need at most the state words of the grid; there must be one."""
    return next(cell for cell in wanted if _state_words(cell) <= parameters.state_words)


def _random_slices(rng: np.random.Generator, groups: int, cols: int) -> list[UnitSlice]:
    """Two slices of at least one group; one slice of a single group."""
    first = int(rng.integers(1, groups)) if groups > 1 else groups
    slices = []
    for size in (first, groups - first):
        if size:
            ru = int(rng.integers(1, cols + 1))
            slices.append(UnitSlice(size, ru, int(rng.integers(1, min(size, cols // ru) + 1))))
    return slices


@dataclass(frozen=True)
class ModelCase:
    """A network of any cell with random weights, uniform within `scale`, and its placement."""

    cell: Cell
    inputs: int
    hidden: tuple[int, ...]
    outputs: int | None = None
    ru: int | None = None
    #: Cut every layer that has more than one group into two parts, each with a random split.
    cut: bool = False
    schedule: PhaseOrder = PhaseOrder.FUSED
    scale: float = 1.0
    seed: int = 1

    def __str__(self) -> str:
        sizes = "-".join(str(size) for size in (self.inputs, *self.hidden, self.outputs) if size is not None)
        head = " head" if self.outputs is not None else ""
        placed = f"{self.schedule.value} {'cut' if self.cut else f'ru={self.ru}'}"
        return f"{self.cell.name} {sizes}{head} {placed} scale={self.scale} seed={self.seed}"

    def network(self) -> Network:
        """The float network."""
        rng = np.random.default_rng(self.seed)
        # A layer with a projection has from 1 to twice as many values before it as after it.
        layers = [LayerShape(self.cell, size, int(rng.integers(1, 2 * size + 1))) for size in self.hidden]
        return random_network(rng, self.inputs, layers, self.outputs, self.scale)

    def mapping(self, parameters: GridParameters) -> Mapping:
        """The network on a grid; raises `MappingError` when it does not fit."""
        rng = np.random.default_rng(self.seed + 1)
        # rnn_relu may grow without bound, so its calibration is short.
        calibration = rng.normal(size=(6, self.inputs))
        enough = min(24 + parameters.operand_bits, parameters.accumulator_bits)
        arithmetic = replace(parameters.arithmetic, accumulator_bits=enough)
        quantised = quantise(self.network(), calibration, arithmetic)
        if not self.cut:
            return map_network(quantised, parameters, ru=self.ru, schedule=self.schedule)
        splits = [
            _random_slices(rng, ceil_div(group.units, parameters.rows), parameters.cols)
            for group in unit_groups([quantised])
        ]
        return map_network(quantised, parameters, splits=splits, schedule=self.schedule)

    def operands(self, parameters: GridParameters, steps: int, seed: int = 0, extreme: bool = False) -> Codes:
        """Input codes [steps, inputs] over their whole range; `extreme` takes the two ends only."""
        rng = np.random.default_rng((self.seed, seed))
        return random_codes(rng, parameters.arithmetic, (steps, self.inputs), extreme)
