"""One call from a trained network and its inputs to what the generated Verilog makes of them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hdl.parameters import GridParameters
from rnn_mapper.cells.tracing import Cell
from rnn_mapper.errors import ConfigurationError
from rnn_mapper.importers import Selection
from rnn_mapper.mapping.deployment import Resident
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.mapping.packets import image_files
from rnn_mapper.mapping.sequences import bus_sequence
from rnn_mapper.network.bidirectional import BidirectionalNetwork
from rnn_mapper.network.network import FloatArray
from rnn_mapper.quantisation.calibration import DEFAULT_RULE, ScaleRule
from rnn_mapper.quantisation.layer_error import LayerError, compare_with_float
from rnn_mapper.quantisation.quantise import quantise_inputs
from rnn_mapper.quantisation.reference import Reference
from rnn_mapper.quantisation.start_state import quantise_state
from rnn_mapper.run.prepare import Prepared, as_imported, as_streams, prepare
from rnn_mapper.run.result import Comparison, IntSequence, SimulationResult
from rnn_mapper.schedule.phases import PhaseOrder

if TYPE_CHECKING:
    from rnn_mapper.run.bidirectional import BidirectionalResult

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
) -> SimulationResult | BidirectionalResult:
    """Quantise a network, map it, generate the grid's Verilog, simulate it and compare every bit and the cycles.

    `model` is a PyTorch module, the path of a model file, what `load_model` gave, or a Network or BidirectionalNetwork;
    `selection` says which part of it is meant, and `cell` the kind of cell where it does not. `inputs`
    [steps, input_size] are an array, a tensor or the path of a file; with [streams, steps, input_size], or a list of
    such, independent streams run at once (`preparation.as_streams`). `calibration` [steps, input_size] is likewise
    (default: the inputs, those of all streams one after the other), and `rule` how scales follow from it. `grid` is a
    preset's name, a TOML file or GridParameters; without one the smallest preset that fits is taken. `simulator` is
    "icarus" or "verilator" (default: `choose_simulator`). `results_dir` keeps log, images and waves; `progress` is
    called with what is being done.
    Raises the errors of `hdl.errors`, each with what was wrong and what to do; differences are no error but counted in
    the result.
    """
    started = time.perf_counter()
    imported = as_imported(model, cell, selection)
    network = imported.network
    values = as_streams(inputs, network)
    progress("quantising and mapping")
    typical = np.concatenate(values) if calibration is None else calibration
    if isinstance(network, BidirectionalNetwork):
        from rnn_mapper.run.bidirectional import prepare_bidirectional, simulate_bidirectional

        if len(values) > 1:
            raise ConfigurationError(f"{len(values)} streams of a bidirectional network are not supported: give one")
        if imported.state is not None:
            raise ConfigurationError("a start state of a bidirectional network is not supported: clear it")
        both = prepare_bidirectional(
            network, typical, grid, ru=ru, hu=hu, steps=len(values[0]), schedule=schedule, rule=rule
        )
        return simulate_bidirectional(both, values[0], simulator, waves, results_dir, progress, started)
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
    counts from.
    """
    begun = time.perf_counter() if started is None else started
    mapping = prepared.mapping
    streams = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
    chosen = simulator or choose_simulator(mapping, len(streams[0]))
    start = None if prepared.state is None else (quantise_state(mapping.network, prepared.state),) * len(streams)
    sequence = IntSequence(tuple(quantise_inputs(mapping.network, one) for one in streams), start)
    compared = verify_in(mapping, [sequence], chosen, results_dir, waves, progress)[0]
    errors = worst_errors([
        compare_with_float(prepared.network, mapping.network, one, prepared.state) for one in streams
    ])
    return SimulationResult(
        **vars(compared), prepared=prepared, simulator=chosen, layer_errors=errors,
        seconds=time.perf_counter() - begun,
    )


def worst_errors(streams: Sequence[list[LayerError]]) -> list[LayerError]:
    """For each layer the error of the stream in which it is largest."""
    return [max(layer, key=lambda error: error.rms) for layer in zip(*streams, strict=True)]


def verify_in(
    mapping: Mapping | Resident, sequences: Sequence[IntSequence], simulator: str, results_dir: str | Path | None,
    waves: bool, progress: Progress,
) -> list[Comparison]:
    """`verify` in a folder, or in one that vanishes; raises `ConfigurationError` for waves in the latter."""
    if results_dir is not None:
        return verify(mapping, sequences, simulator, Path(results_dir), waves, progress)
    from sim_tests.simulator.run import logs_kept

    if waves:
        raise ConfigurationError("waves are kept in results_dir: name one")
    with tempfile.TemporaryDirectory(prefix="srnn_simulation_") as folder, logs_kept():
        return verify(mapping, sequences, simulator, Path(folder), progress=progress)


def verify(
    mapping: Mapping | Resident,
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
    models = mapping.models if isinstance(mapping, Resident) else (mapping,)
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


def choose_simulator(mapping: Mapping | Resident, steps: int) -> str:
    """Icarus where it is expected to finish (all models, one after the other) before Verilator would have compiled."""
    models = mapping.models if isinstance(mapping, Resident) else (mapping,)
    cycles = sum(model.predict(steps).cycles for model in models)
    seconds = ICARUS_CYCLE_SECONDS + ICARUS_MULTIPLIER_SECONDS * mapping.parameters.multipliers
    return "icarus" if cycles * seconds <= ICARUS_LIMIT_SECONDS else "verilator"
