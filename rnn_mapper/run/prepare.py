"""From whatever the user has (a PyTorch module, a file, arrays) to a network on a grid."""

from __future__ import annotations

import itertools
from collections import abc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from hdl.numerics import Arithmetic
from hdl.parameters import GridParameters, load_parameters, preset_names, usual_preset_names
from rnn_mapper.cells.library import BUILT_IN
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.errors import ConfigurationError, MappingError, ModelError
from rnn_mapper.importers import Imported, Selection, load_model
from rnn_mapper.importers.arrays import is_wav, load_array, load_inputs, wav_frames
from rnn_mapper.importers.torch.modules import import_module
from rnn_mapper.mapping.allocation import CapacityError
from rnn_mapper.mapping.deployment import Deployment, deploy
from rnn_mapper.mapping.mapper import TYPICAL_STEPS
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.mapping.state_images import state_packets
from rnn_mapper.network.float_reference import FloatState
from rnn_mapper.network.network import Network
from rnn_mapper.network.tensors import FloatArray, check_inputs
from rnn_mapper.quantisation.calibration import DEFAULT_RULE, ScaleRule
from rnn_mapper.quantisation.codes import quantise_state
from rnn_mapper.quantisation.integer_network import LayerState, QuantisedModel
from rnn_mapper.quantisation.quantise import quantise_model
from rnn_mapper.schedule.phases import PhaseOrder

__all__ = [
    "Prepared", "as_grid", "as_imported", "as_inputs", "as_streams", "choose_grid", "default_calibration",
    "on_grid", "prepare", "prepare_together",
]

Placed = TypeVar("Placed")

#: Steps of the calibration input that stands in for a missing one.
DEFAULT_CALIBRATION_STEPS = 256


@dataclass(frozen=True, eq=False)
class Prepared:
    """A network on a grid, ready to be written or simulated."""

    network: Network
    quantised: QuantisedModel
    #: All models of the grid: those of this network, and of others that were prepared with it.
    deployment: Deployment
    #: MODEL of the network's first segment; its other segments follow.
    first_model: int
    #: Independent sequences that run step by step at once.
    streams: int
    #: Name of the grid: a preset, a file, or "custom".
    grid_name: str
    #: The grid was chosen as the smallest preset that fits.
    grid_chosen: bool
    #: The calibration input was `default_calibration`.
    calibration_is_default: bool
    #: State of each of `Network.single_layers` that a sequence starts from; None is the cleared state.
    state: tuple[FloatState, ...] | None = None

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        """The models of the network's segments, in the order in which they run."""
        return self.deployment.models[self.first_model : self.first_model + len(self.quantised.segments)]

    @property
    def mapping(self) -> Mapping:
        """The model of the first segment: the whole network, unless it has bidirectional layers."""
        return self.mappings[0]

    @property
    def start_states(self) -> list[tuple[Sequence[LayerState], ...]] | None:
        """For each segment the state that each member of its model starts from; None is the cleared state."""
        if self.state is None:
            return None
        states = iter(quantise_state(self.quantised, self.state))
        return [
            tuple(list(itertools.islice(states, len(member.layers))) for member in segment.members) * self.streams
            for segment in self.quantised.segments
        ]

    def start_packets(self) -> Iterator[bytes]:
        """Load packets of the states that sequences start from; none for the cleared state."""
        for mapping, states in zip(self.mappings, self.start_states or (), strict=False):
            for member, state in enumerate(states):
                yield from state_packets(mapping, state, member)


def prepare(
    model: Any,
    calibration: Any = None,
    grid: GridParameters | str | Path | None = None,
    *,
    cell: str | Cell | None = None,
    selection: Selection | None = None,
    ru: int | None = None,
    hu: int | None = None,
    steps: int = TYPICAL_STEPS,
    schedule: PhaseOrder = PhaseOrder.FUSED,
    state: Sequence[FloatState] | None = None,
    streams: int = 1,
    rule: ScaleRule = DEFAULT_RULE,
) -> Prepared:
    """Quantise a model and map it; arguments as `rnn_mapper.simulate`, `calibration` [steps, input_size] as its inputs.

    Without a calibration input `default_calibration` is used, without a grid the smallest preset that fits. `streams`
    independent sequences of the model share its weights and run step by step at once. `state`, of each of
    `Network.single_layers`, is what a sequence starts from (default: what the model says, else cleared). `rule` is how
    scales follow from the calibration input.
    Raises `ModelError`, `ConfigurationError` or `MappingError`.
    """
    imported = as_imported(model, cell, selection)
    if state is not None:
        imported = replace(imported, state=tuple(state))
    return prepare_together(
        [imported], [calibration], grid, ru=ru, hu=hu, steps=steps, schedule=schedule, streams=streams, rule=rule
    )[0]


def prepare_together(
    models: Sequence[Imported],
    calibrations: Sequence[Any],
    grid: GridParameters | str | Path | None = None,
    *,
    ru: int | None = None,
    hu: int | None = None,
    steps: int = TYPICAL_STEPS,
    schedule: PhaseOrder = PhaseOrder.FUSED,
    streams: int = 1,
    rule: ScaleRule = DEFAULT_RULE,
) -> list[Prepared]:
    """As `prepare`, of several models that are resident in one grid side by side; `streams` holds for each of them."""
    if streams < 1:
        raise ConfigurationError(f"streams = {streams}: must be 1 or more")
    typical = [
        default_calibration(model.network) if given is None else as_inputs(given, model.network)
        for model, given in zip(models, calibrations, strict=True)
    ]
    variants: dict[Arithmetic, list[QuantisedModel]] = {}

    def place(parameters: GridParameters) -> tuple[list[QuantisedModel], Deployment]:
        arithmetic = parameters.arithmetic
        if arithmetic not in variants:
            variants[arithmetic] = [
                quantise_model(model.network, values, arithmetic, model.state, rule)
                for model, values in zip(models, typical, strict=True)
            ]
        made = variants[arithmetic]
        members = [segment.members * streams for one in made for segment in one.segments]
        return made, deploy(members, parameters, steps, ru, hu, schedule)

    name, (made, deployment) = on_grid(grid, place)
    firsts = itertools.accumulate((len(one.segments) for one in made), initial=0)
    return [
        Prepared(
            model.network, quantised, deployment, first, streams, name, grid is None, given is None, model.state
        )
        for model, quantised, first, given in zip(models, made, firsts, calibrations, strict=False)
    ]


def on_grid(
    grid: GridParameters | str | Path | None, place: Callable[[GridParameters], Placed]
) -> tuple[str, Placed]:
    """Name of the grid and what `place` makes of it; without a grid of the first usual preset that it does not refuse.

    Raises `MappingError` when there is none, and what `place` raises.
    """
    chosen = [as_grid(grid)] if grid is not None else [(name, load_parameters(name)) for name in usual_preset_names()]
    refusal: MappingError | None = None
    for name, parameters in chosen:
        try:
            return name, place(parameters)
        except MappingError as error:
            refusal = error
    assert refusal is not None
    if grid is None:
        text = f"no preset fits, not even '{chosen[-1][0]}': {refusal}; name a larger grid"
        raise CapacityError(text, refusal.demands) if isinstance(refusal, CapacityError) else MappingError(text)
    raise refusal


def choose_grid(model: Any, cell: str | Cell | None = None, selection: Selection | None = None) -> str:
    """Name of the smallest preset on which a model fits. Raises `MappingError` when there is none."""
    return prepare(model, cell=cell, selection=selection).grid_name


def default_calibration(network: Network) -> FloatArray:
    """Standard normal noise [256, input_size], the same every time: what inputs are taken to look like when there are
    none. The scale of the inputs follows from its peak (about 4.5), so real inputs should be given where there are any.
    """
    return np.random.default_rng(0).standard_normal((DEFAULT_CALIBRATION_STEPS, network.input_size))


def as_imported(
    model: Any, cell: str | Cell | None = None, selection: Selection | None = None,
    cells: abc.Mapping[str, Cell] = BUILT_IN,
) -> Imported:
    """What `rnn_mapper.importers` make of a model: a Network, the path of a file, a PyTorch module, or an Imported.

    `selection` says which part of it is meant, `cell` the kind of cell where it does not; `cells` are those that a file
    may name. Raises `ModelError`.
    """
    if isinstance(model, Imported):
        return model
    if isinstance(model, Network):
        return Imported(model)
    chosen = selection or Selection()
    if cell is not None:
        chosen = replace(chosen, cell=cell.name if isinstance(cell, Cell) else cell)
        if isinstance(cell, Cell):
            cells = {**cells, cell.name: cell}
    if isinstance(model, str | Path):
        return load_model(model, chosen, cells)
    return import_module(model, chosen)


def as_inputs(inputs: Any, network: Network, rate: int | None = None) -> FloatArray:
    """Float inputs [steps, input_size] from an array, a PyTorch tensor, or the path of an `.npy`, `.npz` or `.wav`.

    A WAV file gives frames of consecutive samples (`arrays.wav_frames`); it must have `rate` samples per second, if
    that is given. Raises `ModelError`.
    """
    if isinstance(inputs, str | Path):
        if is_wav(inputs):
            return wav_frames(inputs, network.input_size, rate)
        return load_inputs(inputs, network.input_size)
    if hasattr(inputs, "detach"):
        inputs = inputs.detach().cpu().double().numpy()
    return check_inputs(inputs, network.input_size)


def as_streams(inputs: Any, network: Network, rate: int | None = None) -> list[FloatArray]:
    """Inputs [steps, input_size] of one or several streams, all with as many steps.

    From an array, a tensor or a file of [steps, input_size] (one stream) or [streams, steps, input_size], or from a
    list of files or tensors, one for each stream; `rate` as in `as_inputs`. Raises `ModelError`.
    """
    several = isinstance(inputs, list | tuple)
    if several and inputs and all(isinstance(one, str | Path) or getattr(one, "ndim", 0) == 2 for one in inputs):
        streams = inputs if len(inputs) > 1 else as_streams(inputs[0], network, rate)
        streams = [as_inputs(one, network, rate) for one in streams]
    else:
        array = load_array(inputs) if isinstance(inputs, str | Path) and not is_wav(inputs) else inputs
        if hasattr(array, "detach"):
            array = array.detach().cpu().double().numpy()
        if np.ndim(array) != 3:
            return [as_inputs(inputs, network, rate)]
        streams = [check_inputs(one, network.input_size, f"inputs[{index}]") for index, one in enumerate(array)]
    lengths = sorted({len(one) for one in streams})
    if len(lengths) > 1:
        raise ModelError(f"inputs of the streams have {lengths} steps, must have as many")
    if not lengths:
        raise ModelError("inputs hold no stream, must hold one or more")
    return streams


def as_grid(grid: GridParameters | str | Path) -> tuple[str, GridParameters]:
    """Name and parameters of a preset's name, a TOML file, or parameters themselves."""
    if isinstance(grid, GridParameters):
        named = next((name for name in preset_names() if load_parameters(name) == grid), "custom")
        return named, grid
    if not isinstance(grid, str | Path):
        kind = type(grid).__name__
        raise ConfigurationError(f"grid is a {kind}: give a preset's name, a TOML file or GridParameters")
    return Path(grid).stem, load_parameters(grid)
