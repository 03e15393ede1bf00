"""One call from a trained network and its inputs to the outputs of the generated Verilog."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hdl.parameters import GridParameters
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.errors import ConfigurationError
from rnn_mapper.importers import Selection
from rnn_mapper.importers.layout import Layout
from rnn_mapper.mapping.allocation import CapacityError
from rnn_mapper.mapping.deployment import Deployment
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.mapping.packets import image_files
from rnn_mapper.mapping.sequences import bus_sequence
from rnn_mapper.network.float_reference import run_float
from rnn_mapper.quantisation.accuracy import compare_traces
from rnn_mapper.quantisation.calibration import DEFAULT_RULE, ScaleRule
from rnn_mapper.quantisation.codes import quantise_state
from rnn_mapper.quantisation.reference import ModelTrace, Reference, run_model
from rnn_mapper.report.clock import Clock, clock_of
from rnn_mapper.report.waves import write_wave_layout
from rnn_mapper.run.prepare import Prepared, as_imported, prepare
from rnn_mapper.run.result import Comparison, IntSequence, SimulationResult
from rnn_mapper.run.sequences import Sequences, as_sequences, sequences_text
from rnn_mapper.schedule.phases import PhaseOrder
from rnn_mapper.summary import counted

__all__ = ["choose_simulator", "place_streams", "simulate", "simulate_prepared", "verify", "verify_in"]

Placed = TypeVar("Placed")
Progress = Callable[[str], None]

#: Icarus on two cores took 0.25 ms a cycle and 0.02 ms more for every multiplier of the grid (measured on 4 to 256);
#: Verilator is a hundred times faster but first compiles for 10 to 70 s.
ICARUS_CYCLE_SECONDS = 0.25e-3
ICARUS_MULTIPLIER_SECONDS = 0.02e-3
#: Icarus simulates every run that it is expected to finish within this time: compiling for Verilator is not worth it.
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
    layout: Layout | str | None = None,
    lengths: Any = None,
    streams: int | None = None,
    clock_mhz: float | None = None,
    waves: bool = False,
    results_dir: str | Path | None = None,
    progress: Progress = lambda text: None,
) -> SimulationResult:
    """Quantise a network, map it, generate the grid's Verilog, simulate it and compare every bit and the cycles.

    `model` is a PyTorch module, the path of a model file, an Imported (from `load_model`) or a Network. `selection` is
    the part of the model to run, `cell` the kind of cell if the model does not say.

    `inputs` are one sequence [steps, input_size] or a batch, as an array, a tensor or a file, or a list of sequences of
    any lengths. A batch is in the model's own layout, unless `layout` gives another; `lengths` are those of the
    sequences of a padded batch (`sequences.as_sequences`). `streams` of them run at once; without it, all of equal
    length if the grid has room for so many, else one after the other. The outputs come back in the form of the inputs.

    `calibration` has the same forms (default: the inputs, of several sequences one after the other), and `rule` is the
    method that derives scales from it.
    `grid` is a preset's name, a TOML file or GridParameters; without one the smallest preset that fits is used.
    `clock_mhz` adds times to the cycles of the result.
    `simulator` is "icarus" or "verilator" (default: `choose_simulator`). Log, images and waves are kept in
    `results_dir`. `progress` is called with the name of each stage of the work.
    Raises the errors of `hdl.errors`, each with the cause and a remedy. Differences are not an error: the result counts
    them.
    """
    started = time.perf_counter()
    clock = clock_of(clock_mhz)
    imported = as_imported(model, cell, selection)
    given = as_sequences(inputs, imported, layout=layout, lengths=lengths)
    typical = given if calibration is None else as_sequences(calibration, imported, layout=layout)
    progress("quantising and mapping")

    def place(count: int) -> Prepared:
        return prepare(
            imported, typical, grid, ru=ru, hu=hu, steps=max(given.steps), schedule=schedule, streams=count, rule=rule
        )

    prepared = place_streams(given, streams, place)
    return simulate_prepared(prepared, given, simulator, waves, results_dir, progress, started, clock)


def place_streams(inputs: Sequences, streams: int | None, place: Callable[[int], Placed]) -> Placed:
    """The result of `place` for the number of sequences that run at once: `streams`, or the best if it is None.

    That is all sequences, if they are of equal length and the grid has room for so many, else one. Raises
    ConfigurationError if the sequences cannot run in groups of `streams`, and the errors of `place`.
    """
    count = len(inputs)
    if streams is None:
        if count > 1 and len(set(inputs.steps)) == 1:
            with contextlib.suppress(CapacityError):
                return place(count)
        return place(1)
    if streams < 1 or count % streams:
        raise ConfigurationError(
            f"streams = {streams}: there {'is' if count == 1 else 'are'} {sequences_text(inputs.steps)}; must divide "
            f"{count}, as so many run at once"
        )
    for first in range(0, count, streams):
        group = inputs.steps[first : first + streams]
        if len(set(group)) > 1:
            raise ConfigurationError(
                f"streams = {streams}: sequences of {min(group)} and {max(group)} steps cannot run at once; give "
                "streams = 1, and they run one after the other"
            )
    return place(streams)


def simulate_prepared(
    prepared: Prepared,
    inputs: Any,
    simulator: str | None = None,
    waves: bool = False,
    results_dir: str | Path | None = None,
    progress: Progress = lambda text: None,
    started: float | None = None,
    clock: Clock | None = None,
) -> SimulationResult:
    """Like `simulate`, for a network that is on its grid already.

    `inputs` are those of `simulate`; groups of `prepared.streams` sequences run one after the other. `started` is the
    time from which `seconds` counts. The inputs of every segment are the reference's outputs of the segment before. As
    every output is compared, they equal the grid's outputs, unless the result reports a difference.
    """
    begun = time.perf_counter() if started is None else started
    network, quantised, streams = prepared.network, prepared.quantised, prepared.streams
    given = as_sequences(inputs, prepared.imported)
    place_streams(given, streams, lambda count: count)
    chosen = simulator or choose_simulator(Deployment(prepared.mappings), sum(given.steps) // streams)
    start = None if prepared.state is None else quantise_state(quantised, prepared.state)
    traces = [run_model(quantised, one, start) for one in given.values]
    groups = [traces[first : first + streams] for first in range(0, len(traces), streams)]
    sent = [sequence for group in groups for sequence in _sequences(prepared, group)]
    compared = verify_in(prepared.deployment, sent, chosen, results_dir, waves, progress)
    if compared[0].waves is not None:
        write_wave_layout(compared[0].waves, prepared.deployment)
    count = len(prepared.mappings)
    runs = tuple(tuple(compared[first : first + count]) for first in range(0, len(compared), count))
    errors = [
        compare_traces(network, run_float(network, one, prepared.state), trace)
        for one, trace in zip(given.values, traces, strict=True)
    ]
    return SimulationResult(
        tuple(outputs for run in runs for outputs in _merged(prepared, run[-1].outputs)),
        tuple(trace.outputs for trace in traces),
        given, runs, prepared, chosen,
        [max(layer, key=lambda error: error.rms) for layer in zip(*errors, strict=True)],
        time.perf_counter() - begun, clock,
    )


def _merged(prepared: Prepared, outputs: npt.NDArray[np.int16]) -> list[npt.NDArray[Any]]:
    """The outputs of each stream, from those of all members of the last segment side by side."""
    last, members = prepared.quantised.segments[-1], prepared.mappings[-1].members
    ends = list(itertools.accumulate(member.output_size for member in members))
    parts = np.split(outputs, ends[:-1], axis=1)
    halves = len(last.members)
    return [last.merged(parts[first : first + halves]) for first in range(0, len(members), halves)]


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
    """`verify` in a folder, or in a temporary one; raises `ConfigurationError` for waves without a folder."""
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

    Each sequence runs on the resident model that it names.
    """
    # The mapper does not depend on the simulation: cocotb is needed only to simulate.
    from sim_tests.host.grid_build import build_grid
    from sim_tests.host.run import run_sequences
    from sim_tests.simulator.toolchains import tool_versions

    p = mapping.parameters
    tool_versions(simulator)  # reports a missing simulator at once
    progress(f"generating and building the {p.rows} x {p.cols} x {p.lanes} grid for {simulator}")
    build = build_grid(p, simulator, waves)
    models = mapping.models
    jobs = [
        bus_sequence(models[sequence.model], sequence.member_codes, sequence.member_states) for sequence in sequences
    ]
    progress(f"simulating {counted(sum(sequence.steps for sequence in sequences), 'step')} in {simulator}")
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
    """Icarus if it should finish (all models, one after the other) before Verilator would have compiled."""
    cycles = sum(model.predict(steps).cycles for model in mapping.models)
    seconds = ICARUS_CYCLE_SECONDS + ICARUS_MULTIPLIER_SECONDS * mapping.parameters.multipliers
    return "icarus" if cycles * seconds <= ICARUS_LIMIT_SECONDS else "verilator"
