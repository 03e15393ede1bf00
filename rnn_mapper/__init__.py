"""From a trained recurrent network to images, cycles and results on a grid.

    import torch, rnn_mapper as srnn
    lstm = torch.nn.LSTM(40, 64)
    result = srnn.simulate(lstm, inputs, grid="medium")      # inputs: [steps, 40]
    print(result.cycles, result.outputs.shape, result.mismatches)

The single steps are here too: load_model, quantise, map_network, Mapping.predict, quantise_inputs, run_reference.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# The function must win over the submodule of the same name, whatever is imported first.
from rnn_mapper.quantise import quantise, quantise_inputs

if TYPE_CHECKING:
    from hdl.parameters import GridParameters, load_parameters, preset_names
    from rnn_mapper.accuracy import LayerError, compare_with_float
    from rnn_mapper.bidirectional_network import Bidirectional, BidirectionalNetwork
    from rnn_mapper.bidirectional_simulation import BidirectionalResult
    from rnn_mapper.calibration import ScaleRule
    from rnn_mapper.cells import Cell, cell
    from rnn_mapper.errors import SpatialRnnError
    from rnn_mapper.float_reference import run_float
    from rnn_mapper.importers import HostStep, Imported, Selection, load_model
    from rnn_mapper.mapper import map_network
    from rnn_mapper.mapping import Mapping
    from rnn_mapper.model_files import load_inputs, load_network, network_from_torch, save_network
    from rnn_mapper.network import Dense, Layer, Network, RecurrentLayer
    from rnn_mapper.predict import Prediction
    from rnn_mapper.preparation import Prepared, choose_grid, default_calibration, prepare
    from rnn_mapper.quantised import QuantisedNetwork
    from rnn_mapper.reference import LayerState, run_reference
    from rnn_mapper.simulation import simulate, simulate_prepared, verify
    from rnn_mapper.simulation_result import Comparison, IntSequence, SimulationResult

__all__ = [
    "Bidirectional",
    "BidirectionalNetwork",
    "BidirectionalResult",
    "Cell",
    "Comparison",
    "Dense",
    "GridParameters",
    "HostStep",
    "Imported",
    "IntSequence",
    "Layer",
    "LayerError",
    "LayerState",
    "Mapping",
    "Network",
    "Prediction",
    "Prepared",
    "QuantisedNetwork",
    "RecurrentLayer",
    "ScaleRule",
    "Selection",
    "SimulationResult",
    "SpatialRnnError",
    "cell",
    "choose_grid",
    "compare_with_float",
    "default_calibration",
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
    "run_float",
    "run_reference",
    "save_network",
    "simulate",
    "simulate_prepared",
    "verify",
]

#: Where the names come from that are imported when they are first used: most need Amaranth or more.
_MODULES = {
    "hdl.parameters": ("GridParameters", "load_parameters", "preset_names"),
    "rnn_mapper.accuracy": ("LayerError", "compare_with_float"),
    "rnn_mapper.bidirectional_network": ("Bidirectional", "BidirectionalNetwork"),
    "rnn_mapper.bidirectional_simulation": ("BidirectionalResult",),
    "rnn_mapper.calibration": ("ScaleRule",),
    "rnn_mapper.errors": ("SpatialRnnError",),
    "rnn_mapper.float_reference": ("run_float",),
    "rnn_mapper.importers": ("HostStep", "Imported", "Selection", "load_model"),
    "rnn_mapper.mapper": ("map_network",),
    "rnn_mapper.mapping": ("Mapping",),
    "rnn_mapper.model_files": ("load_inputs", "load_network", "network_from_torch", "save_network"),
    "rnn_mapper.cells": ("Cell", "cell"),
    "rnn_mapper.network": ("Dense", "Layer", "Network", "RecurrentLayer"),
    "rnn_mapper.predict": ("Prediction",),
    "rnn_mapper.preparation": ("Prepared", "choose_grid", "default_calibration", "prepare"),
    "rnn_mapper.quantised": ("QuantisedNetwork",),
    "rnn_mapper.reference": ("LayerState", "run_reference"),
    "rnn_mapper.simulation": ("simulate", "simulate_prepared", "verify"),
    "rnn_mapper.simulation_result": ("Comparison", "IntSequence", "SimulationResult"),
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
