"""All that exploring takes from the mapper; a change of the mapper's interface is followed here and nowhere else.

Exploring needs shapes, not weights: networks here have weights of no bytes, all zero.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hdl.latencies import GridLatencies
from hdl.numerics import DEFAULT_ARITHMETIC, Arithmetic
from hdl.parameters import GridParameters
from rnn_mapper.cells.library import dense
from rnn_mapper.cells.lowering import arithmetic_of
from rnn_mapper.cells.stages import stages_of
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.cells.unit_program import Preference
from rnn_mapper.cells.user_files import load_cells, with_cells
from rnn_mapper.errors import ModelError
from rnn_mapper.importers import Imported
from rnn_mapper.importers.messages import with_source
from rnn_mapper.mapping.allocation import Demand, allocate
from rnn_mapper.mapping.mapper import Part, map_network
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.network.layers import Dense, Layer, parse_cell
from rnn_mapper.network.network import Network, single_segment
from rnn_mapper.quantisation.integer_network import QuantisedLayer, QuantisedNetwork, QuantisedProduct, VectorFormat
from rnn_mapper.schedule.durations import build_schedule
from rnn_mapper.schedule.loop_nest import LoopNest, ceil_div, least_words
from rnn_mapper.schedule.order import phases_of
from rnn_mapper.schedule.phases import Phase, PhaseOrder, unit_groups, vectors_of
from rnn_mapper.schedule.prediction import SequencePlan
from rnn_mapper.schedule.programs import choose_programs
from rnn_mapper.schedule.timing import time_phase

__all__ = [
    "CellsFile", "Choice", "Layers", "Shape", "Way", "base_phases", "blank_network", "cells_file", "demands",
    "exact_plan", "known_cells", "mapping_of", "parameters_for", "programmed", "random_network", "shape_of_model",
]

#: Path and digest of the user's file of cells; both empty without one.
CellsFile = tuple[str, str]
#: The parts of a layer as (groups, ru, chains).
Way = tuple[tuple[int, int, int], ...]
#: Those of every layer, and of the head, last.
Layers = tuple[Way, ...]


@dataclass(frozen=True)
class Shape:
    """What decides cycles and memory of a model: kinds of cells and sizes."""

    #: Name of the cell of each layer.
    cells: tuple[str, ...]
    inputs: int
    #: Values that each layer gives.
    hidden: tuple[int, ...]
    #: Outputs of a dense head, None without one.
    head: int | None = None
    #: Python file of the user's cells, and a digest of it, so that a changed file is another shape.
    cells_file: str = ""
    cells_digest: str = ""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of each layer, and of the head, last."""
        return self.hidden if self.head is None else (*self.hidden, self.head)

    @property
    def multiplications(self) -> int:
        """Multiplications of one step."""
        return sum(phase.multiplications for phase in base_phases(self, PhaseOrder.FUSED.value, (1,) * len(self.sizes)))

    def __str__(self) -> str:
        kinds = self.cells[0] if len(set(self.cells)) == 1 else "+".join(self.cells)
        layers = " -> ".join(map(str, (self.inputs, *self.hidden)))
        return f"{kinds} {layers}" + ("" if self.head is None else f" -> dense {self.head}")


class Choice(NamedTuple):
    """A mapping: the order of operations and the parts of every layer."""

    order: str
    layers: Layers
    #: Which unit programs are preferred, a `Preference`.
    programs: str = Preference.EARLY_RESULT.value

    def text(self, rows: int) -> str:
        """`hu` and `ru` of every part."""
        texts = [
            " + ".join(f"{groups * rows}u: hu {chains * rows} ru {ru}" for groups, ru, chains in parts)
            for parts in self.layers
        ]
        return f"{self.order}; " + ", ".join(texts)


def shape_of_model(path: Path, model: Imported, cells: CellsFile = ("", "")) -> Shape:
    """The shape of the model of a file. Raises `ModelError`."""
    network = with_source(path, lambda: single_segment(model.network, "explore"))
    for layer in network.single_layers:
        _check_cell(layer.cell, f"{path}: ")
    head = None if network.head is None else network.output_size
    return Shape(
        tuple(layer.cell.name for layer in network.single_layers), network.input_size,
        tuple(layer.output_size for layer in network.layers), head, *cells,
    )


def cells_file(path: Path | None) -> CellsFile:
    """The user's file of cells, absolute, and a digest of it. Raises `CellError` if it cannot be used."""
    if path is None:
        return "", ""
    load_cells(path)
    return str(path.resolve()), hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@lru_cache(maxsize=16)
def known_cells(cells: CellsFile) -> dict[str, Cell]:
    """The built-in cells and those of the user's file."""
    return with_cells(cells[0] or None)


def _check_cell(cell: Cell, where: str = "") -> None:
    """Raise `ModelError` for a cell whose vectors are not all of one size: its shape takes more than is asked for."""
    if len({stage.unit_set for stage in stages_of(arithmetic_of(cell))}) > 1:
        raise ModelError(f"{where}cell {cell.name} computes vectors of several sizes, which cannot be explored")


@lru_cache(maxsize=256)
def blank_network(shape: Shape, arithmetic: Arithmetic = DEFAULT_ARITHMETIC) -> QuantisedNetwork:
    """A network of this shape without weights."""
    layers, inputs = [], shape.inputs
    last = len(shape.sizes) - 1
    for index, (cell, units) in enumerate(zip(_cells(shape), shape.sizes, strict=True)):
        layers.append(_blank_layer(cell, inputs, units, index < last))
        inputs = units
    count = len(shape.hidden)
    head = layers[count] if shape.head is not None else None
    return QuantisedNetwork(tuple(layers[:count]), head, arithmetic)


def _cells(shape: Shape) -> list[Cell]:
    known = known_cells((shape.cells_file, shape.cells_digest))
    cells = [parse_cell(name, known) for name in shape.cells]
    return cells if shape.head is None else [*cells, dense]


def _blank_layer(cell: Cell, inputs: int, units: int, feeds: bool) -> QuantisedLayer:
    _check_cell(cell)
    arithmetic = arithmetic_of(cell)

    def product(gates: int, operands: int) -> QuantisedProduct:
        none = np.broadcast_to(np.int64(0), (gates, units))
        weights = np.broadcast_to(np.int8(0), (gates, units, operands))
        return QuantisedProduct(weights, none, none, none, np.broadcast_to(np.float64(0), (gates, units)))

    products = {
        operand.name: product(len(arithmetic.rows_of(operand)), inputs if operand.is_input else units)
        for operand in arithmetic.operands
    }
    vectors = [arithmetic.output, *arithmetic.states.values(), *(operand.node for operand in arithmetic.operands)]
    multiplied = {
        operand.node if operand.node is not None else arithmetic.states[str(operand.state)]
        for operand in arithmetic.operands if operand.state is not None or operand.node is not None
    } | ({arithmetic.output} if feeds else set())
    formats = {node: VectorFormat(15, 8 if node in multiplied else None) for node in vectors if node is not None}
    return QuantisedLayer(
        arithmetic, inputs, units, dict.fromkeys(cell.state_names, units), products,
        {name: np.zeros(units, dtype=np.int64) for name in arithmetic.fixed}, 1.0, formats,
    )


def random_network(shape: Shape, seed: int = 0) -> Network:
    """A network in floating point with weights as PyTorch would initialise them."""
    rng = np.random.default_rng(seed)
    layers, inputs = [], shape.inputs
    for cell, units in zip(_cells(shape), shape.sizes, strict=True):
        bound, arithmetic = units**-0.5, arithmetic_of(cell)
        sizes = {
            product.matrix: inputs if product.operand.is_input else units
            for row in arithmetic.rows for product in row.products
        }
        tensors = {name: rng.uniform(-bound, bound, (units, size)) for name, size in sizes.items()}
        tensors |= {name: rng.uniform(-bound, bound, units) for name in cell.trace.vectors}
        layers.append(Layer(cell, tensors) if cell is not dense else Dense(tensors["W"], tensors["b"]))
        inputs = units
    if shape.head is None:
        return Network(tuple(layers))
    head = layers.pop()
    assert isinstance(head, Dense)
    return Network(tuple(layers), head)


@lru_cache(maxsize=4096)
def base_phases(shape: Shape, order: str, parts: tuple[int, ...]) -> list[Phase]:
    """The phases, without programs, when each layer is cut into this number of parts; units of a part are not those
    of any mapping."""
    sizes = [[1] * (count - 1) + [size - count + 1] for size, count in zip(shape.sizes, parts, strict=True)]
    return phases_of([blank_network(shape)], sizes, PhaseOrder(order))


@lru_cache(maxsize=1 << 14)
def programmed(
    shape: Shape, order: str, parts: tuple[int, ...], index: int, words: int, latencies: GridLatencies, programs: str,
) -> tuple[Phase, int]:
    """A phase of `base_phases` with its program, where rows of the phase that runs the unit program have this many
    words; and the words that they then have."""
    base = base_phases(shape, order, parts)
    # Phases that store have the program of the one that they store for.
    main = next(phase for phase in base if phase.stored_key == base[index].stored_key and not phase.stores)
    found, lengths = choose_programs([main, base[index]], [words, words], latencies, Preference(programs))
    return found[1], lengths[0]


def _placed(
    network: QuantisedNetwork, parameters: GridParameters, choice: Choice, latencies: GridLatencies
) -> tuple[list[Phase], list[LoopNest]]:
    sizes = []
    for group, parts in zip(unit_groups([network]), choice.layers, strict=True):
        units = [groups * parameters.rows for groups, _, _ in parts[:-1]]
        sizes.append([*units, group.units - sum(units)])
    found = phases_of([network], sizes, PhaseOrder(choice.order))
    splits = [choice.layers[phase.group][phase.part] for phase in found]
    words = [least_words(phase, parameters, ru) for phase, (_, ru, _) in zip(found, splits, strict=True)]
    found, words = choose_programs(found, words, latencies, Preference(choice.programs))
    nests = [
        LoopNest.of(phase, parameters, ru, chains, length)
        for phase, (_, ru, chains), length in zip(found, splits, words, strict=True)
    ]
    return found, nests


def exact_plan(
    shape: Shape, parameters: GridParameters, choice: Choice, latencies: GridLatencies | None = None
) -> SequencePlan:
    """The plan that the mapper would predict; slow, to compare with. Depths are not checked."""
    network = blank_network(shape, parameters.arithmetic)
    known = latencies or GridLatencies.of(parameters)
    found, nests = _placed(network, parameters, choice, known)
    timings = [time_phase(phase, nest, parameters, known) for phase, nest in zip(found, nests, strict=True)]
    return SequencePlan(
        timings, build_schedule(timings), ceil_div(network.input_size, parameters.beat_values),
        ceil_div(network.output_size, parameters.rows), parameters.multipliers,
    )


def demands(shape: Shape, parameters: GridParameters, choice: Choice) -> dict[str, int]:
    """What a mapping takes of each memory, by the field of `GridParameters` that it decides."""
    network = blank_network(shape)
    found, nests = _placed(network, parameters, choice, _latencies(parameters.rows, parameters.lanes))
    items: list[Demand] = allocate(found, nests, vectors_of([network]), parameters)[1]
    needed: dict[str, int] = {}
    for item in items:
        needed[item.field] = max(needed.get(item.field, 0), item.needed)
    return needed


@lru_cache(maxsize=256)
def _latencies(rows: int, lanes: int) -> GridLatencies:
    """Latencies that programs depend on; the columns do not matter to them."""
    return GridLatencies.of(GridParameters(rows=rows, cols=1, lanes=lanes, vector_depth=1 << 14))


def parameters_for(rows: int, cols: int, lanes: int, depths: dict[str, int]) -> GridParameters:
    """A grid with these memories. Raises `ConfigurationError` where one is larger than can be."""
    return GridParameters(rows=rows, cols=cols, lanes=lanes, **depths)


def mapping_of(network: QuantisedNetwork, parameters: GridParameters, choice: Choice, steps: int) -> Mapping:
    """A quantised network mapped as chosen. Raises `MappingError`."""
    splits = [[Part(*part) for part in parts] for parts in choice.layers]
    return map_network(network, parameters, steps=steps, schedule=PhaseOrder(choice.order), splits=splits,
                       programs=Preference(choice.programs))
