"""Shapes of models for the search: kinds of cells and sizes, without weights."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from hdl.numerics import DEFAULT_ARITHMETIC
from rnn_mapper.cells.lowering import arithmetic_of
from rnn_mapper.cells.stages import stages_of
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.cells.user_files import load_cells, with_cells
from rnn_mapper.errors import ModelError
from rnn_mapper.importers import Imported
from rnn_mapper.importers.messages import with_source
from rnn_mapper.mapping.plans import Frames
from rnn_mapper.network.layers import parse_cell
from rnn_mapper.network.network import single_segment
from rnn_mapper.network.random import LayerShape
from rnn_mapper.quantisation import blank
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.schedule.phases import PhaseOrder

__all__ = [
    "CellsFile", "Shape", "blank_network", "cells_file", "frames_of", "known_cells", "layer_shapes", "shape_of_model",
]

#: Path and digest of the user's cells file; both empty without one.
CellsFile = tuple[str, str]


@dataclass(frozen=True)
class Shape:
    """The kinds of cells and sizes of a model, which determine its cycles and memory."""

    #: Name of the cell of each layer.
    cells: tuple[str, ...]
    inputs: int
    #: Output values of each layer.
    hidden: tuple[int, ...]
    #: Outputs of a dense head; None without a head.
    head: int | None = None
    #: Python file with the user's cells, and its digest, so that a changed file is another shape.
    cells_file: str = ""
    cells_digest: str = ""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of each layer, and of the head, last."""
        return self.hidden if self.head is None else (*self.hidden, self.head)

    def multiplications(self, steps: int) -> int:
        """Multiplications of a sequence from a cleared state, with which the first step multiplies nothing."""
        groups = frames_of(self).whole(PhaseOrder.FUSED.value)
        return sum(phase.multiplications * (steps - phase.previous) for phases in groups for phase in phases)

    def __str__(self) -> str:
        kinds = self.cells[0] if len(set(self.cells)) == 1 else "+".join(self.cells)
        layers = " -> ".join(map(str, (self.inputs, *self.hidden)))
        return f"{kinds} {layers}" + ("" if self.head is None else f" -> dense {self.head}")


def shape_of_model(path: Path, model: Imported, cells: CellsFile = ("", "")) -> Shape:
    """The shape of a model from a file. Raises `ModelError`."""
    network = with_source(path, lambda: single_segment(model.network, "explore"))
    for layer in network.single_layers:
        _check_cell(layer.cell, f"{path}: ")
    head = None if network.head is None else network.output_size
    return Shape(
        tuple(layer.cell.name for layer in network.single_layers), network.input_size,
        tuple(layer.output_size for layer in network.layers), head, *cells,
    )


def cells_file(path: Path | None) -> CellsFile:
    """The absolute path of the user's cells file, and its digest. Raises `CellError` if the file cannot be used."""
    if path is None:
        return "", ""
    load_cells(path)
    return str(path.resolve()), hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@lru_cache(maxsize=16)
def known_cells(cells: CellsFile) -> dict[str, Cell]:
    """The built-in cells and the cells of the user's file."""
    return with_cells(cells[0] or None)


def _check_cell(cell: Cell, where: str = "") -> None:
    """Raise `ModelError` for a cell whose vectors have several sizes: a `Shape` cannot describe it."""
    if len({stage.unit_set for stage in stages_of(arithmetic_of(cell))}) > 1:
        raise ModelError(f"{where}cell {cell.name} computes vectors of several sizes, which cannot be explored")


def layer_shapes(shape: Shape) -> list[LayerShape]:
    """The layers without the head. Raises `ModelError` for a cell that cannot be explored."""
    known = known_cells((shape.cells_file, shape.cells_digest))
    layers = [LayerShape(parse_cell(name, known), size) for name, size in zip(shape.cells, shape.hidden, strict=True)]
    for cell, _, _ in layers:
        _check_cell(cell)
    return layers


@lru_cache(maxsize=256)
def blank_network(shape: Shape) -> QuantisedNetwork:
    """A network of this shape without weights."""
    return blank.blank_network(shape.inputs, layer_shapes(shape), shape.head, DEFAULT_ARITHMETIC)


@lru_cache(maxsize=64)
def frames_of(shape: Shape) -> Frames:
    """The phases of a network of this shape."""
    return Frames([blank_network(shape)])
