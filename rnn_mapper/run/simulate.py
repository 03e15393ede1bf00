"""One call from a trained network and its inputs to what the generated Verilog makes of them."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hdl.parameters import GridParameters
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.errors import ConfigurationError
from rnn_mapper.importers import Selection
from rnn_mapper.mapping.deployment import Deployment
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.mapping.packets import image_files
from rnn_mapper.mapping.sequences import bus_sequence
from rnn_mapper.network.float_reference import run_float
from rnn_mapper.network.tensors import FloatArray
from rnn_mapper.quantisation.accuracy import compare_traces
from rnn_mapper.quantisation.calibration import DEFAULT_RULE, ScaleRule
from rnn_mapper.quantisation.codes import quantise_state
from rnn_mapper.quantisation.reference import ModelTrace, Reference, run_model
from rnn_mapper.run.prepare import Prepared, as_imported, as_streams, prepare
from rnn_mapper.run.result import Comparison, IntSequence, SimulationResult
from rnn_mapper.schedule.phases import PhaseOrder

__all__ = ["choose_simulator", "simulate", "simulate_prepared", "verify", "verify_in"]

Progress = Callable[[str], None]

#: Icarus on two cores took 0.25 ms a cycle and 0.02 ms more for every multiplier of the grid (measured on 4 to 256);
#: Verilator is a hundred times faster but first compiles for 10 to 70 s.
ICARUS_CYCLE_SECONDS = 0.25e-3
ICARUS_MULTIPLIER_SECONDS = 0.02e-3
#: A run that Icarus is expected to finish in as many seconds is not worth compiling.
ICARUS_LIMIT_SECONDS = 10.0


def simulate(
    model: Any,
    inputs: Any,
    grid: GridParameters | str | Path | None = None,
    *,
    cell: str | Cell | None = None,
    selection: Selection | None = None,
    calibration: Any = None,
    simulator: str | None = None,
    ru: int | None = None,
    hu: int | None = None,
    schedule: PhaseOrder = PhaseOrder.FUSED,
    rule: ScaleRule = DEFAULT_RULE,
    waves: bool = False,
    results_dir: str | Path | None = None,
    progress: Progress = lambda text: None,
) -> SimulationResult:
    """Quantise a network, map it, generate the grid's Verilog, simulate it and compare every bit and the cycles.

    `model` is a PyTorch module, the path of a model file, what `load_model` gave, or a Network; `selection` says which
    part of it is meant, and `cell` the kind of cell where it does not. `inputs` [steps, input_size] are an array, a
    tensor or the path of a file; with [streams, steps, input_size], or a list of such, independent streams run at once
    (`prepare.as_streams`). `calibration` [steps, input_size] is likewise (default: the inputs, those of all streams one
    after the other), and `rule` how scales follow from it. `grid` is a preset's name, a TOML file or GridParameters;
    without one the smallest preset that fits is taken. `simulator` is "icarus" or "verilator" (default:
    `choose_simulator`). `results_dir` keeps log, images and waves; `progress` is called with what is being done.
    Raises the errors of `hdl.errors`, each with what was wrong and what to do; differences are no error but counted in
    the result.
    """
    started = time.perf_counter()
    imported = as_imported(model, cell, selection)
    values = as_streams(inputs, imported.network)
    progress("quantising and mapping")
    typical = np.concatenate(values) if calibration is None else calibration
    prepared = prepare(
        imported, typical, grid, ru=ru, hu=hu, steps=len(values[0]), schedule=schedule, streams=len(values), rule=rule
    )
    return simulate_prepared(prepared, values, simulator, waves, results_dir, progress, started)


def simulate_prepared(
    prepared: Prepared,
    inputs: FloatArray | Sequence[FloatArray],
    simulator: str | None = None,
    waves: bool = False,
    results_dir: str | Path | None = None,
    progress: Progress = lambda text: None,
    started: float | None = None,
) -> SimulationResult:
    """As `simulate`, of a network that is on its grid already.

    `inputs` [steps, input_size] are a list of one for each stream if there are several. `started` is where `seconds`
    counts from. Every segment is sent what the reference makes of the segment before: as every value of that is
    compared, it is what the grid gave, unless the result says that something differs.
    """
    begun = time.perf_counter() if started is None else started
    network, quantised = prepared.network, prepared.quantised
    streams = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
    chosen = simulator or choose_simulator(Deployment(prepared.mappings), len(streams[0]))
    start = None if prepared.state is None else quantise_state(quantised, prepared.state)
    traces = [run_model(quantised, one, start) for one in streams]
    compared = verify_in(prepared.deployment, _sequences(prepared, traces), chosen, results_dir, waves, progress)
    last, members = quantised.segments[-1], prepared.mappings[-1].members
    ends = list(itertools.accumulate(member.output_size for member in members))
    outputs = np.split(compared[-1].outputs, ends[:-1], axis=1)
    halves = len(last.members)
    merged = [last.merged(outputs[first : first + halves]) for first in range(0, len(members), halves)]
    errors = [
        compare_traces(network, run_float(network, one, prepared.state), trace)
        for one, trace in zip(streams, traces, strict=True)
    ]
    return SimulationResult(
        np.hstack(merged), np.hstack([trace.outputs for trace in traces]), tuple(compared),
        prepared, chosen, [max(layer, key=lambda error: error.rms) for layer in zip(*errors, strict=True)],
        time.perf_counter() - begun,
    )


def _sequences(prepared: Prepared, traces: Sequence[ModelTrace]) -> Iterator[IntSequence]:
    """What each segment is sent: for every stream the codes and the start state of each of its members."""
    states = prepared.start_states
    for number in range(len(prepared.mappings)):
        codes = tuple(part for trace in traces for part in trace.segments[number].codes)
        yield IntSequence(codes, None if states is None else states[number], prepared.first_model + number)


def verify_in(
    mapping: Mapping | Deployment, sequences: Iterable[IntSequence], simulator: str, results_dir: str | Path | None,
    waves: bool, progress: Progress,
) -> list[Comparison]:
    """`verify` in a folder, or in one that vanishes; raises `ConfigurationError` for waves in the latter."""
    if results_dir is not None:
        return verify(mapping, list(sequences), simulator, Path(results_dir), waves, progress)
    from sim_tests.simulator.run import logs_kept

    if waves:
        raise ConfigurationError("waves are kept in results_dir: name one")
    with tempfile.TemporaryDirectory(prefix="srnn_simulation_") as folder, logs_kept():
        return verify(mapping, list(sequences), simulator, Path(folder), progress=progress)


def verify(
    mapping: Mapping | Deployment,
    sequences: Sequence[IntSequence],
    simulator: str,
    results_dir: Path,
    waves: bool = False,
    progress: Progress = lambda text: None,
) -> list[Comparison]:
    """Simulate sequences of operand codes, one after the other on one grid, and compare each with the reference.

    Each is of the resident model that it names.
    """
    # The mapper does not depend on the simulation; only who simulates needs cocotb.
    from sim_tests.host.grid_build import build_grid
    from sim_tests.host.run import run_sequences
    from sim_tests.simulator.toolchains import tool_versions

    p = mapping.parameters
    tool_versions(simulator)  # a missing simulator is better told at once
    progress(f"generating and building the {p.rows} x {p.cols} x {p.lanes} grid for {simulator}")
    build = build_grid(p, simulator, waves)
    models = mapping.models
    jobs = [
        bus_sequence(models[sequence.model], sequence.member_codes, sequence.member_states) for sequence in sequences
    ]
    progress(f"simulating {sum(sequence.steps for sequence in sequences)} steps in {simulator}")
    run = run_sequences(image_files(mapping), p, jobs, build, results_dir, waves)
    references = [[Reference(network) for network in model.members] for model in models]
    compared = []
    for sequence, result in zip(sequences, run.results, strict=True):
        model = models[sequence.model]
        expected = [
            reference.run(codes, state).outputs
            for reference, codes, state in zip(
                references[sequence.model], sequence.member_codes, sequence.member_states, strict=True
            )
        ]
        compared.append(Comparison(
            outputs=np.concatenate(model.unpack_outputs(result.outputs), axis=1),
            expected=np.concatenate(expected, axis=1),
            prediction=model.predict(sequence.steps, cleared=sequence.state is None),
            cycles_simulated=result.cycles,
            build_seconds=build.seconds,
            run_seconds=run.seconds,
            waves=run.waves,
        ))
    return compared


def choose_simulator(mapping: Mapping | Deployment, steps: int) -> str:
    """Icarus where it is expected to finish (all models, one after the other) before Verilator would have compiled."""
    cycles = sum(model.predict(steps).cycles for model in mapping.models)
    seconds = ICARUS_CYCLE_SECONDS + ICARUS_MULTIPLIER_SECONDS * mapping.parameters.multipliers
    return "icarus" if cycles * seconds <= ICARUS_LIMIT_SECONDS else "verilator"
