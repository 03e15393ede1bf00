"""Models to simulate: random networks of a given shape, quantised and placed on a grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hdl.parameters import GridParameters
from rnn_mapper.loop_nest import ceil_div
from rnn_mapper.mapper import Part, map_network
from rnn_mapper.mapping import Mapping
from rnn_mapper.network import Dense, Network, RecurrentLayer, gate_count
from rnn_mapper.phases import Schedule
from rnn_mapper.quantise import quantise

__all__ = ["ModelCase"]


def _random_parts(rng: np.random.Generator, groups: int, cols: int) -> list[Part]:
    """Two parts of at least one group; one part of a single group."""
    first = int(rng.integers(1, groups)) if groups > 1 else groups
    parts = []
    for size in (first, groups - first):
        if size:
            ru = int(rng.integers(1, cols + 1))
            parts.append(Part(size, ru, int(rng.integers(1, min(size, cols // ru) + 1))))
    return parts


@dataclass(frozen=True)
class ModelCase:
    """A network of random weights, uniform within `scale`, and how to place it."""

    cell: Cell
    inputs: int
    hidden: tuple[int, ...]
    outputs: int | None = None
    ru: int | None = None
    #: Cut every layer that has more than one group into two parts, each with a random split.
    cut: bool = False
    schedule: Schedule = Schedule.FUSED
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
        sizes = (self.inputs, *self.hidden)

        def draw(*shape: int) -> npt.NDArray[np.float64]:
            return self.scale * rng.uniform(-1, 1, shape)

        layers = tuple(
            RecurrentLayer(
                self.cell, draw(gate_count(self.cell) * size, sizes[index]), draw(gate_count(self.cell) * size, size),
                draw(gate_count(self.cell) * size), draw(gate_count(self.cell) * size),
            )
            for index, size in enumerate(self.hidden)
        )
        head = None if self.outputs is None else Dense(draw(self.outputs, self.hidden[-1]), draw(self.outputs))
        return Network(layers, head)

    def mapping(self, parameters: GridParameters) -> Mapping:
        """The network on a grid; raises `MappingError` when it does not fit."""
        rng = np.random.default_rng(self.seed + 1)
        # rnn_relu may grow without bound, so its calibration is short.
        calibration = rng.normal(size=(6, self.inputs))
        quantised = quantise(
            self.network(), calibration, parameters.table_segments, min(32, parameters.accumulator_bits)
        )
        if not self.cut:
            return map_network(quantised, parameters, ru=self.ru, schedule=self.schedule)
        sizes = self.hidden if self.outputs is None else (*self.hidden, self.outputs)
        splits = [_random_parts(rng, ceil_div(size, parameters.rows), parameters.cols) for size in sizes]
        return map_network(quantised, parameters, splits=splits, schedule=self.schedule)

    def operands(self, steps: int, seed: int = 0, extreme: bool = False) -> npt.NDArray[np.int8]:
        """Input codes [steps, inputs] over their whole range; `extreme` takes the two ends only."""
        rng = np.random.default_rng((self.seed, seed))
        if extreme:
            return rng.choice(np.array([-128, 127], dtype=np.int8), size=(steps, self.inputs))
        return rng.integers(-128, 128, size=(steps, self.inputs), dtype=np.int8)
