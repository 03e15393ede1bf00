"""From the user's model (a PyTorch module, a file, arrays) to a network on a grid."""

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
from rnn_mapper.errors import ConfigurationError, MappingError
from rnn_mapper.importers import Imported, Selection, load_model
from rnn_mapper.importers.layout import Layout
from rnn_mapper.importers.torch.modules import import_module
from rnn_mapper.mapping.allocation import CapacityError
from rnn_mapper.mapping.deployment import Deployment, deploy
from rnn_mapper.mapping.mapper import TYPICAL_STEPS
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.mapping.state_images import state_packets
from rnn_mapper.network.float_reference import FloatState
from rnn_mapper.network.network import Network
from rnn_mapper.network.tensors import FloatArray
from rnn_mapper.quantisation.calibration import DEFAULT_RULE, ScaleRule
from rnn_mapper.quantisation.codes import quantise_state
from rnn_mapper.quantisation.integer_network import LayerState, QuantisedModel
from rnn_mapper.quantisation.quantise import quantise_model
from rnn_mapper.run.sequences import as_sequences
from rnn_mapper.schedule.phases import PhaseOrder
from rnn_mapper.summary import Summarised

__all__ = [
    "Prepared", "as_grid", "as_imported", "choose_grid", "default_calibration", "on_grid", "prepare",
    "prepare_together",
]

Placed = TypeVar("Placed")

#: Steps of the default calibration input.
DEFAULT_CALIBRATION_STEPS = 256


@dataclass(frozen=True, eq=False, repr=False)
class Prepared(Summarised):
    """A network on a grid, ready to be written or simulated."""

    #: The model as it was read, with the start state of a sequence and the steps left to the host.
    imported: Imported
    quantised: QuantisedModel
    #: All models of the grid: the models of this network, and of others that were prepared with it.
    deployment: Deployment
    #: MODEL (number) of the network's first segment; the numbers of its other segments follow.
    first_model: int
    #: Independent sequences that run step by step at once.
    streams: int
    #: Name of the grid: a preset, a file, or "custom".
    grid_name: str
    #: Whether the grid was chosen as the smallest preset that fits.
    grid_chosen: bool
    #: Whether the calibration input was `default_calibration`.
    calibration_is_default: bool

    @property
    def summary(self) -> dict[str, str]:
        """The object in a few lines, by heading."""
        return {**self.imported.summary, "grid": self.grid_name, "streams": str(self.streams)}

    @property
    def network(self) -> Network:
        """The network in floating point."""
        return self.imported.network

    @property
    def state(self) -> tuple[FloatState, ...] | None:
        """Start state of a sequence, for each of `Network.single_layers`; None is the cleared state."""
        return self.imported.state

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
        """For each segment the start state of each member of its model; None is the cleared state."""
        if self.state is None:
            return None
        states = iter(quantise_state(self.quantised, self.state))
        return [
            tuple(list(itertools.islice(states, len(member.layers))) for member in segment.members) * self.streams
            for segment in self.quantised.segments
        ]

    def start_packets(self) -> Iterator[bytes]:
        """Load packets of the start states of sequences; none for the cleared state."""
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
    layout: Layout | str | None = None,
) -> Prepared:
    """Quantise a model and map it. Arguments as in `rnn_mapper.simulate`; `calibration` takes the forms of its inputs.

    Sequences of `calibration` run one after the other; without one `default_calibration` is used. Without a grid the
    smallest preset that fits is used. `streams` independent sequences of the model share its weights and run step by
    step at once.
    `state` is the start state of a sequence, for each of `Network.single_layers` (default: the state that the model
    names, else cleared). `rule` is the method that derives scales from the calibration input.
    Raises `ModelError`, `ConfigurationError` or `MappingError`.
    """
    imported = as_imported(model, cell, selection)
    if state is not None:
        imported = replace(imported, state=tuple(state))
    if calibration is not None:
        calibration = as_sequences(calibration, imported, layout=layout)
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
    """Like `prepare`, for several models that are resident in one grid; `streams` is the number of each."""
    if streams < 1:
        raise ConfigurationError(f"streams = {streams}: must be 1 or more")
    typical = [
        default_calibration(model.network) if given is None else as_sequences(given, model).joined
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
        Prepared(model, quantised, deployment, first, streams, name, grid is None, given is None)
        for model, quantised, first, given in zip(models, made, firsts, calibrations, strict=False)
    ]


def on_grid(
    grid: GridParameters | str | Path | None, place: Callable[[GridParameters], Placed]
) -> tuple[str, Placed]:
    """Name of the grid and the result of `place`; without a grid, the first usual preset on which `place` succeeds.

    Raises `MappingError` if there is none, and the errors of `place`.
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
    """The calibration input if none is given: standard normal noise [256, input_size], the same every time.

    The scale of the inputs follows from the peak of the noise (about 4.5), so give real inputs if there are any. With a
    normalisation (`Network.coding`), its result is standard normal noise.
    """
    noise = np.random.default_rng(0).standard_normal((DEFAULT_CALIBRATION_STEPS, network.input_size))
    return noise if network.coding is None else network.coding.invert(noise)


def as_imported(
    model: Any, cell: str | Cell | None = None, selection: Selection | None = None,
    cells: abc.Mapping[str, Cell] = BUILT_IN,
) -> Imported:
    """Import a model: a Network, the path of a file, a PyTorch module, or an Imported, which is returned as it is.

    `selection` is the part of the model to import, `cell` the kind of cell if the model does not say; `cells` are the
    cells that a file may name. Raises `ModelError`.
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


def as_grid(grid: GridParameters | str | Path) -> tuple[str, GridParameters]:
    """Name and parameters of a grid, which is a preset's name, a TOML file or GridParameters."""
    if isinstance(grid, GridParameters):
        named = next((name for name in preset_names() if load_parameters(name) == grid), "custom")
        return named, grid
    if not isinstance(grid, str | Path):
        found = type(grid).__name__
        raise ConfigurationError(f"grid is a {found}: give a preset's name, a TOML file or GridParameters")
    return Path(grid).stem, load_parameters(grid)
