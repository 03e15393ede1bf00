"""The interface of a trained model: its networks, real inputs for them, its task, and its placement on a grid."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import abc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from hdl.numerics import DEFAULT_ARITHMETIC, Arithmetic
from hdl.parameters import GridParameters
from rnn_mapper.mapping.deployment import Deployment, deploy
from rnn_mapper.network.network import Network
from rnn_mapper.network.tensors import FloatArray
from rnn_mapper.pretrained.outcome import Accuracy, Facts, Outcome, Simulated
from rnn_mapper.quantisation.calibration import DEFAULT_RULE, ScaleRule
from rnn_mapper.quantisation.codes import segment_codes
from rnn_mapper.quantisation.integer_network import QuantisedModel, QuantisedNetwork
from rnn_mapper.quantisation.quantise import quantise_model
from rnn_mapper.run.prepare import as_grid
from rnn_mapper.run.result import IntSequence
from rnn_mapper.run.simulate import verify

__all__ = ["Quantised", "RealModel", "measure"]

#: The networks of a model in integers, by name.
Quantised = abc.Mapping[str, QuantisedModel]

#: Steps of two sequences whose difference gives the cycles of a step, without beginning and end.
_LONG, _SHORT = 400, 200


class RealModel(ABC):
    """A trained model of a package."""

    facts: ClassVar[Facts]
    #: The rule that derives scales from the calibration input.
    rule: ClassVar[ScaleRule] = DEFAULT_RULE
    #: Its recurrent layers by name, each network a single segment.
    networks: abc.Mapping[str, Network]

    @abstractmethod
    def calibration(self) -> abc.Mapping[str, FloatArray]:
        """Typical inputs [steps, input_size] of each network, which set the scales."""

    @abstractmethod
    def example(self) -> abc.Mapping[str, FloatArray]:
        """Short real inputs [steps, input_size] of each network, by the float model."""

    @abstractmethod
    def accuracy(self, quantised: Quantised) -> Accuracy:
        """The task on all its data, with float64 and with the integer reference."""

    @property
    def groups(self) -> Sequence[Sequence[str]]:
        """For each resident model of the grid, the names of the networks that share its schedule."""
        return [[name] for name in self.networks]

    def members(self, quantised: Quantised) -> Sequence[Sequence[QuantisedNetwork]]:
        """The networks of each of `groups`; of a bidirectional one both directions."""
        return [
            [member for name in group for segment in quantised[name].segments for member in segment.members]
            for group in self.groups
        ]

    def sequences(self, quantised: Quantised) -> list[IntSequence]:
        """Short real sequences for the resident models: `example`, if no network needs the outputs of another."""
        inputs = self.example()
        return [
            IntSequence(tuple(
                codes for name in group for segment in quantised[name].segments
                for codes in segment_codes(segment, inputs[name])
            ), model=number)
            for number, group in enumerate(self.groups)
        ]

    def quantise(self, arithmetic: Arithmetic = DEFAULT_ARITHMETIC, rule: ScaleRule | None = None) -> Quantised:
        """All networks in integers, by the model's own rule if None; errors as `rnn_mapper.quantisation.quantise`."""
        typical = self.calibration()
        return {
            name: quantise_model(network, typical[name], arithmetic, rule=rule or self.rule)
            for name, network in self.networks.items()
        }

    def resident(self, quantised: Quantised, parameters: GridParameters) -> Deployment:
        """All networks side by side in the memories of a grid. Raises MappingError if they do not fit."""
        return deploy(self.members(quantised), parameters)

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        layers = [layer for network in self.networks.values() for layer in network.stack]
        return sum(int(np.size(tensor)) for layer in layers for tensor in layer.tensors.values())


def measure(
    model: RealModel, folder: Path, progress: Callable[[str], None] = lambda text: None, simulator: str = "verilator",
    grid: GridParameters | str | Path | None = None,
) -> Outcome:
    """The task with the reference, and a short part of it in the grid's Verilog; images and log go to `folder`.

    The default grid is the preset of the model's facts.
    """
    started = time.perf_counter()
    name, parameters = as_grid(model.facts.grid if grid is None else grid)
    progress("the task, in floating point and in integers")
    quantised = model.quantise(parameters.arithmetic)
    resident = model.resident(quantised, parameters)
    accuracy = model.accuracy(quantised)
    sequences = model.sequences(quantised)
    compared = verify(resident, sequences, simulator, folder, progress=progress)
    per_step = sum(one.predict(_LONG).cycles - one.predict(_SHORT).cycles for one in resident.models)
    return Outcome(
        model.facts, model.parameters, name, f"{parameters.rows} x {parameters.cols} x {parameters.lanes}", accuracy,
        Simulated(simulator, compared, max(
            sum(one.steps for one in sequences if one.model == number) for number in range(len(resident.models))
        )),
        per_step / (_LONG - _SHORT), time.perf_counter() - started,
    )
