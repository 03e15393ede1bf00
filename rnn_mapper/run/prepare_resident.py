"""From several model files to resident models on one grid, with what each takes and what is left."""

from __future__ import annotations

from collections import abc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hdl.parameters import GridParameters
from rnn_mapper.errors import ConfigurationError
from rnn_mapper.mapping.bidirectional import QuantisedBidirectional, quantise_bidirectional
from rnn_mapper.mapping.deployment import Resident, map_resident
from rnn_mapper.mapping.mapper import TYPICAL_STEPS
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.network.bidirectional import BidirectionalNetwork
from rnn_mapper.network.network import FloatArray, Network
from rnn_mapper.quantisation.calibration import DEFAULT_RULE, ScaleRule
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.quantisation.quantise import quantise
from rnn_mapper.report.mapping import mapping_json
from rnn_mapper.run.prepare import default_calibration, on_grid
from rnn_mapper.schedule.phases import PhaseOrder

__all__ = ["PreparedResident", "ResidentModel", "memories_left", "prepare_resident", "resident_json"]


@dataclass(frozen=True)
class ResidentModel:
    """A model of the grid, and where it comes from."""

    #: What the user called it, and the segment of a bidirectional network.
    name: str
    #: Index of the network that the user gave.
    network: int
    mapping: Mapping


@dataclass(frozen=True, eq=False)
class PreparedResident:
    """Networks in one grid, each as one model or, with bidirectional layers, as several; MODEL is the position."""

    models: tuple[ResidentModel, ...]
    resident: Resident
    grid_name: str
    #: The grid was chosen as the smallest preset that fits.
    grid_chosen: bool


def prepare_resident(
    networks: abc.Mapping[str, Network | BidirectionalNetwork],
    calibrations: Sequence[FloatArray | None],
    grid: GridParameters | str | Path | None = None,
    *,
    ru: int | None = None,
    hu: int | None = None,
    steps: int = TYPICAL_STEPS,
    schedule: PhaseOrder = PhaseOrder.FUSED,
    streams: int = 1,
    rule: ScaleRule = DEFAULT_RULE,
) -> PreparedResident:
    """Quantise networks (by name) with their calibration inputs and place them in one grid.

    Arguments are those of `rnn_mapper.prepare`; `streams` holds for every network. Raises `ModelError`,
    `ConfigurationError` (also for streams of a bidirectional network) or `MappingError`.
    """
    if streams < 1:
        raise ConfigurationError(f"streams = {streams}: must be 1 or more")
    for name, network in networks.items():
        if streams > 1 and isinstance(network, BidirectionalNetwork):
            raise ConfigurationError(f"{name}: {streams} streams of a bidirectional network are not supported")

    def place(parameters: GridParameters) -> tuple[list[tuple[str, int]], Resident]:
        names: list[tuple[str, int]] = []
        models: list[Sequence[QuantisedNetwork]] = []
        for index, ((name, network), given) in enumerate(zip(networks.items(), calibrations, strict=True)):
            typical = default_calibration(network) if given is None else given
            if isinstance(network, BidirectionalNetwork):
                both: QuantisedBidirectional = quantise_bidirectional(network, typical, parameters.arithmetic, rule)
                names += [(f"{name} {segment.name}", index) for segment in both.segments]
                models += [segment.members for segment in both.segments]
            else:
                names.append((name, index))
                models.append([quantise(network, typical, parameters.arithmetic, rule=rule)] * streams)
        return names, map_resident(models, parameters, steps, ru, hu, schedule)

    grid_name, (names, resident) = on_grid(grid, place)
    models = tuple(
        ResidentModel(name, index, mapping) for (name, index), mapping in zip(names, resident.models, strict=True)
    )
    return PreparedResident(models, resident, grid_name, grid is None)


def memories_left(mapping: Mapping) -> dict[str, tuple[int, int]]:
    """For each memory and table (a field of `GridParameters`): what is left behind this model and those before it, and
    what there is. State words are not among them: each unit has as many as the grid gives it."""
    left: dict[str, tuple[int, int]] = {}
    for demand in mapping.demands:
        if demand.field != "state_words":
            rest = min(demand.available - demand.needed, left.get(demand.field, (demand.available, 0))[0])
            left[demand.field] = rest, demand.available
    return left


def resident_json(prepared: PreparedResident, steps: int) -> dict[str, Any]:
    """Everything as JSON values."""
    return {
        "grid": prepared.grid_name,
        "parameters": prepared.resident.parameters.to_dict(),
        "steps": steps,
        "models": [
            {
                "model": number, "name": model.name, "network": model.network, "streams": len(model.mapping.members),
                "memories_left": {field: left for field, (left, _) in memories_left(model.mapping).items()},
                **mapping_json(model.mapping, model.mapping.predict(steps)),
            }
            for number, model in enumerate(prepared.models)
        ],
    }
