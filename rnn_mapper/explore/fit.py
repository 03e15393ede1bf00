"""The needs of models, the capacity of a grid, and the smallest grid and FPGA that suffice."""

from __future__ import annotations

import itertools
import math
from collections import abc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hdl.parameters import RANGES, GridParameters, load_parameters, usual_preset_names
from rnn_mapper.cells.unit_program import Preference
from rnn_mapper.errors import ConfigurationError, MappingError
from rnn_mapper.explore.area import OutOfRange, area_model
from rnn_mapper.explore.clocks import clock_model
from rnn_mapper.explore.devices import DEVICES, Device
from rnn_mapper.explore.search import grid_with
from rnn_mapper.mapping.allocation import CapacityError, Demand, enlarge, shortages
from rnn_mapper.mapping.deployment import Deployment, deploy
from rnn_mapper.mapping.mapper import TYPICAL_STEPS, least_reading
from rnn_mapper.network.network import Network
from rnn_mapper.quantisation.integer_network import QuantisedNetwork
from rnn_mapper.quantisation.quantise import quantise_model
from rnn_mapper.run.prepare import default_calibration

__all__ = ["Account", "FittingGrid", "GridAccount", "account_of", "clock_on", "limiting", "relative_time"]

#: Sizes that the search for the smallest grid looks at: sizes with known areas.
ROWS = (1, 2, 4, 8, 16)
COLS = (1, 2, 3, 4, 6, 8, 12, 16)
LANES = (4, 8, 12, 16, 24, 32, 48, 64)
#: Number of grids tried for each number of multipliers; grids that an FPGA is likely to hold come first.
_TRIED = 6
#: Sizes are compared with one preference for unit programs; the chosen size is mapped with all preferences.
_QUICK = Preference.EARLY_RESULT

#: FPGA resources that are reported.
_SHOWN: tuple[str, ...] = ("lut", "ff", "dsp", "bram")

#: The networks that one START runs: a network, or two side by side.
_Model = Sequence[QuantisedNetwork]


@dataclass(frozen=True)
class FittingGrid:
    """A grid that holds the models."""

    parameters: GridParameters
    #: Exact cycles of a sequence of `Account.steps` steps of every model, one after the other.
    cycles: int
    #: The smallest known FPGA that holds the grid, or None.
    device: Device | None
    #: The grid's use of that FPGA by resource ("lut", "dsp", "bram", "ff"); empty without a device.
    used: dict[str, float]

    @property
    def clock_mhz(self) -> float | None:
        """The estimated clock on that FPGA; None where no clock is known."""
        return None if self.device is None else clock_on(self.device, self.parameters)


@dataclass(frozen=True)
class GridAccount:
    """A named grid, and how the models fit on it."""

    name: str
    parameters: GridParameters
    #: Demands, sorted by their share of the available size, largest first. The last models may be missing if an earlier
    #: model does not fit.
    needs: tuple[Demand, ...]
    #: Exact cycles, like `FittingGrid.cycles`; None if the models do not fit.
    cycles: int | None
    #: The smallest known FPGA that holds this grid, and what the grid takes of it, like those of `FittingGrid`.
    device: Device | None
    used: dict[str, float]
    #: A grid with the same sites and lanes and large enough memories, or None if there is none.
    enlarged: FittingGrid | None

    @property
    def fits(self) -> bool:
        """Whether the models fit."""
        return self.cycles is not None


@dataclass(frozen=True)
class Account:
    """Everything about models that are to be in one grid at once."""

    #: Number of trained weights in all matrices, and multiplications in one step of every model.
    weights: int
    multiplications: int
    steps: int
    grid: GridAccount
    #: The grid with the fewest multipliers, among grids with known areas, and of those the one with the least time a
    #: step; None if none suffices.
    smallest: FittingGrid | None

    def to_json(self) -> dict[str, Any]:
        """The whole account as JSON values."""
        return {
            "weights": self.weights, "multiplications_per_step": self.multiplications, "steps": self.steps,
            "grid": {
                "name": self.grid.name, "parameters": self.grid.parameters.to_dict(), "fits": self.grid.fits,
                "needs": [{**vars(need), "met": need.is_met} for need in self.grid.needs],
                "cycles": self.grid.cycles, "enlarged": _grid_json(self.grid.enlarged),
                **_device_json(self.grid.device, self.grid.used),
            },
            "smallest": _grid_json(self.smallest),
        }


def account_of(
    networks: Sequence[Network], grid: tuple[str, GridParameters] | None = None,
    steps: int = TYPICAL_STEPS, within: float | None = None, streams: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Account:
    """The account of networks that are resident in one grid, each with `streams` streams.

    `grid` is a name with its parameters, by default the smallest preset that fits, or else the largest. `within` is the
    largest number of cycles a step (of all networks, one after the other) that the smallest grid may take.
    `progress` is called with the sizes that are done and all sizes.
    Raises `ModelError` or `MappingError` for networks that no grid can run, `ConfigurationError` if `within` is not
    above 0.
    """
    if within is not None and not within > 0:
        raise ConfigurationError(f"within = {within}: must be a number of cycles a step above 0")
    work = _Work(tuple(networks), steps, streams)
    return Account(
        weights=sum(_weights(network) for network in networks), multiplications=work.multiplications, steps=steps,
        grid=_chosen(work, grid), smallest=_smallest(work, within, progress),
    )


class _Work:
    """Networks, quantised once for each arithmetic, and the cycles and memories of their mappings."""

    def __init__(self, networks: tuple[Network, ...], steps: int, streams: int) -> None:
        self.networks, self.steps, self.streams = networks, steps, streams
        self._models: dict[object, list[_Model]] = {}
        self.multiplications = sum(
            product.weights.size for model in self.models(GridParameters()) for network in model
            for product in network.products().values()
        )

    def models(self, parameters: GridParameters) -> list[_Model]:
        """The networks in integers; cycles and memories do not depend on the values."""
        arithmetic = parameters.arithmetic
        if arithmetic not in self._models:
            found: list[_Model] = []
            for network in self.networks:
                typical = default_calibration(network)
                made = quantise_model(network, typical, arithmetic)
                found += [segment.members * self.streams for segment in made.segments]
            self._models[arithmetic] = found
        return self._models[arithmetic]

    def place(self, parameters: GridParameters, programs: Preference | None = None) -> Deployment:
        """All models on a grid. Raises `CapacityError` for the first that does not fit next to the earlier models."""
        return deploy(self.models(parameters), parameters, self.steps, programs=programs)

    def cycles(self, resident: Deployment) -> int:
        """Cycles of a sequence of all models."""
        return sum(model.predict(self.steps).cycles for model in resident.models)

    def grown(
        self, parameters: GridParameters, programs: Preference | None = None
    ) -> tuple[GridParameters, Deployment] | None:
        """The grid with memories doubled until all models fit, and the models on it; None if they cannot fit."""
        while True:
            try:
                return parameters, self.place(parameters, programs)
            except CapacityError as error:
                larger = enlarge(parameters, shortages(error.demands))
                if larger == parameters:
                    return None
                parameters = larger


def _chosen(work: _Work, grid: tuple[str, GridParameters] | None) -> GridAccount:
    if grid is not None:
        return _grid_account(work, *grid)
    account: GridAccount | None = None
    for name in usual_preset_names():
        account = _grid_account(work, name, load_parameters(name))
        if account.fits:
            break
    assert account is not None, "there are presets"
    return account


def _grid_account(work: _Work, name: str, parameters: GridParameters) -> GridAccount:
    cycles: int | None = None
    try:
        resident = work.place(parameters)
        demands, cycles = _last_demands(resident), work.cycles(resident)
    except CapacityError as error:
        demands = error.demands
    enlarged = None
    if cycles is None and (grown := work.grown(parameters)) is not None:
        demands = _last_demands(grown[1])
        enlarged = _fitting(grown[0], work.cycles(grown[1]))
    needs = {}
    for demand in sorted(demands, key=lambda item: item.needed):
        needs[demand.field, demand.what] = replace(demand, available=getattr(parameters, demand.field))
    ranked = sorted(needs.values(), key=lambda need: need.needed / need.available, reverse=True)
    device, used = _device_for(parameters) or (None, {})
    return GridAccount(name, parameters, tuple(ranked), cycles, device, _shown(used), enlarged)


def _last_demands(resident: Deployment) -> list[Demand]:
    """The demands of all models together; each model is placed behind the earlier ones."""
    largest: dict[tuple[str, str], Demand] = {}
    for model in resident.models:
        for demand in model.demands:
            known = largest.get((demand.field, demand.what))
            if known is None or demand.needed > known.needed:
                largest[demand.field, demand.what] = demand
    return list(largest.values())


def _smallest(
    work: _Work, within: float | None, progress: Callable[[int, int], None]
) -> FittingGrid | None:
    """The grid with the fewest multipliers that fits and is fast enough; the fastest of those with equally many, in
    time where clocks are known."""
    total, done = len(ROWS) * len(COLS) * len(LANES), 0
    for _, group in itertools.groupby(_sizes(), key=math.prod):
        sizes = list(group)
        progress(done, total)
        done += len(sizes)
        possible = [size for size in sizes if _may_fit(work, size, within)]
        likely = sorted(possible, key=lambda size: not _likely(work, size))[:_TRIED]
        found = [tight for size in likely if (tight := _tight(work, size, within)) is not None]
        if found:
            # A grid that fits some FPGA is more useful than a faster one that fits none.
            parameters, _ = min(found, key=lambda item: (_device_for(item[0]) is None, relative_time(*item)))
            return _fitting(parameters, work.cycles(work.place(parameters)))
    return None


def _sizes() -> Iterator[tuple[int, int, int]]:
    """Rows, columns and lanes, fewest multipliers first, then sizes with about as many lanes as sites."""
    sizes = itertools.product(ROWS, COLS, LANES)
    yield from sorted(sizes, key=lambda size: (math.prod(size), max(size[2], size[0] * size[1]), size))


def _may_fit(work: _Work, size: tuple[int, int, int], within: float | None) -> bool:
    """False where no mapping is fast enough, or none has weight and vector memories of known area."""
    largest = area_model("generic").largest(*size)
    longest = max(
        product.weights.shape[2] for model in work.models(largest) for network in model
        for product in network.products().values()
    )
    if longest > largest.vector_words * largest.lanes:
        return False
    reading = sum(least_reading(model, largest) for model in work.models(largest))
    return reading <= min(largest.weight_depth, within or float("inf"))


def _likely(work: _Work, size: tuple[int, int, int]) -> bool:
    """Whether an FPGA holds the weights and the logic, whatever else the models need."""
    area = area_model("generic")
    deep = min(-(-work.multiplications // math.prod(size)), area.largest(*size).weight_depth)
    smallest = area.smallest(*size)
    return _device_for(replace(smallest, weight_depth=max(deep, smallest.weight_depth))) is not None


def _tight(
    work: _Work, size: tuple[int, int, int], within: float | None
) -> tuple[GridParameters, int] | None:
    """The grid of this size with the smallest sufficient memories, and its cycles with the unit programs of one
    preference. None if no such grid has a known area, or if it is slower than `within`."""
    rows, cols, lanes = size
    area = area_model("generic")
    largest = area.largest(rows, cols, lanes)
    count = 1 << (len(work.models(largest)) - 1).bit_length()
    # It is meant for an FPGA, whose block RAMs are slow without registers.
    largest = replace(largest, models=count, schedule_depth=RANGES["schedule_depth"][1], memory_registers=1)
    grown = work.grown(largest, _QUICK)
    if grown is None:
        return None
    needed: dict[str, int] = {}
    for demand in _last_demands(grown[1]):
        needed[demand.field] = max(needed.get(demand.field, 0), demand.needed)
    tight = grid_with(needed, rows, cols, lanes, count, memory_registers=1)
    try:
        if tight is None:
            return None
        area.check(tight)
        cycles = work.cycles(work.place(tight, _QUICK))
    except (OutOfRange, MappingError):
        return None
    return None if within is not None and cycles > within * work.steps else (tight, cycles)


def relative_time(parameters: GridParameters, cycles: int) -> float:
    """Time of a grid, to compare it with others. Families without measured clocks are taken to slow down with the size
    of a grid as the ECP5 does."""
    clocks = clock_model("ecp5")
    return cycles if clocks is None else cycles / clocks.megahertz(parameters)


def clock_on(device: Device, parameters: GridParameters) -> float | None:
    """The estimated clock of a grid in MHz; None for a family without measured clocks, or without `memory_registers`,
    with which all were measured."""
    clocks = clock_model(device.target)
    return None if clocks is None or not parameters.memory_registers else clocks.megahertz(parameters)


def _fitting(parameters: GridParameters, cycles: int) -> FittingGrid:
    device, used = _device_for(parameters) or (None, {})
    return FittingGrid(parameters, cycles, device, _shown(used))


def _shown(used: dict[str, float]) -> dict[str, float]:
    return {name: used[name] for name in _SHOWN if name in used}


def limiting(device: Device, used: abc.Mapping[str, float]) -> tuple[str, float]:
    """The resource of which the largest share is used, and this share."""
    shares = {name: used.get(name, 0) / limit for name, limit in device.limits.items() if limit}
    name = max(shares, key=shares.__getitem__)
    return name, shares[name]


def _device_for(parameters: GridParameters) -> tuple[Device, dict[str, float]] | None:
    """The FPGA with the fewest LUTs that holds a grid, and the resources used; None if no FPGA is known to hold it.

    A grid is held if the estimate, increased by its error on whole grids, is within the capacity.
    """
    for device in sorted(DEVICES, key=lambda item: item.lut):
        try:
            model = area_model(device.target)
            used = model.resources(parameters)
        except OutOfRange:
            continue
        errors = model.whole_error
        if all(used.get(name, 0) * (1 + errors.get(name, 0.0)) <= limit for name, limit in device.limits.items()):
            return device, used
    return None


def _weights(network: Network) -> int:
    return sum(tensor.size for layer in network.stack for tensor in layer.tensors.values() if tensor.ndim == 2)


def _grid_json(grid: FittingGrid | None) -> dict[str, Any] | None:
    if grid is None:
        return None
    return {
        "parameters": grid.parameters.to_dict(), "cycles": grid.cycles,
        "estimated_clock_mhz": None if grid.clock_mhz is None else round(grid.clock_mhz, 1),
        **_device_json(grid.device, grid.used),
    }


def _device_json(device: Device | None, used: abc.Mapping[str, float]) -> dict[str, Any]:
    resource, share = (None, None) if device is None else limiting(device, used)
    return {
        "device": None if device is None else device.name,
        "used": {name: round(value, 1) for name, value in used.items()},
        "limiting_resource": resource, "share": share,
        "estimate_errors": {} if device is None else area_model(device.target).whole_error,
    }
