"""From what a walk has found to a network: layers from the input up, and what is left to the host above them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rnn_mapper.errors import ModelError
from rnn_mapper.importers.imported import HostStep
from rnn_mapper.importers.messages import quoted
from rnn_mapper.importers.onnx.elementwise import is_pair
from rnn_mapper.importers.onnx.glue import Value
from rnn_mapper.importers.onnx.sources import (
    CodingRecipe,
    DenseRecipe,
    HostRecipe,
    IndexArray,
    InputRecipe,
    LayerRecipe,
    Source,
    SumRecipe,
)
from rnn_mapper.importers.onnx.steps import Steps, steps_of
from rnn_mapper.importers.onnx.walk import Walk
from rnn_mapper.network.float_reference import FloatState
from rnn_mapper.network.input_coding import InputCoding
from rnn_mapper.network.layers import Bidirectional, Block, Dense, Layer, Reversed
from rnn_mapper.network.network import Network
from rnn_mapper.network.tensors import FloatArray

__all__ = ["Assembled", "assemble"]



@dataclass(frozen=True, eq=False)
class _Choice:
    """Elements [rows, values] that the host collects, by their place in the sequence and their value's number."""

    name: str
    places: IndexArray
    columns: IndexArray
    #: Rows that there are to choose from, and their values.
    count: int
    width: int


@dataclass(frozen=True, eq=False)
class _Function:
    """A function of each row, on the host."""

    name: str
    columns: IndexArray
    width: int
    function: Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, eq=False)
class _Stages:
    """A walk's result from the bottom up."""

    blocks: list[Block]
    #: What each layer begins with: of a bidirectional one the forward half, then the backward half.
    states: list[list[FloatState]]
    host: list[_Choice | _Function]
    coding: InputCoding | None


@dataclass(frozen=True, eq=False)
class Assembled:
    """A network, its start state and the steps of the host."""

    network: Network
    state: tuple[FloatState, ...] | None
    host: tuple[HostStep, ...]


def assemble(walks: Sequence[tuple[Walk, Value]]) -> Assembled:
    """The network of walks with sequences of different lengths, which must have found the same; raises ModelError."""
    stages = [_stages(walk, value) for walk, value in walks]
    for other in stages[1:]:
        if not _same(stages[0], other):
            raise ModelError("the network depends on the number of steps: export it for the number that you need")
    host: list[HostStep] = []
    for parts in zip(*(stage.host for stage in stages), strict=True):
        host += _host_step(parts)
    blocks, states = stages[0].blocks, stages[0].states
    if not any(layer.cell.trace.states for block in blocks for layer, _ in block.directions):
        raise ModelError("there is no LSTM, GRU or RNN between input and output")
    top = blocks[-1]
    head = Dense(top.tensors["W"], top.tensors["b"], _function_of(top)) if (
        len(blocks) > 1 and isinstance(top, Dense)
    ) else None
    layers = tuple(blocks if head is None else blocks[:-1])
    flat = [state for layer in states[: len(layers)] for state in layer]
    return Assembled(Network(layers, head, stages[0].coding), tuple(flat) if any(flat) else None, tuple(host))


def _stages(walk: Walk, value: Value) -> _Stages:
    if not value.traced:
        raise ModelError(f"tensor {quoted(walk.cut.stop)} is a constant")
    if walk.order.rows is None:
        raise ModelError(
            f"there is no LSTM, GRU or RNN between {quoted(walk.cut.start)} and {quoted(walk.cut.stop)}"
        )
    sources, rows, columns = walk.sources.located(value)
    blocks: list[Block] = []
    states: list[list[FloatState]] = []
    coding: InputCoding | None = None
    host: list[_Choice | _Function] = [_final(walk, sources, rows, columns)]
    while True:
        above = sources
        made, sources = _stage(walk, sources)
        if isinstance(made, _Choice | _Function):
            host.append(made)
        elif isinstance(made, InputCoding):
            coding = made
        elif made is None:
            break
        else:
            blocks.append(made)
            halves = [half.recipe for half in _halves(above)]
            states.append([one.state or {} if isinstance(one, LayerRecipe) else {} for one in halves])
    return _Stages(blocks[::-1], states[::-1], host[::-1], coding)


def _recipe(half: Source) -> LayerRecipe:
    assert isinstance(half.recipe, LayerRecipe)
    return half.recipe


def _halves(sources: tuple[Source, ...]) -> tuple[Source, ...]:
    recipe = sources[0].recipe
    return (recipe.forward, recipe.backward) if isinstance(recipe, SumRecipe) else sources


def _stage(
    walk: Walk, sources: tuple[Source, ...]
) -> tuple[Block | _Choice | _Function | InputCoding | None, tuple[Source, ...]]:
    """The layer, coding or host step that makes these sources, and the sources that it takes."""
    recipe = sources[0].recipe
    halves = _halves(sources)
    if is_pair(halves):
        merge = "sum" if isinstance(recipe, SumRecipe) else "concat"
        return Bidirectional(_layer(halves[0]), _layer(halves[1]), merge), _recipe(halves[0]).taken.sources
    if len(sources) > 1:
        names = " and ".join(map(str, sources))
        raise ModelError(f"{names} run side by side, which only both directions of a layer may")
    source = sources[0]
    match recipe:
        case InputRecipe():
            return None, ()
        case CodingRecipe(taken=taken, scale=scale, offset=offset):
            return InputCoding(scale, offset), taken.sources
        case LayerRecipe(taken=taken, backward=backward):
            layer = _layer(source)
            return Reversed(layer) if backward else layer, taken.sources
        case DenseRecipe(taken=taken, weight=weight, bias=bias, function=function):
            return Dense(weight, bias, function), taken.sources
        case HostRecipe(taken=None, sources=below, picks=picks) if picks is not None:
            return _choice(walk, str(source), below, *picks), below
        case HostRecipe(taken=taken, function=work) if taken is not None:
            return _Function(str(source), taken.columns, taken.width, work), taken.sources
    raise ModelError(f"{source} is a state: the grid gives outputs only")


def _layer(source: Source) -> Layer:
    recipe = _recipe(source)
    try:
        layer: Layer = recipe.build(recipe.direction, recipe.taken)
    except ModelError as error:
        raise ModelError(f"{source}: {error}") from None
    return layer


def _final(walk: Walk, sources: tuple[Source, ...], rows: IndexArray, columns: IndexArray) -> _Choice:
    """The choice of elements that the cut ends with, of one stream."""
    space = sources[0].space
    streams = walk.order.streams[space][rows]
    first = streams == 0
    count = int(first.sum())
    places = walk.order.places[space][rows]
    for stream in np.unique(streams):
        mine = streams == stream
        if mine.sum() != count or (places[mine] != places[first]).any() or (columns[mine] != columns[first]).any():
            raise ModelError(f"streams of the batch are not alike in {quoted(walk.cut.stop)}")
    rows, columns = rows[first], columns[first]
    width = int(np.argmax(rows != rows[0])) or count  # values of the first step
    if count % width == 0:
        rows, columns = rows.reshape(-1, width), columns.reshape(-1, width)
        if (rows == rows[:, :1]).all():
            return _choice(walk, f"output {quoted(walk.cut.stop)}", sources, rows, columns)
    return _choice(walk, f"output {quoted(walk.cut.stop)}", sources, rows.reshape(1, -1), columns.reshape(1, -1))


def _choice(
    walk: Walk, name: str, sources: tuple[Source, ...], rows: IndexArray, columns: IndexArray
) -> _Choice:
    space = sources[0].space
    streams, places = walk.order.streams[space], walk.order.places[space]
    of_stream = streams[rows[:, 0]]
    mine = of_stream == 0
    chosen, values = places[rows[mine]], columns[mine]
    for stream in np.unique(of_stream):
        other = of_stream == stream
        if other.sum() != mine.sum() or (places[rows[other]] != chosen).any() or (columns[other] != values).any():
            raise ModelError(f"{name}: streams of the batch are not treated alike")
    return _Choice(name, chosen, values, int((streams == 0).sum()), sum(source.features for source in sources))


def _host_step(parts: tuple[_Choice | _Function, ...]) -> list[HostStep]:
    """The host's step, from the same step of all walks."""
    part = parts[0]
    if isinstance(part, _Function):
        columns, function = part.columns, part.function
        whole = np.array_equal(columns, np.arange(part.width))
        return [HostStep(part.name, lambda values: function(values if whole else values[:, columns]))]
    choices = [one for one in parts if isinstance(one, _Choice)]
    columns = part.columns[0]
    if all((one.places == one.places[:, :1]).all() and (one.columns == columns).all() for one in choices):
        steps = steps_of([(one.places[:, 0], one.count) for one in choices])
        whole = np.array_equal(columns, np.arange(part.width))
        if steps.is_all and whole:
            return []
        text = str(steps) + ("" if whole else f", {len(columns)} of {part.width} values")
        return [HostStep(f"{part.name}: {text}", _rows_of(steps, columns))]
    steps = steps_of([(one.places.reshape(-1), one.count) for one in choices])
    shape, picked = part.places.shape, part.columns.reshape(-1)
    if any(one.places.shape != shape or (one.columns != part.columns).any() for one in choices):
        raise ModelError(f"{part.name}: the elements that are collected depend on the number of steps")
    text = f"{shape[0]} x {shape[1]} values of several steps"
    return [HostStep(f"{part.name}: {text}", _elements_of(steps, picked, shape))]


def _rows_of(steps: Steps, columns: IndexArray) -> Callable[[FloatArray], FloatArray]:
    return lambda values: values[steps.indices(len(values))][:, columns]


def _elements_of(
    steps: Steps, columns: IndexArray, shape: tuple[int, ...]
) -> Callable[[FloatArray], FloatArray]:
    return lambda values: values[steps.indices(len(values)), columns].reshape(shape)


def _function_of(layer: Layer) -> str:
    return layer.cell.name.removeprefix("dense").removeprefix("_") or "identity"


def _coding_json(stages: _Stages) -> dict[str, list[float]] | None:
    return None if stages.coding is None else stages.coding.to_json()


def _same(one: _Stages, other: _Stages) -> bool:
    """Whether two walks have found the same network."""
    if len(one.blocks) != len(other.blocks) or len(one.host) != len(other.host):
        return False
    if _coding_json(one) != _coding_json(other):
        return False
    if [type(part) for part in one.host] != [type(part) for part in other.host]:
        return False
    for first, second in zip(one.blocks, other.blocks, strict=True):
        if type(first) is not type(second):
            return False
        for (a, _), (b, _) in zip(first.directions, second.directions, strict=True):
            if a.cell is not b.cell or any(not np.array_equal(a.tensors[name], b.tensors[name]) for name in a.tensors):
                return False
    for a_state, b_state in zip(itertools.chain(*one.states), itertools.chain(*other.states), strict=True):
        if a_state.keys() != b_state.keys() or any(not np.array_equal(a_state[k], b_state[k]) for k in a_state):
            return False
    functions = zip(one.host, other.host, strict=True)
    return all(np.array_equal(a.columns, b.columns) for a, b in functions if isinstance(a, _Function))
