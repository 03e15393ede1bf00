"""All that exploring takes from the mapper; a change of the mapper's interface is followed here and nowhere else.

Exploring needs shapes, not weights: networks here have weights of no bytes, all zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters
from rnn_mapper.allocation import Demand, allocate
from rnn_mapper.errors import ModelError
from rnn_mapper.loop_nest import LoopNest, ceil_div
from rnn_mapper.mapper import Part, map_network
from rnn_mapper.mapping import Mapping
from rnn_mapper.model_files import load_network
from rnn_mapper.network import Cell, Dense, Network, RecurrentLayer
from rnn_mapper.phases import Phase, Schedule, phases_of, vectors_of, whole_layers
from rnn_mapper.predict import SequencePlan
from rnn_mapper.quantised import QuantisedDense, QuantisedLayer, QuantisedNetwork, QuantisedProduct
from rnn_mapper.schedule import build_schedule
from rnn_mapper.timing import time_phase

__all__ = [
    "Choice", "Layers", "Shape", "blank_network", "demands", "exact_plan", "mapping_of", "parameters_for", "phases",
    "random_network", "shape_of_file",
]

#: The parts of every layer (and of the head, last) as (groups, ru, chains).
Layers = tuple[tuple[tuple[int, int, int], ...], ...]


@dataclass(frozen=True)
class Shape:
    """What decides cycles and memory of a model: kind of cell and sizes."""

    cell: str
    inputs: int
    #: Hidden units of each layer.
    hidden: tuple[int, ...]
    #: Outputs of a dense head, None without one.
    head: int | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of each layer, and of the head, last."""
        return self.hidden if self.head is None else (*self.hidden, self.head)

    @property
    def multiplications(self) -> int:
        """Multiplications of one step."""
        return sum(phase.multiplications for phase in phases(self, Schedule.FUSED.value, (1,) * len(self.sizes)))

    def __str__(self) -> str:
        layers = " -> ".join(map(str, (self.inputs, *self.hidden)))
        return f"{self.cell} {layers}" + ("" if self.head is None else f" -> dense {self.head}")


@dataclass(frozen=True)
class Choice:
    """A mapping: the order of operations and the parts of every layer."""

    order: str
    layers: Layers

    def text(self, rows: int) -> str:
        """`hu` and `ru` of every part."""
        texts = [
            " + ".join(f"{groups * rows}u: hu {chains * rows} ru {ru}" for groups, ru, chains in parts)
            for parts in self.layers
        ]
        return f"{self.order}; " + ", ".join(texts)


def shape_of_file(path: Path) -> Shape:
    """The shape of a model file. Raises `ModelError`."""
    network = load_network(path)
    cells = {layer.cell for layer in network.layers}
    if len(cells) != 1:
        raise ModelError(f"{path}: layers of different cells cannot be explored")
    head = None if network.head is None else network.output_size
    return Shape(cells.pop().value, network.input_size, tuple(layer.hidden_size for layer in network.layers), head)


@lru_cache(maxsize=256)
def blank_network(shape: Shape, table_segments: int = 256, accumulator_bits: int = 28) -> QuantisedNetwork:
    """A network of this shape without weights."""

    def product(gates: int, units: int, operands: int) -> QuantisedProduct:
        none = np.broadcast_to(np.int64(0), (gates, units))
        weights = np.broadcast_to(np.int8(0), (gates, units, operands))
        return QuantisedProduct(weights, none, none, none, np.broadcast_to(np.float64(0), (gates, units)))

    cell, inputs, layers = Cell(shape.cell), shape.inputs, []
    for hidden in shape.hidden:
        x, h = product(cell.gates, hidden, inputs), product(cell.gates, hidden, hidden)
        layers.append(QuantisedLayer(cell, inputs, hidden, x, h, 1.0, 8))
        inputs = hidden
    head = None if shape.head is None else QuantisedDense(product(1, shape.head, inputs), 1.0, 10)
    return QuantisedNetwork(tuple(layers), head, table_segments, accumulator_bits)


def random_network(shape: Shape, seed: int = 0) -> Network:
    """A network in floating point with weights as PyTorch would initialise them."""
    rng, cell, inputs, layers = np.random.default_rng(seed), Cell(shape.cell), shape.inputs, []
    for hidden in shape.hidden:
        bound, rows = hidden**-0.5, cell.gates * hidden
        tensors = (rng.uniform(-bound, bound, size) for size in ((rows, inputs), (rows, hidden), (rows,), (rows,)))
        layers.append(RecurrentLayer(cell, *tensors))
        inputs = hidden
    head = None if shape.head is None else Dense(
        rng.uniform(-1, 1, (shape.head, inputs)) * inputs**-0.5, rng.uniform(-1, 1, shape.head)
    )
    return Network(tuple(layers), head)


@lru_cache(maxsize=4096)
def phases(shape: Shape, order: str, parts: tuple[int, ...]) -> list[Phase]:
    """The phases when each layer is cut into this number of parts; units of a part are not those of any mapping."""
    sizes = [[1] * (count - 1) + [size - count + 1] for size, count in zip(shape.sizes, parts, strict=True)]
    return phases_of(blank_network(shape), sizes, Schedule(order))


def _placed(
    network: QuantisedNetwork, parameters: GridParameters, choice: Choice
) -> tuple[list[Phase], list[LoopNest]]:
    sizes = []
    for (whole,), parts in zip(whole_layers(network), choice.layers, strict=True):
        units = [groups * parameters.rows for groups, _, _ in parts[:-1]]
        sizes.append([*units, whole - sum(units)])
    found = phases_of(network, sizes, Schedule(choice.order))
    nests = [
        LoopNest.of(phase, parameters, *choice.layers[phase.layer][phase.part][1:]) for phase in found
    ]
    return found, nests


def exact_plan(
    shape: Shape, parameters: GridParameters, choice: Choice, latencies: GridLatencies | None = None
) -> SequencePlan:
    """The plan that the mapper would predict; slow, to compare with. Depths are not checked."""
    network = blank_network(shape, parameters.table_segments, parameters.accumulator_bits)
    found, nests = _placed(network, parameters, choice)
    known = latencies or GridLatencies.of(parameters)
    timings = [time_phase(phase, nest, parameters, known) for phase, nest in zip(found, nests, strict=True)]
    vectors = vectors_of(network)
    return SequencePlan(
        timings, build_schedule(timings), ceil_div(vectors[0].size, parameters.beat_bytes),
        ceil_div(vectors[-1].size, parameters.rows), parameters.multipliers,
    )


def demands(shape: Shape, parameters: GridParameters, choice: Choice) -> dict[str, int]:
    """What a mapping takes of each memory, by the field of `GridParameters` that it decides."""
    network = blank_network(shape)
    found, nests = _placed(network, parameters, choice)
    items: list[Demand] = allocate(found, nests, vectors_of(network), parameters)[1]
    needed: dict[str, int] = {}
    for item in items:
        needed[item.field] = max(needed.get(item.field, 0), item.needed)
    return needed


def parameters_for(rows: int, cols: int, lanes: int, depths: dict[str, int]) -> GridParameters:
    """A grid with these memories. Raises `ConfigurationError` where one is larger than can be."""
    return GridParameters(rows=rows, cols=cols, lanes=lanes, **depths)


def mapping_of(network: QuantisedNetwork, parameters: GridParameters, choice: Choice, steps: int) -> Mapping:
    """A quantised network mapped as chosen. Raises `MappingError`."""
    splits = [[Part(*part) for part in parts] for parts in choice.layers]
    return map_network(network, parameters, steps=steps, schedule=Schedule(choice.order), splits=splits)
