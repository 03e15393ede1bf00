"""One sequence of a mapped network through the Verilog of its grid."""

from __future__ import annotations

from pathlib import Path

from rnn_mapper.bus import BusResult
from rnn_mapper.fixed_point import Codes
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.mapping.packets import image_files
from rnn_mapper.mapping.sequences import State, bus_sequence
from sim_tests.host.run import run_sequences
from sim_tests.simulator.run import Build

__all__ = ["run_mapping"]


def run_mapping(mapping: Mapping, inputs: Codes, build: Build, folder: Path, state: State = None) -> BusResult:
    """The operand codes [steps, input_size], from a cleared state or from `state`."""
    sequence = bus_sequence(mapping, [inputs], [state])
    return run_sequences(image_files(mapping), mapping.parameters, [sequence], build, folder).results[0]
