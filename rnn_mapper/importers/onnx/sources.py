"""Sources, which produce the values of a network, and the numbers of their elements.

A source is the input, one direction of a recurrent layer, a dense layer, or a step of the host. Its values
are [rows, features]. Rows of the network's sources are (step, stream) and are numbered alike in all of them, so that a
row says which step it is wherever its elements are moved; sources of the host may have rows of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.onnx.glue import Value
from rnn_mapper.importers.onnx.tensors import AnyArray

__all__ = [
    "CodingRecipe", "DenseRecipe", "HostRecipe", "InputRecipe", "LayerRecipe", "Source", "Sources", "StateRecipe",
    "SumRecipe", "Taken",
]

IndexArray = npt.NDArray[np.int64]

_SHIFT = 40
_MASK = (1 << _SHIFT) - 1


@dataclass(frozen=True, eq=False)
class Taken:
    """The input of a layer: sources side by side (both halves of a bidirectional layer) and a choice of their values.

    `columns` [values] are indices into the values of the sources, side by side in the order of `sources`; `rows` are
    the rows of all positions of the tensor, in its shape without the last axis.
    """

    sources: tuple[Source, ...]
    columns: IndexArray
    rows: IndexArray

    @property
    def width(self) -> int:
        """Values of all sources."""
        return sum(source.features for source in self.sources)

    @property
    def is_whole(self) -> bool:
        """All values in their order."""
        return len(self.columns) == self.width and bool((self.columns == np.arange(self.width)).all())

    def spread(self, matrix: AnyArray) -> AnyArray:
        """A matrix [units, columns] as one [units, width] that takes all values."""
        if self.is_whole:
            return matrix
        wide = np.zeros((self.width, len(matrix)))
        np.add.at(wide, self.columns, matrix.T)
        return wide.T


@dataclass(frozen=True, eq=False)
class InputRecipe:
    """The input of the network."""


@dataclass(frozen=True, eq=False)
class StateRecipe:
    """A state: an input of the graph that is one, or the cell state after the last step."""


@dataclass(frozen=True, eq=False)
class LayerRecipe:
    """One direction of a recurrent node."""

    taken: Taken
    #: Index of the direction in the node's tensors.
    direction: int
    #: It runs from the last step to the first.
    backward: bool
    #: Makes the layer, given what it takes.
    build: Any
    state: dict[str, AnyArray] | None


@dataclass(frozen=True, eq=False)
class DenseRecipe:
    """function(weight x + bias)."""

    taken: Taken
    weight: AnyArray
    bias: AnyArray
    function: str = "identity"


@dataclass(frozen=True, eq=False)
class CodingRecipe:
    """input * scale + offset, feature by feature, which the host does when it codes the input."""

    taken: Taken
    scale: AnyArray
    offset: AnyArray


@dataclass(frozen=True, eq=False)
class SumRecipe:
    """Both directions of a layer, added."""

    forward: Source
    backward: Source


@dataclass(frozen=True, eq=False)
class HostRecipe:
    """A step of the host: a function of [rows, values], or a choice of elements."""

    taken: Taken | None
    function: Any = None
    #: For a choice: which sources, and [rows, features] of the row and of the value side by side.
    sources: tuple[Source, ...] = ()
    picks: tuple[IndexArray, IndexArray] | None = None


Recipe = InputRecipe | StateRecipe | CodingRecipe | LayerRecipe | DenseRecipe | SumRecipe | HostRecipe


@dataclass(eq=False)
class Source:
    """Something that produces values [rows, features]."""

    index: int
    name: str
    recipe: Recipe
    rows: int
    #: 0 for a tensor that nothing has taken yet.
    features: int
    #: Which numbering its rows follow: 0 is that of steps and streams.
    space: int = 0
    #: Of an input: its shape, and the row and feature of every element, once something has taken it.
    shape: tuple[int, ...] = ()
    row_of: IndexArray | None = None
    feature_of: IndexArray | None = None

    @property
    def is_host(self) -> bool:
        """The host makes it."""
        return isinstance(self.recipe, HostRecipe)

    def __str__(self) -> str:
        return self.name


@dataclass(eq=False)
class Sources:
    """All sources of a walk."""

    all: list[Source] = field(default_factory=list)

    def add(self, name: str, recipe: Recipe, rows: int, features: int, space: int | None = 0) -> Source:
        """A new source; `space` None gives its rows a numbering of their own."""
        index = len(self.all)
        source = Source(index, name, recipe, rows, features, index if space is None else space)
        self.all.append(source)
        return source

    def add_tensor(self, name: str, recipe: Recipe, shape: tuple[int, ...], whole: bool = False) -> Value:
        """A tensor of the graph as a source whose rows are not known yet."""
        source = self.add(name, recipe, 0, 0)
        source.shape = shape
        size = int(np.prod(shape, dtype=np.int64))
        numbers = np.arange(size, dtype=np.int64).reshape(shape)
        return Value(numbers + (source.index << _SHIFT), True, whole)

    def value(self, source: Source, rows: IndexArray) -> Value:
        """The tensor [.., features] of a source at these rows."""
        numbers = rows[..., None] * source.features + np.arange(source.features)
        return Value(numbers + (source.index << _SHIFT), True)

    def origins(self, value: Value) -> list[Source]:
        """The sources of a traced tensor, forward before backward."""
        found = [self.all[int(index)] for index in np.unique(value.array >> _SHIFT)]
        return sorted(found, key=lambda one: (isinstance(one.recipe, LayerRecipe) and one.recipe.backward, one.index))

    def located(self, value: Value) -> tuple[tuple[Source, ...], IndexArray, IndexArray]:
        """Sources side by side, and for every element its row and its value among theirs.

        Raises ModelError for a tensor without rows, or rows of different numberings.
        """
        sources = self.origins(value)
        if value.array.size == 0:
            raise ModelError("takes a tensor without elements")
        for source in sources:
            if isinstance(source.recipe, StateRecipe):
                raise ModelError(f"uses {source}, which is a state: the grid gives outputs only")
            if isinstance(source.recipe, InputRecipe) and source.row_of is None:
                self._settle(source, value)
        if len({source.space for source in sources}) > 1:
            raise ModelError(f"puts {' and '.join(map(str, sources))} together, which are not of the same steps")
        numbers, local = value.array >> _SHIFT, value.array & _MASK
        rows, columns = np.empty_like(local), np.empty_like(local)
        base = 0
        for source in sources:
            mask = numbers == source.index
            if source.row_of is not None and source.feature_of is not None:
                rows[mask], columns[mask] = source.row_of[local[mask]], source.feature_of[local[mask]] + base
            else:
                rows[mask], columns[mask] = local[mask] // source.features, local[mask] % source.features + base
            base += source.features
        return tuple(sources), rows, columns

    def taken(self, value: Value) -> Taken | None:
        """The input of a layer that takes a tensor [.., values]; None if a position has values of several rows, or
        positions differ in which values they have."""
        if value.array.ndim == 0:
            raise ModelError("takes a single number, must take a vector")
        sources, rows, columns = self.located(value)
        first = columns.reshape(-1, columns.shape[-1])[0]
        if (rows != rows[..., :1]).any() or (columns != first).any():
            return None
        return Taken(sources, first, rows[..., 0])

    def _settle(self, source: Source, value: Value) -> None:
        """The tensor that the first layer takes of an input determines the input's rows and features."""
        local = (value.array & _MASK).reshape(-1, value.array.shape[-1] if value.array.ndim else 1)
        size = int(np.prod(source.shape, dtype=np.int64))
        foreign = ((value.array >> _SHIFT) != source.index).any()
        if foreign or local.size != size or len(np.unique(local)) != size:
            raise ModelError(
                f"takes a part of {source} only, or parts of it twice: begin with the tensor that it takes (--from)"
            )
        offsets = local - local[:, :1]
        if (offsets != offsets[0]).any():
            raise ModelError(f"takes the values of {source} in an order that differs from step to step")
        source.rows, source.features = local.shape
        source.row_of, source.feature_of = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
        source.row_of[local] = np.arange(source.rows)[:, None]
        # Features are numbered as in the input, whatever the first layer makes of them.
        source.feature_of[local] = np.argsort(np.argsort(offsets[0]))
        self.bases = local.min(axis=1)

    #: Element of the input that begins each row.
    bases: IndexArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
