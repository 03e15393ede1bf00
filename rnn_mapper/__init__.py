"""From a trained recurrent network to memory images, cycles and results on a grid.

    import torch, rnn_mapper as srnn
    lstm = torch.nn.LSTM(40, 64)
    result = srnn.simulate(lstm, inputs, grid="medium")      # inputs: [steps, 40]
    print(result.cycles, result.outputs.shape, result.mismatches)

The single steps are public, too: load_model, quantise, map_network, Mapping.predict, quantise_inputs, run_reference for
a network whose layers all run forward; quantise_model, deploy and run_model for any network.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hdl.parameters import GridParameters, load_parameters, preset_names
    from rnn_mapper.cells import Cell, cell
    from rnn_mapper.errors import SpatialRnnError
    from rnn_mapper.importers import HostStep, Imported, Selection, load_model
    from rnn_mapper.importers.arrays import load_inputs
    from rnn_mapper.importers.layout import Layout
    from rnn_mapper.importers.native import load_network, save_network
    from rnn_mapper.importers.torch.modules import network_from_torch
    from rnn_mapper.mapping.deployment import Deployment, deploy
    from rnn_mapper.mapping.mapper import map_network
    from rnn_mapper.mapping.mapping import Mapping
    from rnn_mapper.network.float_reference import run_float
    from rnn_mapper.network.layers import Bidirectional, Dense, Layer, RecurrentLayer, Reversed
    from rnn_mapper.network.network import Network
    from rnn_mapper.quantisation.accuracy import LayerError, compare_with_float
    from rnn_mapper.quantisation.calibration import ScaleRule
    from rnn_mapper.quantisation.codes import quantise_inputs
    from rnn_mapper.quantisation.integer_network import LayerState, QuantisedModel, QuantisedNetwork
    from rnn_mapper.quantisation.quantise import quantise, quantise_model
    from rnn_mapper.quantisation.reference import run_model, run_reference
    from rnn_mapper.run.prepare import Prepared, choose_grid, default_calibration, prepare
    from rnn_mapper.run.result import Comparison, IntSequence, SimulationResult
    from rnn_mapper.run.sequences import Sequences, as_sequences
    from rnn_mapper.run.simulate import simulate, simulate_prepared, verify
    from rnn_mapper.schedule.prediction import Prediction

__all__ = [
    "Bidirectional",
    "Cell",
    "Comparison",
    "Dense",
    "Deployment",
    "GridParameters",
    "HostStep",
    "Imported",
    "IntSequence",
    "Layer",
    "LayerError",
    "LayerState",
    "Layout",
    "Mapping",
    "Network",
    "Prediction",
    "Prepared",
    "QuantisedModel",
    "QuantisedNetwork",
    "RecurrentLayer",
    "Reversed",
    "ScaleRule",
    "Selection",
    "Sequences",
    "SimulationResult",
    "SpatialRnnError",
    "as_sequences",
    "cell",
    "choose_grid",
    "compare_with_float",
    "default_calibration",
    "deploy",
    "load_inputs",
    "load_model",
    "load_network",
    "load_parameters",
    "map_network",
    "network_from_torch",
    "prepare",
    "preset_names",
    "quantise",
    "quantise_inputs",
    "quantise_model",
    "run_float",
    "run_model",
    "run_reference",
    "save_network",
    "simulate",
    "simulate_prepared",
    "verify",
]

#: Public names by module. Each is imported on first use: most need Amaranth or more.
_MODULES = {
    "hdl.parameters": ("GridParameters", "load_parameters", "preset_names"),
    "rnn_mapper.cells": ("Cell", "cell"),
    "rnn_mapper.errors": ("SpatialRnnError",),
    "rnn_mapper.importers": ("HostStep", "Imported", "Selection", "load_model"),
    "rnn_mapper.importers.arrays": ("load_inputs",),
    "rnn_mapper.importers.layout": ("Layout",),
    "rnn_mapper.importers.native": ("load_network", "save_network"),
    "rnn_mapper.importers.torch.modules": ("network_from_torch",),
    "rnn_mapper.mapping.deployment": ("Deployment", "deploy"),
    "rnn_mapper.mapping.mapper": ("map_network",),
    "rnn_mapper.mapping.mapping": ("Mapping",),
    "rnn_mapper.network.float_reference": ("run_float",),
    "rnn_mapper.network.layers": ("Bidirectional", "Dense", "Layer", "RecurrentLayer", "Reversed"),
    "rnn_mapper.network.network": ("Network",),
    "rnn_mapper.quantisation.accuracy": ("LayerError", "compare_with_float"),
    "rnn_mapper.quantisation.calibration": ("ScaleRule",),
    "rnn_mapper.quantisation.codes": ("quantise_inputs",),
    "rnn_mapper.quantisation.integer_network": ("LayerState", "QuantisedModel", "QuantisedNetwork"),
    "rnn_mapper.quantisation.quantise": ("quantise", "quantise_model"),
    "rnn_mapper.quantisation.reference": ("run_model", "run_reference"),
    "rnn_mapper.run.prepare": ("Prepared", "choose_grid", "default_calibration", "prepare"),
    "rnn_mapper.run.result": ("Comparison", "IntSequence", "SimulationResult"),
    "rnn_mapper.run.sequences": ("Sequences", "as_sequences"),
    "rnn_mapper.run.simulate": ("simulate", "simulate_prepared", "verify"),
    "rnn_mapper.schedule.prediction": ("Prediction",),
}
_SOURCES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _SOURCES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_SOURCES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
