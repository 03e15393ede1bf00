"""The C++ host and cocotb give the same outputs and counters, and the host reports why a run failed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rnn_mapper.bus import BusSequence, input_packet, output_steps
from rnn_mapper.mapping.packets import image_files
from rnn_mapper.mapping.sequences import bus_sequence
from rnn_mapper.quantisation.reference import Reference
from sim_tests.bench.grids import GRIDS
from sim_tests.checks.check_bus_load import CASE, GRID
from sim_tests.host.grid_build import build_grid
from sim_tests.host.run import run_sequences
from sim_tests.host.stream_host import run_host
from sim_tests.simulator.run import Build, SimulationError

STEPS = 5


@pytest.fixture(scope="module")
def build() -> Build:
    return build_grid(GRIDS[GRID], "verilator")


def test_host_and_cocotb_agree(build: Build, tmp_path: Path) -> None:
    mapping, inputs = CASE.mapping(GRIDS[GRID]), CASE.operands(GRIDS[GRID], STEPS)
    reference = Reference(mapping.network)
    first = reference.run(inputs[:3])
    # A new sequence, then from its final state, from a state loaded by packets, and from a cleared state again.
    sequences = [
        bus_sequence(mapping, [inputs[:3]]), bus_sequence(mapping, [inputs[3:]], keep_state=True),
        bus_sequence(mapping, [inputs[3:]], [first.state]), bus_sequence(mapping, [inputs]),
    ]
    images, parameters = dict(image_files(mapping)), mapping.parameters
    found = run_sequences(images.items(), parameters, sequences, build, tmp_path / "host").results
    no_host = replace(build, host=None)
    wanted = run_sequences(images.items(), parameters, sequences, no_host, tmp_path / "cocotb").results
    whole = reference.run(inputs).outputs
    for host, cocotb, outputs in zip(found, wanted, (whole[:3], whole[3:], whole[3:], whole), strict=True):
        assert (host.outputs == outputs).all()
        assert (cocotb.outputs == outputs).all()
        assert host.cycles == cocotb.cycles == mapping.predict(len(outputs)).cycles
        assert host.stall_output == cocotb.stall_output
        assert host.stall_result == cocotb.stall_result
        assert host.stall_input == cocotb.stall_input


def test_host_names_the_failure(build: Build, tmp_path: Path) -> None:
    beat, inputs = GRIDS[GRID].beat_bytes, np.zeros((1, 1), dtype=np.int8)
    # Nothing is loaded: the grid ignores the start.
    with pytest.raises(SimulationError, match=r"the grid hangs: no beat in 1000000 cycles: see .*simulation.log"):
        run_host(build, [BusSequence(inputs, 1)], beat, tmp_path, tmp_path)
    with pytest.raises(SimulationError, match="a packet is not of whole beats"):
        run_host(build, [BusSequence(inputs, 1, (bytes(beat + 1),))], beat, tmp_path, tmp_path)
    with pytest.raises(ValueError, match="no host"):
        run_host(replace(build, host=None), [], beat, tmp_path, tmp_path)


def test_errors_of_the_grid_fail_the_run(build: Build, tmp_path: Path) -> None:
    mapping, inputs = CASE.mapping(GRIDS[GRID]), CASE.operands(GRIDS[GRID], 2)
    sequence = bus_sequence(mapping, [inputs], keep_state=True)
    with pytest.raises(SimulationError, match=r"the grid reports errors: ERRORS = 0x800"):
        run_sequences(image_files(mapping), mapping.parameters, [sequence], build, tmp_path)


def test_beats() -> None:
    inputs = np.array([[1, 2, 3], [4, 5, -6]], dtype=np.int8)
    assert list(input_packet(inputs, 2)) == [1, 2, 3, 0, 4, 5, 250, 0]
    assert output_steps(b"\x01\x00\xff\xff", 1, 2).tolist() == [[1, -1]]
    with pytest.raises(AssertionError, match="2 output values, expected 1 x 3"):
        output_steps(b"\x01\x00\xff\xff", 1, 3)
